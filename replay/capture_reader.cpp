#include "millrace/replay/capture_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "millrace/core/error.hpp"
#include "millrace/core/prefetch.hpp"
#include "millrace/feed/framing/frame.hpp"

namespace millrace::replay {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kNanoseconds = 0xa1b23c4d;
constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr std::uint32_t kInterfaceDescription = 1;
constexpr std::uint32_t kObsoletePacket = 2;
constexpr std::uint32_t kSimplePacket = 3;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;

constexpr std::size_t kPcapHeader = 24;
constexpr std::size_t kPcapRecord = 16;
constexpr std::size_t kBlockMin = 12;  // pcapng
constexpr std::uint32_t kFrameMax = 16U << 20;  // no capture tool keeps more of a frame
constexpr std::size_t kFetchAhead = 2048;
constexpr std::size_t kInterfacesMax = 65'536;

using RecordWalker = BlockWalker<wire::ByteOrder::big>;

std::uint32_t host32(Bytes bytes, std::size_t at) {
    std::uint32_t number = 0;
    std::memcpy(&number, &bytes[at], sizeof(number));
    return number;
}

// Value of an option in a pcapng block; empty when it is not there.
template <class U16>
Bytes option(Bytes options, std::uint16_t wanted, U16&& u16) {
    std::size_t at = 0;
    while (options.size() - at >= 4) {
        const std::uint16_t code = u16(options, at);
        const std::size_t length = u16(options, at + 2);
        if (code == 0 || options.size() - at - 4 < length) break;
        if (code == wanted) return options.subspan(at + 4, length);
        at = std::min(options.size(), at + 4 + (length + 3) / 4 * 4);
    }
    return {};
}

}  // namespace

std::string_view name(CaptureFormat format) {
    constexpr std::array<std::string_view, 4> kNames{"pcap", "pcapng", "BinaryFILE", "DBN"};
    return kNames[static_cast<std::size_t>(format)];
}

CaptureReader::CaptureReader(const std::filesystem::path& path) : source_(path), title_(path.string()) { detect(); }

CaptureReader::CaptureReader(Bytes memory, std::string title) : source_(memory), title_(std::move(title)) {
    detect();
}

std::uint16_t CaptureReader::u16(Bytes bytes, std::size_t at) const {
    std::uint16_t number = 0;
    std::memcpy(&number, &bytes[at], sizeof(number));
    return swapped_ ? __builtin_bswap16(number) : number;
}

std::uint32_t CaptureReader::u32(Bytes bytes, std::size_t at) const {
    const std::uint32_t number = host32(bytes, at);
    return swapped_ ? __builtin_bswap32(number) : number;
}

void CaptureReader::end(std::string_view why) {
    ended_ = true;
    if (!source_.damage().empty()) why = source_.damage();
    if (!why.empty()) damage_ = fmt::format("{} (at byte {} of the content)", why, source_.position());
}

void CaptureReader::detect() {
    const Bytes head = source_.peek(kPcapHeader);
    if (dbn::looks_like_dbn(head)) {
        format_ = CaptureFormat::dbn;
        dbn_ = std::make_unique<DbnBlocks>(DbnFileReader(std::move(source_), title_));
        return;
    }
    if (head.size() >= 4) {
        const std::uint32_t magic = host32(head, 0);
        const std::uint32_t turned = __builtin_bswap32(magic);
        if (magic == kSectionHeader && head.size() >= kPcapHeader) {
            format_ = CaptureFormat::pcapng;
            read_interfaces();
            return;
        }
        for (const std::uint32_t known : {kMicroseconds, kNanoseconds}) {
            if ((magic == known || turned == known) && head.size() >= kPcapHeader) {
                format_ = CaptureFormat::pcap;
                swapped_ = magic != known;
                unit_ns_ = known == kNanoseconds ? 1 : 1000;
                interfaces_.push_back({u32(head, 20) & 0x0fffffff, 0, 0, {}});
                source_.consume(kPcapHeader);
                return;
            }
        }
    }
    if (looks_like_records(source_.peek(std::size_t{1} << 16))) {
        format_ = CaptureFormat::binaryfile;
        return;
    }
    if (!source_.damage().empty()) throw Error(ExitCode::format, fmt::format("{}: {}; fetch the file again", title_, source_.damage()));
    throw Error(ExitCode::format, fmt::format("{}: {}; give a pcap, pcapng, BinaryFILE or DBN capture, plain, gzip or zstd",
                                              title_, source_.peek(1).empty() ? "is empty" : "is no capture"));
}

