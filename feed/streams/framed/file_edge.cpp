#include "millrace/feed/streams/framed/file_edge.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <thread>
#include <utility>

#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

// Together in one call: so many batches, of two parts each, are what the kernel takes at most.
constexpr std::size_t kBatchesMost = 512;
static_assert(2 * kBatchesMost <= IOV_MAX);
// And so many bytes, which stay in the cache from one copy to the next.
constexpr std::size_t kBytesMost = std::size_t{256} << 10;

}  // namespace

FileEdge::FileEdge(const Url& url) : path_("/" + url.path) {
    if (!url.hosts.empty() || url.path.empty()) {
        throw Error(ExitCode::usage,
                    fmt::format("{}: write it as file:///folder/file", url.text()));
    }
}

void FileEdge::open() {
    std::string problem;
    const bool good = connect(problem) || errno == ENOSPC || errno == EDQUOT;
    file_ = {};
    if (!good) throw Error(ExitCode::file, fmt::format("{}; choose another file", problem));
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
    // A file that was cut to nothing, even from nothing, is written to the disk by ext4 while it is closed.
    return size_ == end || ftruncate(file_.fd(), static_cast<off_t>(size_)) == 0;
}

bool FileEdge::connect(std::string& problem) {
    file_ = net::Socket(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    return (file_.fd() >= 0 && find_end()) || refuse(problem);
}

Edge::Sent FileEdge::send(const Batch& batch) {
    const bool many = waiting_.size() == kBatchesMost || waiting_bytes_ >= kBytesMost;
    if (!problem_.empty() || (many && !write_waiting())) return Sent::full;
    Waiting& next = waiting_.emplace_back(Waiting{batch.id, {{}, batch.envelope}, batch.payload});
    next.head.length.set(static_cast<std::uint32_t>(sizeof(Envelope) + batch.payload.size()));
    waiting_bytes_ += next.bytes();
    return Sent::accepted;
}

// False when the file takes no more, for a reason that poll() will tell. What it took of it, whole
// batches, counts as taken.
bool FileEdge::write_waiting() {
    parts_.clear();
    for (Waiting& each : waiting_) {
        parts_.push_back({&each.head, sizeof(each.head)});
        parts_.push_back({const_cast<std::uint8_t*>(each.payload.data()), each.payload.size()});
    }
    const ssize_t n = pwritev(file_.fd(), parts_.data(), static_cast<int>(parts_.size()), static_cast<off_t>(size_));
    const std::size_t bytes = waiting_bytes_;
    if (n >= 0) errno = ENOSPC;
    if (n < 0 || static_cast<std::size_t>(n) != bytes) static_cast<void>(refuse(problem_));
    std::size_t rest = n < 0 ? 0 : static_cast<std::size_t>(n);
    for (const Waiting& each : waiting_) {
        if (rest < each.bytes()) break;
        rest -= each.bytes();
        size_ += each.bytes();
        acks_.taken.push_back(each.id);
    }
    waiting_.clear();
    waiting_bytes_ = 0;
    // Nobody may find half a batch there.
    if (rest != 0 && ftruncate(file_.fd(), static_cast<off_t>(size_)) != 0) static_cast<void>(refuse(problem_));
    return problem_.empty();
}

bool FileEdge::poll(int wait_ms, Acks& acks, std::string& problem) {
    if (!waiting_.empty() && problem_.empty()) static_cast<void>(write_waiting());
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
    waiting_.clear();
    waiting_bytes_ = 0;
    acks_ = {};
}

}  // namespace millrace::streams
