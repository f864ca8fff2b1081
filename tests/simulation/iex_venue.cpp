#include "tests/simulation/iex_venue.hpp"

#include <algorithm>
#include <string_view>

namespace millrace::sim {

namespace {

constexpr std::int64_t kEpoch = 1'700'000'000'000'000'000;
constexpr std::uint16_t kDeep = 0x8004;
constexpr std::string_view kBookTypes = "aMRL85";  // of either feed
// Where fields of levels' messages lie.
constexpr std::size_t kLevelSize = 18;
constexpr std::size_t kLevelPrice = 22;
// Where fields of orders' messages lie.
constexpr std::size_t kSymbol = 10;
constexpr std::size_t kId = 18;
constexpr std::size_t kSize = 26;
constexpr std::size_t kPrice = 30;

void put(Bytes& out, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
void put_text(Bytes& out, std::string text, std::size_t width) {
    text.resize(width, ' ');
    out.insert(out.end(), text.begin(), text.end());
}
[[nodiscard]] std::uint64_t get(std::span<const std::uint8_t> bytes, std::size_t at, int width) {
    std::uint64_t value = 0;
    for (int i = width - 1; i >= 0; --i) value = value << 8 | bytes[at + static_cast<std::size_t>(i)];
    return value;
}
void set(Bytes& bytes, std::size_t at, std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i, value >>= 8) bytes[at + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value);
}

}  // namespace

template <std::uint16_t Protocol>
void IexFeed<Protocol>::put_stream(Bytes& out, std::uint32_t day) {
    put(out, Protocol, 2);
    put(out, 1, 4);  // channel
    put(out, day, 4);
}

template <std::uint16_t Protocol>
void IexFeed<Protocol>::encode(const Event& e, std::uint32_t, std::uint32_t, Bytes& out) {
    const auto begin = [&](char type, char second) {
        out.push_back(static_cast<std::uint8_t>(type));
        out.push_back(static_cast<std::uint8_t>(second));
        put(out, static_cast<std::uint64_t>(e.time), 8);
        if (type != 'S') put_text(out, symbol(e.symbol), 8);
    };
    const auto order = [&](std::uint32_t size, std::uint32_t price) {
        put(out, e.id, 8);
        put(out, size, 4);
        put(out, price, 8);
    };
    switch (e.kind) {
        case Kind::directory:
            begin('D', '\0');
            put(out, 100, 4);
            put(out, 1'000'000, 8);
            put(out, 1, 1);
            break;
        case Kind::trading:
            begin('H', e.state);
            put_text(out, "", 4);
            break;
        case Kind::add:
            begin('a', e.bid ? '8' : '5');
            order(e.quantity, e.price);
            break;
        case Kind::execute:
        case Kind::execute_priced:
            begin('L', '\0');
            order(e.quantity, e.kind == Kind::execute ? e.price : e.print_price);
            put(out, e.match, 8);
            break;
        case Kind::cancel:
            if (e.quantity != e.before) {
                begin('M', '\1');
                order(e.before - e.quantity, e.price);
                break;
            }
            [[fallthrough]];
        case Kind::remove:
            begin('R', '\0');
            put(out, e.id, 8);
            break;
        case Kind::replace:
            begin('M', '\0');
            order(e.quantity, e.price);
            break;
        case Kind::level:
            begin(e.bid ? '8' : '5', e.complete ? '\1' : '\0');
            put(out, e.quantity, 4);
            put(out, e.price, 8);
            break;
        case Kind::trade:
            begin('T', '\0');
            put(out, e.quantity, 4);
            put(out, e.price, 8);
            put(out, e.match, 8);
            break;
        case Kind::notice: begin('S', 'R'); break;
    }
}

template <std::uint16_t Protocol>
void IexFeed<Protocol>::begin_packet(const Place& place, Bytes& out) {
    out.clear();
    put(out, 1, 2);  // version, reserved
    put_stream(out, place.session);
    put(out, 0, 4);  // payload length, count
    put(out, place.offset, 8);
    put(out, place.first, 8);
    put(out, static_cast<std::uint64_t>(kEpoch + place.time), 8);
}

template <std::uint16_t Protocol>
void IexFeed<Protocol>::append(Bytes& packet, std::span<const std::uint8_t> message) {
    put(packet, message.size(), 2);
    packet.insert(packet.end(), message.begin(), message.end());
    set(packet, 12, packet.size() - kHeader, 2);
    set(packet, 14, get(packet, 14, 2) + 1, 2);
}

template <std::uint16_t Protocol>
SessionKey IexFeed<Protocol>::session_key(std::uint32_t day) {
    Bytes bytes;
    put_stream(bytes, day);
    SessionKey key;
    std::copy(bytes.begin(), bytes.end(), key.text.begin());
    return key;
}

template <std::uint16_t Protocol>
std::uint32_t IexFeed<Protocol>::session_of(const SessionKey& key) {
    std::uint32_t day = 0;
    for (std::size_t i = 10; i-- > 6;) day = day << 8 | static_cast<std::uint8_t>(key.text[i]);
    return day;
}

template <std::uint16_t Protocol>
std::optional<std::uint32_t> IexFeed<Protocol>::snapshot_session(std::span<const std::uint8_t> request, std::uint32_t) {
    if (request.size() != 59 || get(request, 0, 2) != 57 || request[2] != 'r' || get(request, 43, 4) != 1) {
        return std::nullopt;
    }
    return static_cast<std::uint32_t>(get(request, 47, 4));
}

template <std::uint16_t Protocol>
void IexFeed<Protocol>::snapshot(const Day& day, std::uint64_t sequence, std::uint32_t symbols, Bytes& out) {
    Bytes data;
    std::uint64_t said = 0;
    const auto say = [&](const Event& event) {
        Bytes message;
        encode(event, day.number(), symbols, message);
        Bytes packet;
        begin_packet({day.session(), sequence, 0, 0}, packet);
        if (++said % 2 == 0) {  // behind two lengths, as the documents' examples have it, and behind one
            Bytes nested;
            put(nested, message.size(), 2);
            nested.insert(nested.end(), message.begin(), message.end());
            message = nested;
        }
        append(packet, message);
        put(data, packet.size() + 1, 2);
        data.push_back('d');
        data.insert(data.end(), packet.begin(), packet.end());
    };
    Event event;
    for (event.symbol = 0; event.symbol < symbols; ++event.symbol) {
        event.kind = Kind::directory;
        say(event);
    }
    say({});
    for (event.symbol = 0; event.symbol < symbols; ++event.symbol) {
        event.kind = Kind::trading;
        event.state = day.state(event.symbol, sequence);
        if (event.state != ' ') say(event);
        event.kind = Protocol == kDeep ? Kind::level : Kind::add;
        std::vector<std::pair<Row, std::int64_t>> rows;  // with the times of their places
        for (const Row& row : day.truth(event.symbol, sequence).rows) {
            rows.emplace_back(row, 1 + static_cast<std::int64_t>(rows.size()));
        }
        if (Protocol != kDeep) std::ranges::sort(rows, {}, [](const auto& row) { return row.first.id; });
        for (const auto& [row, time] : rows) {
            event.id = row.id;
            event.bid = row.bid;
            event.price = row.price;
            event.quantity = row.quantity;
            event.time = time;
            say(event);
        }
    }
    put(out, 9, 2);
    out.push_back('s');
    put(out, 11 + data.size() + 11, 8);
    out.insert(out.end(), data.begin(), data.end());
    put(out, 9, 2);
    out.push_back('x');
    put(out, sequence, 8);
}

template <std::uint16_t Protocol>
void IexFeed<Protocol>::refuse(Bytes& out) {
    put(out, 2, 2);
    put_text(out, "eR", 2);
}

template <std::uint16_t Protocol>
std::size_t IexFeed<Protocol>::pick(const Bytes& packet, Rng& rng) {
    std::size_t found = 0;
    std::uint64_t seen = 0;
    for (std::size_t at = kHeader; at + 2 < packet.size(); at += 2 + get(packet, at, 2)) {
        const bool book = kBookTypes.find(static_cast<char>(packet[at + 2])) != std::string_view::npos;
        if (book && rng.below(++seen) == 0) found = at + 2;
    }
    return found;
}

template <std::uint16_t Protocol>
std::uint32_t IexFeed<Protocol>::index_of(const Bytes& packet, std::size_t message) {
    std::uint32_t index = 0;
    for (std::size_t at = kHeader; at + 2 != message; ++index) at += 2 + get(packet, at, 2);
    return index;
}

template <std::uint16_t Protocol>
void IexFeed<Protocol>::break_framing(Bytes& packet, Rng& rng) {
    switch (rng.below(3)) {
        case 0: packet.resize(rng.below(kHeader)); break;             // no whole header
        case 1: packet.resize(packet.size() - 1); break;              // the last byte is cut
        default: set(packet, 14, get(packet, 14, 2) + 1 + rng.below(200), 2);  // more messages than there are
    }
}

template <std::uint16_t Protocol>
bool IexFeed<Protocol>::break_length(Bytes& packet, Rng& rng) {
    const std::size_t at = pick(packet, rng);
    if (at == 0) return false;
    const std::size_t length = get(packet, at - 2, 2);
    const std::size_t cut = rng.between(1, length - 1);
    const auto end = packet.begin() + static_cast<std::ptrdiff_t>(at + length);
    packet.erase(end - static_cast<std::ptrdiff_t>(cut), end);
    set(packet, at - 2, length - cut, 2);
    set(packet, 12, packet.size() - kHeader, 2);
    return true;
}

template <std::uint16_t Protocol>
void IexFeed<Protocol>::break_header(Bytes& packet, Rng& rng) {
    // Several bytes, so that no two packets of a seed happen to agree; the number stays positive.
    std::uint64_t number = 0;
    for (std::size_t i = 6; i >= 3; --i) {
        packet[24 + i] ^= static_cast<std::uint8_t>(1 + rng.below(127));
        number = number << 8 | packet[24 + i];
    }
    // The offset goes with it, else they would contradict each other.
    const std::uint64_t offset = 30 * (number << 24);
    for (std::size_t i = 0; i < 8; ++i) packet[16 + i] = static_cast<std::uint8_t>(offset >> (8 * i));
}

template <std::uint16_t Protocol>
std::optional<std::uint32_t> IexFeed<Protocol>::break_type(Bytes& packet, Rng& rng) {
    const std::size_t at = pick(packet, rng);
    if (at == 0) return std::nullopt;
    packet[at] = static_cast<std::uint8_t>(0x80 | rng.below(0x80));
    return index_of(packet, at);
}

template <std::uint16_t Protocol>
std::optional<std::uint32_t> IexFeed<Protocol>::falsify(Bytes& packet, Rng& rng) {
    const std::size_t at = pick(packet, rng);
    if (at == 0) return std::nullopt;
    const bool first_way = rng.per_mille(500);
    switch (static_cast<char>(packet[at])) {
        case 'a':
        case 'M':
            // More shares, or another price.
            if (first_way) packet[at + kSize + 1] ^= 0x10;
            else packet[at + kPrice] ^= 0x01;
            break;
        case 'L': packet[at + kSize] ^= 0x01; break;  // a share more or less
        case '8':
        case '5':
            // Another total, another price, or the end of the transaction in another place.
            if (rng.per_mille(300)) packet[at + 1] ^= 0x01;
            else packet[at + (first_way ? kLevelSize + 1 : kLevelPrice)] ^= 0x01;
            break;
        default: return std::nullopt;
    }
    return index_of(packet, at);
}

template <std::uint16_t Protocol>
bool IexFeed<Protocol>::break_range(Bytes& packet, Rng& rng) {
    const std::size_t at = pick(packet, rng);
    if (at == 0) return false;
    const bool adds = packet[at] == 'a';
    // A level may hold anything, or nothing.
    switch (Protocol == kDeep ? 2 : rng.below(3)) {
        case 0:
            if (adds) packet[at + 1] = static_cast<std::uint8_t>('C' + rng.below(16));  // no such side
            else packet[at + kId + 7] ^= 0x40;                                         // no such order
            return true;
        case 1:
            if (packet[at] == 'R') return false;
            set(packet, at + kSize, packet[at] == 'L' ? 0x7f000000 : 0, 4);  // more than there is, or nothing
            return true;
        default:
            // No symbol at all. Another one than the order's would be believed where nobody wants that one's book.
            std::fill_n(packet.begin() + static_cast<std::ptrdiff_t>(at + kSymbol), 8, static_cast<std::uint8_t>(' '));
            return true;
    }
}

template struct IexFeed<0x8004>;
template struct IexFeed<0x8005>;

}  // namespace millrace::sim
