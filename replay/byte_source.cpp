#include "millrace/replay/byte_source.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include "millrace/core/error.hpp"

namespace millrace::replay {

namespace {

enum class Packing { none, gzip, zstd };

Packing packing_of(std::span<const std::uint8_t> head) {
    if (head.size() >= 2 && head[0] == 0x1f && head[1] == 0x8b) return Packing::gzip;
    if (head.size() >= 4 && head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd) {
        return Packing::zstd;
    }
    return Packing::none;
}

}  // namespace

// Reads a file descriptor (or memory) and unpacks it.
class ByteSource::Stream {
  public:
    Stream(int fd, std::span<const std::uint8_t> memory) : fd_(fd), input_(std::size_t{1} << 18) {
        if (fd_ < 0) {
            pending_ = memory;
            ended_ = true;
        } else {
            refill();
        }
        packing_ = packing_of(pending_);
        if (packing_ == Packing::gzip) start_gzip();
        if (packing_ == Packing::zstd) zstd_ = ZSTD_createDStream();
    }
    ~Stream() {
        if (packing_ == Packing::gzip) inflateEnd(&gzip_);
        ZSTD_freeDStream(zstd_);
        if (fd_ >= 0) close(fd_);
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    [[nodiscard]] std::uint64_t file_position() const { return read_ - pending_.size(); }

    // Writes some bytes to `out` and returns how many: 0 at the end, or where the content is damaged.
    std::size_t read(std::span<std::uint8_t> out, std::string& damage) {
        for (;;) {
            if (pending_.empty() && !ended_ && !full_) refill();
            if (problem_ != 0) {
                damage = fmt::format("cannot be read further: {}", std::strerror(problem_));
                return 0;
            }
            if (pending_.empty() && !full_) {
                if (inside_) damage = "the compressed data ends in the middle";
                return 0;
            }
            std::size_t produced = 0;
            if (!unpack(out, produced)) {
                damage = "the compressed data is damaged";
                return 0;
            }
            full_ = produced == out.size();
            if (produced > 0) return produced;
        }
    }

  private:
    void start_gzip() {
        gzip_ = {};
        inflateInit2(&gzip_, 15 + 16);
    }

    void refill() {
        ssize_t n = 0;
        do {
            n = ::read(fd_, input_.data(), input_.size());
        } while (n < 0 && errno == EINTR);
        if (n < 0) problem_ = errno;
        if (n <= 0) {
            ended_ = true;
            return;
        }
        read_ += static_cast<std::uint64_t>(n);
        pending_ = {input_.data(), static_cast<std::size_t>(n)};
    }

    // One step of unpacking from pending_; false when the data is damaged.
    bool unpack(std::span<std::uint8_t> out, std::size_t& produced) {
        switch (packing_) {
            case Packing::none:
                produced = std::min(out.size(), pending_.size());
                std::memcpy(out.data(), pending_.data(), produced);
                pending_ = pending_.subspan(produced);
                return true;
            case Packing::gzip: return inflate_some(out, produced);
            case Packing::zstd: return decompress_some(out, produced);
        }
        return false;
    }

    bool inflate_some(std::span<std::uint8_t> out, std::size_t& produced) {
        if (!inside_ && read_members_ > 0) {
            // Another member may follow; anything else behind the last one is padding, as gzip has it.
            if (packing_of(pending_) != Packing::gzip) {
                pending_ = {};
                return true;
            }
            inflateReset(&gzip_);
        }
        inside_ = true;
        gzip_.next_in = const_cast<Bytef*>(pending_.data());
        gzip_.avail_in = static_cast<uInt>(std::min<std::size_t>(pending_.size(), 1U << 30));
        gzip_.next_out = out.data();
        gzip_.avail_out = static_cast<uInt>(std::min<std::size_t>(out.size(), 1U << 30));
        const uInt room = gzip_.avail_out;
        const uInt had = gzip_.avail_in;
        const int status = inflate(&gzip_, Z_NO_FLUSH);
        produced = room - gzip_.avail_out;
        pending_ = pending_.subspan(had - gzip_.avail_in);
        if (status == Z_STREAM_END) {
            inside_ = false;
            ++read_members_;
            return true;
        }
        return status == Z_OK || (status == Z_BUF_ERROR && pending_.empty());
    }

    bool decompress_some(std::span<std::uint8_t> out, std::size_t& produced) {
        // As much as it asks for: a frame's checksum comes by itself then, behind all that it speaks of.
        ZSTD_inBuffer in{pending_.data(), std::min(pending_.size(), zstd_wants_), 0};
        ZSTD_outBuffer to{out.data(), out.size(), 0};
        const std::size_t status = ZSTD_decompressStream(zstd_, &to, &in);
        produced = to.pos;
        pending_ = pending_.subspan(in.pos);
        if (ZSTD_isError(status) != 0) return false;
        inside_ = status != 0;
        zstd_wants_ = inside_ ? status : kFrameStart;
        return true;
    }

    int fd_;
    std::vector<std::uint8_t> input_;
    std::span<const std::uint8_t> pending_;
    std::uint64_t read_ = 0;
    Packing packing_ = Packing::none;
    bool ended_ = false;   // the file has no more
    bool inside_ = false;  // in the middle of a compressed member or frame
    bool full_ = false;    // the last step filled its output: there may be more without more input
    int problem_ = 0;
    std::uint64_t read_members_ = 0;
    z_stream gzip_{};
    static constexpr std::size_t kFrameStart = 5;  // bytes that a frame's header has at least
    ZSTD_DStream* zstd_ = nullptr;
    std::size_t zstd_wants_ = kFrameStart;
};

ByteSource::ByteSource(const std::filesystem::path& path) {
    const auto fail = [&](int error_number, std::string_view try_this) {
        throw_errno(ExitCode::file, fmt::format("{}", path.string()), error_number, try_this);
    };
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail(errno, "give the path of a file that this user may read");
    struct stat about {};
    if (fstat(fd, &about) != 0 || S_ISDIR(about.st_mode)) {
        close(fd);
        fail(S_ISDIR(about.st_mode) ? EISDIR : errno, "give the files in it, not the directory");
    }
    const bool regular = S_ISREG(about.st_mode);
    file_size_ = regular ? static_cast<std::uint64_t>(about.st_size) : 0;
    if (regular && about.st_size > 0) {
        void* map = mmap(nullptr, file_size_, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map != MAP_FAILED) {
            const auto* bytes = static_cast<const std::uint8_t*>(map);
            if (packing_of({bytes, static_cast<std::size_t>(file_size_)}) == Packing::none) {
                madvise(map, file_size_, MADV_SEQUENTIAL);
                close(fd);
                map_ = map;
                map_bytes_ = file_size_;
                data_ = bytes;
                end_ = file_size_;
                return;
            }
            munmap(map, file_size_);
        }
    }
    stream_ = std::make_unique<Stream>(fd, std::span<const std::uint8_t>{});
}

ByteSource::ByteSource(std::span<const std::uint8_t> memory) : file_size_(memory.size()) {
    if (packing_of(memory) == Packing::none) {
        data_ = memory.data();
        end_ = memory.size();
    } else {
        stream_ = std::make_unique<Stream>(-1, memory);
    }
}

ByteSource::~ByteSource() {
    if (map_ != nullptr) munmap(map_, map_bytes_);
}

ByteSource::ByteSource(ByteSource&& other) noexcept { *this = std::move(other); }

ByteSource& ByteSource::operator=(ByteSource&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(at_, other.at_);
    std::swap(end_, other.end_);
    std::swap(discarded_, other.discarded_);
    std::swap(file_size_, other.file_size_);
    std::swap(stream_, other.stream_);
    std::swap(buffer_, other.buffer_);
    std::swap(map_, other.map_);
    std::swap(map_bytes_, other.map_bytes_);
    std::swap(damage_, other.damage_);
    return *this;
}

std::uint64_t ByteSource::file_position() const {
    return stream_ != nullptr ? stream_->file_position() : at_;
}

void ByteSource::fill(std::size_t bytes) {
    if (at_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
        discarded_ += at_;
        end_ -= at_;
        at_ = 0;
    }
    const std::size_t wanted = std::max(std::min(bytes, kPeekMax), std::size_t{1} << 18);
    while (end_ < std::min(bytes, kPeekMax) && damage_.empty()) {
        // Grows with what is really there, so that a forged length costs nothing.
        if (buffer_.size() == end_) buffer_.resize(std::max(std::min(wanted, 2 * end_), std::size_t{1} << 18));
        const std::size_t n = stream_->read({buffer_.data() + end_, buffer_.size() - end_}, damage_);
        if (n == 0) break;
        end_ += n;
    }
    data_ = buffer_.data();
}

}  // namespace millrace::replay