// BinaryFILE has no magic: messages must chain from the start, each with a letter for a type and no longer
// than any venue's message, for as far as can be seen.
bool CaptureReader::looks_like_records(Bytes head) const {
    constexpr std::size_t kMessageMax = 1024;
    constexpr int kEnough = 32;
    const bool all = head.size() < (std::size_t{1} << 16);  // the whole file is in sight
    RecordWalker walker(head);
    int records = 0;
    while (records < kEnough && walker.has_next()) {
        const Bytes message = walker.next();
        if (message.empty()) return records > 0;
        const std::uint8_t type = message[0] | 0x20;
        if (message.size() > kMessageMax || message.size() < 2 || type < 'a' || type > 'z') return false;
        ++records;
    }
    if (records == kEnough) return true;
    // A short file: its last record may be cut off, but there must be a first one.
    return all && records > 0;
}

bool CaptureReader::next_dbn_records(Records& records) {
    records = {next_record_, 0, {}};
    records.count = dbn_->next(records.blocks);
    if (records.count == 0) {
        damage_ = dbn_->damage();
        return false;
    }
    next_record_ += records.count;
    counters_.frames += records.count;
    return true;
}

bool CaptureReader::next_records(Records& records) {
    if (dbn_ != nullptr) return next_dbn_records(records);
    constexpr std::uint32_t kMost = 256;
    source_.consume(std::exchange(consume_next_, 0));
    if (ended_) return false;
    const Bytes seen = source_.peek(std::size_t{1} << 17);
    RecordWalker walker(seen);
    std::uint32_t count = 0;
    bool end_mark = false;
    std::size_t bytes = 0;
    while (count < kMost && walker.has_next() && !end_mark) {
        if (walker.next().empty()) {
            end_mark = true;
        } else {
            ++count;
            bytes = seen.size() - walker.rest().size();
        }
    }
    if (count == 0) {
        if (!end_mark && !walker.rest().empty()) end("ends inside a record");
        else end("");
        return false;
    }
    records = {next_record_, count, seen.first(bytes)};
    next_record_ += count;
    counters_.frames += count;
    consume_next_ = bytes;
    return true;
}

bool CaptureReader::next(Datagram& datagram) {
    RawFrame frame;
    while (next_frame(frame)) {
        ++counters_.frames;
        UdpDatagram udp;
        switch (find_udp(interfaces_[frame.interface].link_type, frame.bytes, udp)) {
            case FrameContent::udp:
                ++counters_.datagrams;
                counters_.truncated += udp.truncated ? 1 : 0;
                datagram = {counters_.frames, frame.at, frame.interface, udp.source,
                            udp.destination, udp.payload, udp.truncated};
                return true;
            case FrameContent::other: ++counters_.other; break;
            case FrameContent::fragment: ++counters_.fragments; break;
            case FrameContent::malformed: ++counters_.malformed; break;
        }
    }
    return false;
}

bool CaptureReader::next_frame(RawFrame& frame) {
    source_.consume(std::exchange(consume_next_, 0));
    if (ended_) return false;
    if (!(format_ == CaptureFormat::pcap ? next_pcap_frame(frame) : next_pcapng_frame(frame))) return false;
    // What comes some packets later is on its way into the cache meanwhile.
    const Bytes rest = source_.peek(0);
    if (rest.size() > kFetchAhead + consume_next_) prefetch_all(rest.subspan(kFetchAhead, consume_next_));
    return true;
}

bool CaptureReader::next_pcap_frame(RawFrame& frame) {
    Bytes seen = source_.peek(kPcapRecord);
    if (seen.size() < kPcapRecord) {
        end(seen.empty() ? "" : "ends inside a packet header");
        return false;
    }
    const std::size_t length = u32(seen, 8);
    if (length > kFrameMax) {
        end("a packet header is damaged");
        return false;
    }
    frame.at = Timestamp{u32(seen, 0)} * 1'000'000'000 + Timestamp{u32(seen, 4)} * unit_ns_;
    frame.interface = 0;
    if (seen.size() < kPcapRecord + length) {
        seen = source_.peek(kPcapRecord + length);
        if (seen.size() < kPcapRecord + length) {
            end("ends inside a packet");
            return false;
        }
    }
    frame.bytes = seen.subspan(kPcapRecord, length);
    consume_next_ = kPcapRecord + length;
    return true;
}

bool CaptureReader::next_pcapng_frame(RawFrame& frame) {
    Block block;
    while (next_block(block)) {
        if (block.type == kInterfaceDescription) on_interface(block.body);
        else if (on_packet(block.type, block.body, frame)) return true;
    }
    return false;
}

