#include "millrace/replay/capture_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include "millrace/core/error.hpp"

namespace millrace::replay {

namespace {
constexpr std::size_t kBuffer = std::size_t{1} << 20;
constexpr std::size_t kBlockMax = std::size_t{68} << 10;  // the longest datagram, its headers and the block around it
using Bytes = std::span<const std::uint8_t>;
}  // namespace

// Compresses what passes through. What was packed so far can be unpacked without what follows; `last` ends the stream.
class ByteSink::Packer {
  public:
    enum class Kind { gzip, zstd };
    explicit Packer(Kind kind) : kind_(kind), out_(kBuffer) {
        if (kind_ == Kind::gzip) {
            deflateInit2(&gzip_, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
            return;
        }
        zstd_ = ZSTD_createCStream();
        ZSTD_CCtx_setParameter(zstd_, ZSTD_c_checksumFlag, 1);  // as gzip has one, so that damage is found
    }
    ~Packer() {
        if (kind_ == Kind::gzip) deflateEnd(&gzip_);
        ZSTD_freeCStream(zstd_);
    }
    Packer(const Packer&) = delete;
    Packer& operator=(const Packer&) = delete;

    template <class Put>
    bool pack(Bytes in, bool last, Put&& put) {
        return kind_ == Kind::gzip ? deflate_all(in, last, put) : compress_all(in, last, put);
    }

  private:
    template <class Put>
    bool deflate_all(Bytes in, bool last, Put& put) {
        gzip_.next_in = const_cast<Bytef*>(in.data());
        gzip_.avail_in = static_cast<uInt>(in.size());
        int status = Z_OK;
        do {
            gzip_.next_out = out_.data();
            gzip_.avail_out = static_cast<uInt>(out_.size());
            status = deflate(&gzip_, last ? Z_FINISH : Z_SYNC_FLUSH);
            if (!put(Bytes(out_.data(), out_.size() - gzip_.avail_out))) return false;
        } while (gzip_.avail_out == 0 || (last && status != Z_STREAM_END));
        return true;
    }
    template <class Put>
    bool compress_all(Bytes in, bool last, Put& put) {
        ZSTD_inBuffer input{in.data(), in.size(), 0};
        for (;;) {
            ZSTD_outBuffer output{out_.data(), out_.size(), 0};
            const std::size_t left =
                ZSTD_compressStream2(zstd_, &output, &input, last ? ZSTD_e_end : ZSTD_e_flush);
            if (ZSTD_isError(left) != 0 || !put(Bytes(out_.data(), output.pos))) return false;
            if (left == 0) return true;
        }
    }

    Kind kind_;
    std::vector<std::uint8_t> out_;
    z_stream gzip_{};
    ZSTD_CStream* zstd_ = nullptr;
};

ByteSink::ByteSink(const std::filesystem::path& path, const std::filesystem::path& called)
    : path_(called.empty() ? path.string() : called.string()) {
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) throw_errno(ExitCode::file, path_, errno, "give a path that this user may write");
    buffer_.reserve(kBuffer);
    constexpr std::size_t kSmallest = 12;  // bytes of a block of pcapng
    ends_.reserve(kBuffer / kSmallest + 1);  // the recorder's thread is not to allocate
    if (path.extension() == ".gz") packer_ = std::make_unique<Packer>(Packer::Kind::gzip);
    if (path.extension() == ".zst") packer_ = std::make_unique<Packer>(Packer::Kind::zstd);
}

ByteSink::~ByteSink() {
    if (fd_ < 0) return;
    static_cast<void>(flush());
    ::close(fd_);
}

bool ByteSink::put(Bytes bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            problem_ = errno;
            return false;
        }
        put_bytes_ += static_cast<std::uint64_t>(n);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return true;
}

bool ByteSink::flush() {
    if (problem_ != 0) return false;
    const auto put_out = [this](Bytes bytes) { return put(bytes); };
    const bool ok = packer_ != nullptr ? packer_->pack(buffer_, false, put_out) : put(buffer_);
    if (!ok) {
        cut();
        return false;
    }
    whole_bytes_ = put_bytes_;
    kept_ += ends_.size();
    buffer_.clear();
    ends_.clear();
    return true;
}

// After a failure: the file keeps what can be read. Of what is packed that is the last flush.
void ByteSink::cut() {
    std::uint64_t end = whole_bytes_;
    for (const std::size_t piece : ends_) {
        if (packer_ != nullptr || whole_bytes_ + piece > put_bytes_) break;
        end = whole_bytes_ + piece;
        ++kept_;
    }
    ends_.clear();
    static_cast<void>(!ftruncate(fd_, static_cast<off_t>(end)));  // a device has no length
}

bool ByteSink::write(Bytes bytes) {
    if (problem_ != 0) return false;
    if (buffer_.size() + bytes.size() > kBuffer && !flush()) return false;
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    ends_.push_back(buffer_.size());
    return true;
}

void ByteSink::close() {
    if (fd_ < 0) return;
    bool ok = flush();
    if (ok && packer_ != nullptr) ok = packer_->pack({}, true, [this](Bytes bytes) { return put(bytes); });
    if (::close(std::exchange(fd_, -1)) != 0 && ok) {
        problem_ = errno;
        ok = false;
    }
    if (!ok) throw_errno(ExitCode::file, path_, problem_, "make room, or write elsewhere");
}

