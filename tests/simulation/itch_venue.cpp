#include "tests/simulation/itch_venue.hpp"

#include <utility>

namespace millrace::sim {

namespace {

// A session hands out its locates afresh.
std::uint64_t locate(const Event& event, std::uint32_t day, std::uint32_t symbols) {
    return 1 + (event.symbol + day) % symbols;
}

}  // namespace

void ItchVenue::encode(const Event& e, std::uint32_t day, std::uint32_t symbols, Bytes& out) {
    constexpr std::string_view kTypes = "RHAECXDU-PS";  // by kind; there are no levels
    char type = kTypes[static_cast<std::size_t>(e.kind)];
    if (type == 'A' && e.id % 16 == 3) type = 'F';
    out.push_back(static_cast<std::uint8_t>(type));
    put(out, e.kind == Kind::notice ? 0 : locate(e, day, symbols), 2);
    put(out, 0, 2);
    put(out, static_cast<std::uint64_t>(e.time), 6);
    switch (e.kind) {
        case Kind::directory:
            put_text(out, symbol(e.symbol), 8);
            put_text(out, "QN", 2);
            put(out, 100, 4);
            put_text(out, "NCZ PNN1N", 9);
            put(out, 0, 4);
            put_text(out, "N", 1);
            break;
        case Kind::trading:
            put_text(out, symbol(e.symbol), 8);
            out.push_back(static_cast<std::uint8_t>(e.state));
            put_text(out, "", 5);
            break;
        case Kind::add:
            put(out, e.id, 8);
            put_text(out, e.bid ? "B" : "S", 1);
            put(out, e.quantity, 4);
            put_text(out, symbol(e.symbol), 8);
            put(out, e.price, 4);
            if (type == 'F') put_text(out, "MPID", 4);
            break;
        case Kind::execute:
        case Kind::execute_priced:
            put(out, e.id, 8);
            put(out, e.quantity, 4);
            put(out, e.match, 8);
            if (e.kind == Kind::execute) break;
            put_text(out, e.printable ? "Y" : "N", 1);
            put(out, e.print_price, 4);
            break;
        case Kind::cancel:
            put(out, e.id, 8);
            put(out, e.quantity, 4);
            break;
        case Kind::remove: put(out, e.id, 8); break;
        case Kind::replace:
            put(out, e.id, 8);
            put(out, e.new_id, 8);
            put(out, e.quantity, 4);
            put(out, e.price, 4);
            break;
        case Kind::level: break;
        case Kind::trade:
            put(out, 0, 8);
            put_text(out, "B", 1);
            put(out, e.quantity, 4);
            put_text(out, symbol(e.symbol), 8);
            put(out, e.price, 4);
            put(out, e.match, 8);
            break;
        case Kind::notice: put_text(out, "Q", 1); break;
    }
}

std::optional<std::uint32_t> ItchVenue::snapshot_session(std::span<const std::uint8_t> bytes, std::uint32_t today) {
    if (bytes.size() < 49 || bytes[2] != 'L') return std::nullopt;
    std::string session(bytes.begin() + 19, bytes.begin() + 29);
    std::string number(bytes.begin() + 29, bytes.begin() + 49);
    std::erase(session, ' ');
    std::erase(number, ' ');
    return session.empty() && number == "1" ? std::optional(today) : std::nullopt;
}

void ItchVenue::snapshot(const Day& day, std::uint64_t sequence, std::uint32_t symbols, Bytes& out) {
    const auto padded = [](std::uint64_t number) {
        const std::string digits = std::to_string(number);
        return std::string(20 - digits.size(), ' ') + digits;
    };
    Bytes message;
    put_text(message, "GLIMPSE", 10);
    put_text(message, padded(1), 20);
    soup(out, 'A', message);
    const auto say = [&](const Event& event) {
        message.clear();
        encode(event, day.number(), symbols, message);
        soup(out, 'S', message);
    };
    say({});
    Event event;
    for (event.symbol = 0; event.symbol < symbols; ++event.symbol) {
        event.kind = Kind::directory;
        say(event);
        event.kind = Kind::trading;
        event.state = day.state(event.symbol, sequence);
        if (event.state != ' ') say(event);
    }
    soup(out, 'H', {});
    Rng rng(sequence, day.number());
    for (event.symbol = 0; event.symbol < symbols; ++event.symbol) {
        event.kind = Kind::add;
        std::vector<Row> rows = day.truth(event.symbol, sequence).rows;
        for (std::size_t left = rows.size(); left > 1; --left) std::swap(rows[left - 1], rows[rng.below(left)]);
        for (const Row& row : rows) {
            event.id = row.id;
            event.bid = row.bid;
            event.price = row.price;
            event.quantity = row.quantity;
            say(event);
        }
    }
    message.assign(1, 'G');
    put_text(message, padded(sequence + 1), 20);
    soup(out, 'S', message);
}

std::size_t ItchVenue::pick(const Bytes& packet, Rng& rng, std::string_view types) {
    std::size_t found = 0;
    std::uint64_t seen = 0;
    for (std::size_t at = kHeader; at + 2 < packet.size();) {
        const std::size_t length = std::size_t{packet[at]} << 8 | packet[at + 1];
        const bool fits = types.find(static_cast<char>(packet[at + 2])) != std::string_view::npos;
        if (fits && rng.below(++seen) == 0) found = at + 2;
        at += 2 + length;
    }
    return found;
}

void ItchVenue::break_framing(Bytes& packet, Rng& rng) {
    switch (rng.below(3)) {
        case 0: packet.resize(rng.below(kHeader)); break;                     // no whole header
        case 1: packet.resize(packet.size() - 1); break;                      // the last message is cut
        default: packet[18] = static_cast<std::uint8_t>(1 + rng.below(200));  // far more messages than there are
    }
}

bool ItchVenue::break_length(Bytes& packet, Rng& rng) {
    const std::size_t at = pick(packet, rng);
    if (at == 0) return false;
    const std::size_t length = std::size_t{packet[at - 2]} << 8 | packet[at - 1];
    const std::size_t cut = rng.between(1, length - 1);
    packet[at - 1] = static_cast<std::uint8_t>(length - cut);
    const auto end = packet.begin() + static_cast<std::ptrdiff_t>(at + length);
    packet.erase(end - static_cast<std::ptrdiff_t>(cut), end);
    return true;
}

std::uint32_t ItchVenue::index_of(const Bytes& packet, std::size_t message) {
    std::uint32_t index = 0;
    for (std::size_t at = kHeader; at + 2 != message; ++index) {
        at += 2 + (std::size_t{packet[at]} << 8 | packet[at + 1]);
    }
    return index;
}

void ItchVenue::break_header(Bytes& packet, Rng& rng) {
    // Several bytes, so that no two packets of a seed happen to agree.
    for (std::size_t i = 10; i < 14; ++i) packet[i] ^= static_cast<std::uint8_t>(1 + rng.below(127));
}

std::optional<std::uint32_t> ItchVenue::break_type(Bytes& packet, Rng& rng) {
    const std::size_t at = pick(packet, rng);
    if (at == 0) return std::nullopt;
    packet[at] = static_cast<std::uint8_t>(0x80 | rng.below(0x80));
    return index_of(packet, at);
}

std::optional<std::uint32_t> ItchVenue::falsify(Bytes& packet, Rng& rng) {
    const std::size_t at = pick(packet, rng, "AFECXDUR");
    if (at == 0) return std::nullopt;
    const bool first_way = rng.per_mille(500);
    switch (static_cast<char>(packet[at])) {
        case 'A':
        case 'F':
            // More shares, or another price.
            if (first_way) packet[at + 22] ^= 0x10;
            else packet[at + 35] ^= 0x01;
            break;
        case 'U':
            if (first_way) packet[at + 29] ^= 0x10;
            else packet[at + 34] ^= 0x01;
            break;
        case 'E':
        case 'C':
        case 'X': packet[at + 22] ^= 0x01; break;  // a share more or less
        case 'R':
            // The locate is another symbol's, one that exists.
            if (packet[at + 14] > '1') return std::nullopt;
            packet[at + 14] ^= 0x01;
            break;
        default: return std::nullopt;
    }
    return index_of(packet, at);
}

bool ItchVenue::break_range(Bytes& packet, Rng& rng) {
    const std::size_t at = pick(packet, rng);
    if (at == 0) return false;
    const char type = static_cast<char>(packet[at]);
    const bool adds = type == 'A' || type == 'F';
    const bool states_shares = adds || type == 'E' || type == 'C' || type == 'X';
    const std::size_t shares = at + (adds ? 20 : 19);
    switch (rng.below(3)) {
        case 0:
            if (adds) packet[at + 19] = static_cast<std::uint8_t>('C' + rng.below(16));  // no such side
            else packet[at + 11] ^= 0x40;                                               // no such order
            return true;
        case 1:
            if (!states_shares) return false;
            packet[shares] = packet[shares + 1] = packet[shares + 2] = packet[shares + 3] = 0;
            if (!adds) packet[shares] = 0x7f;
            return true;
        default:
            if (adds) return false;  // an add spells its symbol out and names the locate
            packet[at + 1] = 0x7f;   // a locate the directory never named
            return true;
    }
}

}  // namespace millrace::sim