bool CaptureReader::next_block(Block& block) {
    source_.consume(std::exchange(consume_next_, 0));
    Bytes seen = source_.peek(kBlockMin);
    if (seen.size() < kBlockMin) {
        end(seen.empty() ? "" : "ends inside a block header");
        return false;
    }
    if (host32(seen, 0) == kSectionHeader && !on_section(seen)) return false;
    const std::size_t length = u32(seen, 4);
    if (length < kBlockMin || length % 4 != 0 || length > kFrameMax) {
        end("a block header is damaged");
        return false;
    }
    seen = source_.peek(length);
    if (seen.size() < length) {
        end("ends inside a block");
        return false;
    }
    consume_next_ = length;
    block = {u32(seen, 0), seen.subspan(8, length - kBlockMin)};
    return true;
}

// The first section's header and the interfaces behind it, up to whatever else comes.
void CaptureReader::read_interfaces() {
    Block block;
    const auto interface_is_next = [this] {
        source_.consume(std::exchange(consume_next_, 0));
        const Bytes seen = source_.peek(kBlockMin);
        return seen.size() >= kBlockMin && u32(seen, 0) == kInterfaceDescription;
    };
    if (!next_block(block)) return;
    while (interface_is_next() && next_block(block)) on_interface(block.body);
}

// A section has its own byte order and numbers its interfaces from 0.
bool CaptureReader::on_section(Bytes head) {
    const std::uint32_t magic = host32(head, 8);
    if (magic != kByteOrderMagic && __builtin_bswap32(magic) != kByteOrderMagic) {
        end("a section header is damaged");
        return false;
    }
    swapped_ = magic != kByteOrderMagic;
    section_begin_ = interfaces_.size();
    return true;
}

void CaptureReader::on_interface(Bytes body) {
    if (body.size() < 8 || interfaces_.size() >= kInterfacesMax) return;
    Interface interface;
    interface.link_type = u16(body, 0);
    const auto read16 = [this](Bytes bytes, std::size_t at) { return u16(bytes, at); };
    const Bytes options = body.subspan(8);
    if (const Bytes name = option(options, 2, read16); !name.empty()) {
        interface.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
    }
    if (const Bytes resolution = option(options, 9, read16); !resolution.empty()) {
        const unsigned exponent = resolution[0] & 0x7f;
        const bool power_of_two = (resolution[0] & 0x80) != 0;
        std::uint64_t units = 1;
        for (unsigned i = 0; i < std::min(exponent, power_of_two ? 62U : 18U); ++i) units *= power_of_two ? 2 : 10;
        interface.units_per_second = units;
    }
    if (const Bytes offset = option(options, 14, read16); offset.size() == 8) {
        const std::uint64_t low = u32(offset, swapped_ ? 4 : 0);
        const std::uint64_t high = u32(offset, swapped_ ? 0 : 4);
        interface.offset_seconds = static_cast<std::int64_t>(high << 32 | low);
    }
    interfaces_.push_back(std::move(interface));
}

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

[[nodiscard]] std::uint64_t ns_of(std::uint64_t units, std::uint64_t units_per_second) {
    // What nearly all captures count in costs no division.
    if (units_per_second == kSecond) return units;
    if (units_per_second == kSecond / 1'000) return units * 1'000;
    __extension__ using Wide = unsigned __int128;
    const Wide fraction = static_cast<Wide>(units % units_per_second) * kSecond;
    return units / units_per_second * kSecond + static_cast<std::uint64_t>(fraction / units_per_second);
}

}  // namespace

// False for blocks that carry no packet, or one that contradicts itself.
bool CaptureReader::on_packet(std::uint32_t type, Bytes body, RawFrame& frame) const {
    std::size_t interface = section_begin_;
    std::size_t header = 20;
    std::size_t length = 0;
    if (type == kEnhancedPacket && body.size() >= header) {
        interface += u32(body, 0);
        length = u32(body, 12);
    } else if (type == kObsoletePacket && body.size() >= header) {
        interface += u16(body, 0);
        length = u32(body, 12);
    } else if (type == kSimplePacket && body.size() >= 4) {
        header = 4;
        length = std::min<std::size_t>(u32(body, 0), body.size() - header);
    } else {
        return false;
    }
    if (interface >= interfaces_.size() || length > body.size() - header) return false;
    frame.interface = static_cast<std::uint32_t>(interface);
    frame.bytes = body.subspan(header, length);
    frame.at = 0;
    if (type != kSimplePacket) {
        const Interface& on = interfaces_[interface];
        const std::uint64_t units = std::uint64_t{u32(body, 4)} << 32 | u32(body, 8);
        // Wraps instead of overflowing when a damaged file claims an absurd time.
        frame.at = static_cast<Timestamp>(ns_of(units, on.units_per_second) +
                                          static_cast<std::uint64_t>(on.offset_seconds) * kSecond);
    }
    return true;
}

}  // namespace millrace::replay