CaptureWriter::CaptureWriter(const std::filesystem::path& path, const std::vector<std::string>& interface_names)
    : sink_(path), headers_(1 + interface_names.size()) {
    block_.reserve(kBlockMax);
    const auto start = [this](std::uint32_t type) {
        block_.clear();
        put32(type);
        put32(0);  // length, set by finish
    };
    const auto finish = [this] {
        const auto length = static_cast<std::uint32_t>(block_.size() + 4);
        std::memcpy(&block_[4], &length, sizeof(length));
        put32(length);
        static_cast<void>(sink_.write(block_));  // a failure shows at close()
    };
    start(0x0a0d0d0a);
    put32(0x1a2b3c4d);
    put16(1);
    put16(0);
    put32(0xffffffff);  // section length not stated
    put32(0xffffffff);
    finish();
    for (const std::string& name : interface_names) {
        start(1);
        put16(1);  // Ethernet
        put16(0);
        put32(0);  // no snap length
        put16(2);  // if_name
        put16(static_cast<std::uint16_t>(name.size()));
        block_.insert(block_.end(), name.begin(), name.end());
        block_.resize((block_.size() + 3) / 4 * 4);
        put16(9);  // if_tsresol: nanoseconds
        put16(1);
        put32(9);
        put32(0);  // end of options
        finish();
    }
}

void CaptureWriter::put16(std::uint16_t number) {
    block_.push_back(static_cast<std::uint8_t>(number));
    block_.push_back(static_cast<std::uint8_t>(number >> 8));
}

void CaptureWriter::put32(std::uint32_t number) {
    put16(static_cast<std::uint16_t>(number));
    put16(static_cast<std::uint16_t>(number >> 16));
}

void CaptureWriter::put_headers(const Endpoint& source, const Endpoint& destination, std::size_t payload_bytes) {
    const auto big16 = [this](std::size_t number) {
        block_.push_back(static_cast<std::uint8_t>(number >> 8));
        block_.push_back(static_cast<std::uint8_t>(number));
    };
    const auto bytes = [this](const std::uint8_t* from, std::size_t n) { block_.insert(block_.end(), from, from + n); };
    const bool v6 = destination.is_v6;
    // Multicast addresses map to Ethernet ones (RFC 1112 6.4, RFC 2464 7); others get a local one.
    const auto& to = destination.address;
    const std::uint8_t mac_v4[6] = {0x01, 0x00, 0x5e, static_cast<std::uint8_t>(to[1] & 0x7f), to[2], to[3]};
    const std::uint8_t mac_v6[6] = {0x33, 0x33, to[12], to[13], to[14], to[15]};
    const std::uint8_t mac_source[6] = {0x02, 0, 0, 0, 0, 1};
    bytes(v6 ? mac_v6 : mac_v4, 6);
    bytes(mac_source, 6);
    big16(v6 ? 0x86dd : 0x0800);
    const std::size_t udp_bytes = payload_bytes + 8;
    if (v6) {
        big16(0x6000);
        big16(0);
        big16(udp_bytes);
        block_.push_back(17);
        block_.push_back(16);
        bytes(source.address.data(), 16);
        bytes(to.data(), 16);
    } else {
        const std::size_t at = block_.size();
        big16(0x4500);
        big16(udp_bytes + 20);
        big16(0);
        big16(0x4000);  // do not fragment
        big16(0x1011);  // hops, UDP
        big16(0);
        bytes(source.address.data(), 4);
        bytes(to.data(), 4);
        std::uint32_t sum = 0;
        for (std::size_t i = at; i < block_.size(); i += 2) sum += static_cast<std::uint32_t>(block_[i] << 8 | block_[i + 1]);
        while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
        block_[at + 10] = static_cast<std::uint8_t>(~sum >> 8);
        block_[at + 11] = static_cast<std::uint8_t>(~sum);
    }
    big16(source.port);
    big16(destination.port);
    big16(udp_bytes);
    big16(0);  // no checksum
}

bool CaptureWriter::write(std::uint32_t interface, Timestamp received_at, const Endpoint& source,
                          const Endpoint& destination, Bytes payload) {
    constexpr std::size_t kHeaderAt = 28;
    block_.clear();
    put32(6);  // enhanced packet
    put32(0);
    put32(interface);
    put32(static_cast<std::uint32_t>(static_cast<std::uint64_t>(received_at) >> 32));
    put32(static_cast<std::uint32_t>(received_at));
    put32(0);
    put32(0);
    put_headers(source, destination, payload.size());
    block_.insert(block_.end(), payload.begin(), payload.end());
    const auto captured = static_cast<std::uint32_t>(block_.size() - kHeaderAt);
    std::memcpy(&block_[20], &captured, sizeof(captured));
    std::memcpy(&block_[24], &captured, sizeof(captured));
    block_.resize((block_.size() + 3) / 4 * 4);
    const auto length = static_cast<std::uint32_t>(block_.size() + 4);
    std::memcpy(&block_[4], &length, sizeof(length));
    put32(length);
    ++packets_;
    return sink_.write(block_);
}

void CaptureWriter::close() { sink_.close(); }

bool RecordFileWriter::write(Bytes message) {
    const std::uint8_t length[2] = {static_cast<std::uint8_t>(message.size() >> 8),
                                    static_cast<std::uint8_t>(message.size())};
    return sink_.write(length) && sink_.write(message);
}

void RecordFileWriter::close() {
    const std::uint8_t end[2] = {0, 0};
    static_cast<void>(sink_.write(end));  // a failure shows at close()
    sink_.close();
}

}  // namespace millrace::replay
