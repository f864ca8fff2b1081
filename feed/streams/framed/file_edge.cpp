#include "millrace/feed/streams/framed/file_edge.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "millrace/core/error.hpp"

namespace millrace::streams {

FileEdge::FileEdge(const Url& url) : path_("/" + url.path) {
    if (!url.hosts.empty() || url.path.empty()) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: write it as file:///folder/file", url.text()));
    }
}

bool FileEdge::refuse(std::string& problem) const {
    problem = fmt::format("{}: {}", path_, std::strerror(errno));
    return false;
}

// From the lengths of the messages that are there.
bool FileEdge::find_end() {
    struct stat about {};
    if (fstat(file_.fd(), &about) != 0) return false;
    const auto end = static_cast<std::uint64_t>(about.st_size);
    size_ = 0;
    wire::u32le length;
    while (pread(file_.fd(), &length, sizeof(length), static_cast<off_t>(size_)) ==
           static_cast<ssize_t>(sizeof(length))) {
        const std::uint64_t next = size_ + sizeof(length) + length.value();
        if (next > end) break;
        size_ = next;
    }
    return ftruncate(file_.fd(), static_cast<off_t>(size_)) == 0;
}

bool FileEdge::connect(std::string& problem) {
    file_ = net::Socket(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    return (file_.fd() >= 0 && find_end()) || refuse(problem);
}

Edge::Sent FileEdge::send(const Batch& batch) {
    wire::u32le length;
    length.set(static_cast<std::uint32_t>(sizeof(Envelope) + batch.payload.size()));
    const std::array<iovec, 3> parts{
        {{&length, sizeof(length)},
         {const_cast<Envelope*>(&batch.envelope), sizeof(Envelope)},
         {const_cast<std::uint8_t*>(batch.payload.data()), batch.payload.size()}}};
    const std::uint64_t bytes = sizeof(length) + sizeof(Envelope) + batch.payload.size();
    const ssize_t n = pwritev(file_.fd(), parts.data(), parts.size(), static_cast<off_t>(size_));
    if (n < 0 || static_cast<std::uint64_t>(n) != bytes) {
        if (n >= 0) errno = ENOSPC;
        static_cast<void>(refuse(problem_));  // for poll(), behind what was taken before
        return Sent::full;
    }
    size_ += bytes;
    acks_.taken.push_back(batch.id);
    return Sent::accepted;
}

bool FileEdge::poll(int wait_ms, Acks& acks, std::string& problem) {
    acks.taken.insert(acks.taken.end(), acks_.taken.begin(), acks_.taken.end());
    acks_ = {};
    if (!problem_.empty()) {
        problem = std::exchange(problem_, {});
        return false;
    }
    if (wait_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
    return true;
}

void FileEdge::disconnect() {
    file_ = {};
    acks_ = {};
}

}  // namespace millrace::streams
