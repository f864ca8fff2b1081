#include "millrace/feed/streams/spill.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

// A file that was read to its end is given back; so much space is at most held for nothing.
constexpr std::uint64_t kFileBytes = std::uint64_t{16} << 20;

// Before each payload. Only the process that wrote it reads it.
struct Head {
    std::uint64_t id;
    std::uint64_t stream;
    std::uint64_t sealed_ms;
    std::uint64_t payload_bytes;
    std::string_view event;  // of static storage
    Symbol symbol;
    Envelope envelope;
    bool books_only;
};

bool read_all(int fd, void* to, std::size_t size, std::uint64_t at) {
    auto* bytes = static_cast<std::uint8_t*>(to);
    while (size > 0) {
        const ssize_t n = pread(fd, bytes, size, static_cast<off_t>(at));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes += n;
        at += static_cast<std::uint64_t>(n);
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

}  // namespace

Spill::Spill(std::filesystem::path folder, std::uint64_t bytes_max)
    : folder_(std::move(folder)), bytes_max_(bytes_max) {
    if (!open_file()) throw Error(ExitCode::file, problem_ + "; name another folder by spill_dir=");
}

bool Spill::refuse(const char* what) {
    problem_ = fmt::format("{}: {}: {}", folder_.string(), what, std::strerror(errno));
    return false;
}

bool Spill::open_file() {
    std::string name = (folder_ / "millrace-spill-XXXXXX").string();
    net::Socket handle(mkostemp(name.data(), O_CLOEXEC));
    if (handle.fd() < 0) return refuse("no file can be made there");
    unlink(name.c_str());
    files_.push_back({std::move(handle), 0, 0, 0});
    return true;
}

bool Spill::put(const Batch& batch) {
    const std::uint64_t size = sizeof(Head) + batch.payload.size();
    if (bytes_ + size > bytes_max_) {
        problem_ = fmt::format("{}: spill_mb is reached", folder_.string());
        return false;
    }
    if ((files_.empty() || files_.back().size >= kFileBytes) && !open_file()) return false;
    File& file = files_.back();
    Head head{batch.id, batch.stream, batch.sealed_ms, batch.payload.size(),
              batch.event, batch.symbol, batch.envelope, batch.books_only};
    const std::array<iovec, 2> parts{
        {{&head, sizeof(head)}, {const_cast<std::uint8_t*>(batch.payload.data()), batch.payload.size()}}};
    const ssize_t n = pwritev(file.handle.fd(), parts.data(), parts.size(), static_cast<off_t>(file.size));
    // What was written in part is overwritten by the next one.
    if (n < 0) return refuse("cannot write");
    if (static_cast<std::uint64_t>(n) != size) {
        errno = ENOSPC;
        return refuse("cannot write");
    }
    file.size += size;
    file.records += batch.envelope.records.value();
    bytes_ += size;
    records_ += batch.envelope.records.value();
    return true;
}

Spill::Step Spill::give_up() {
    File& file = files_.front();
    damaged_ += file.records;
    records_ -= file.records;
    bytes_ -= file.size - file.read;
    files_.pop_front();
    return Step::damaged;
}

Spill::Step Spill::next(Batch& batch) {
    while (!files_.empty() && files_.front().read == files_.front().size) {
        if (files_.size() == 1 && files_.front().size < kFileBytes) return Step::empty;
        files_.pop_front();
    }
    if (files_.empty()) return Step::empty;
    File& file = files_.front();
    const int fd = file.handle.fd();
    Head head;
    if (!read_all(fd, &head, sizeof(head), file.read) ||
        head.payload_bytes > file.size - file.read - sizeof(head)) {
        return give_up();
    }
    batch.id = head.id;
    batch.envelope = head.envelope;
    batch.symbol = head.symbol;
    batch.event = head.event;
    batch.stream = head.stream;
    batch.books_only = head.books_only;
    batch.sealed_ms = head.sealed_ms;
    batch.payload.resize(head.payload_bytes);
    if (!read_all(fd, batch.payload.data(), batch.payload.size(), file.read + sizeof(head)) ||
        crc32c(batch.payload) != head.envelope.crc32c.value()) {
        return give_up();
    }
    const std::uint64_t size = sizeof(head) + batch.payload.size();
    file.read += size;
    file.records -= head.envelope.records.value();
    bytes_ -= size;
    records_ -= head.envelope.records.value();
    return Step::batch;
}

}  // namespace millrace::streams
