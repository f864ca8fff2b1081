#include "millrace/feed/streams/tcp/gateway_client.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <cstring>

#include "millrace/core/clock.hpp"
#include "millrace/feed/streams/dbn/gateway_records.hpp"
#include "millrace/feed/streams/dbn/metadata.hpp"

namespace millrace::streams {

namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr Nanoseconds kPatience = 30 * kSecond;  // until a client has started its session

// Codes of system records.
constexpr std::uint8_t kHeartbeat = 0;
constexpr std::uint8_t kSubscribed = 1;
constexpr std::uint8_t kSlowReader = 2;

std::string challenge() {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";
    std::array<std::uint8_t, 32> random{};
    if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) return {};
    std::string text;
    for (const std::uint8_t byte : random) text.push_back(kLetters[byte % kLetters.size()]);
    return text;
}

std::uint32_t bit_of(dbn::Schema schema) {
    return std::uint32_t{1} << static_cast<unsigned>(schema);
}

// The schemas that records of an rtype may be of.
const std::array<std::uint32_t, 256>& schemas_by_rtype() {
    static const auto table = [] {
        std::array<std::uint32_t, 256> bits{};
        for (const dbn::SchemaInfo& info : dbn::schemas())
            bits[static_cast<std::uint8_t>(info.rtype)] |= bit_of(info.schema);
        return bits;
    }();
    return table;
}

// The schemas that a record is of: of tbbo only where it shows a trade.
std::uint32_t schemas_of(dbn::RecordView record) {
    const std::uint32_t schemas = schemas_by_rtype()[record.rtype()];
    return dbn::shows_book(record) ? schemas & ~bit_of(dbn::Schema::tbbo) : schemas;
}

}  // namespace

GatewayClient::GatewayClient(const LiveOffer& offer, std::uint64_t session, std::size_t held_max, Timestamp now)
    : offer_(offer), conversation_(offer, challenge(), session), came_at_(now), held_(held_max) {
    const std::string& greeting = conversation_.greeting();
    append({reinterpret_cast<const std::uint8_t*>(greeting.data()), greeting.size()});
}

void GatewayClient::on_bytes(std::span<const char> bytes, std::span<const Symbol> symbols, Timestamp now) {
    if (hang_up_) return;
    std::string answers;
    conversation_.receive({bytes.data(), bytes.size()}, answers);
    append({reinterpret_cast<const std::uint8_t*>(answers.data()), answers.size()});
    if (conversation_.started() && !begun_) begin(symbols);
    if (begun_) subscribe();
    if (conversation_.over() && begun_) send_error(conversation_.problem());
    hang_up_ = conversation_.over();
    last_sent_ = now;
}

void GatewayClient::begin(std::span<const Symbol> symbols) {
    begun_ = true;
    dbn::Metadata metadata;
    metadata.dataset = offer_.dataset;
    append(dbn::encode(metadata));
    // What has been before is not known to it: books of orders cannot be whole.
    instruments_.resize(symbols.size());
    for (std::size_t i = 0; i < symbols.size(); ++i) instruments_[i].damaged = !symbols[i].empty();
}

void GatewayClient::subscribe() {
    for (Subscription& wish : conversation_.take_subscriptions()) {
        Wish& have = wishes_[static_cast<std::size_t>(wish.schema)];
        have.all = have.all || wish.all;
        auto& names = wish.by_id ? have.ids : have.symbols;
        for (std::string& symbol : wish.symbols) names.insert(std::move(symbol));
        for (Instrument& each : instruments_) alter(each, [](Instrument& about) { about.known = false; });
        send_system(kSubscribed, fmt::format("Subscription for {} data succeeded",
                                             dbn::name(wish.schema)));
    }
}

GatewayClient::Instrument& GatewayClient::instrument(std::uint32_t id,
                                                     std::span<const Symbol> symbols) {
    Instrument& found = instruments_[id - 1];
    if (found.known) return found;
    const std::string symbol(symbols[id - 1].view());
    std::uint32_t wants = 0;
    bool all = true;
    for (std::size_t i = 0; i < wishes_.size(); ++i) {
        const Wish& wish = wishes_[i];
        const auto schema = static_cast<dbn::Schema>(i);
        if (wish.all || wish.symbols.count(symbol) != 0 || wish.ids.count(std::to_string(id)) != 0)
            wants |= bit_of(schema);
        else all = all && !offer_.schemas.has(schema);
    }
    alter(found, [&](Instrument& about) {
        about.known = true;
        about.wants = wants;
        about.all = all;
    });
    return found;
}

bool GatewayClient::wants(dbn::RecordView record, std::span<const Symbol> symbols) {
    const std::uint32_t id = record.header().instrument_id.value();
    return (instrument(id, symbols).wants & schemas_of(record)) != 0;
}

// Nothing has to be said before it, and nothing changed in it.
bool GatewayClient::goes_as_it_is(dbn::RecordView record) const {
    const Instrument& about = instruments_[record.header().instrument_id.value() - 1];
    return about.plain() && untold_ == 0 && (about.wants & schemas_of(record)) != 0;
}

// Most records go as they are, and are copied in runs.
std::size_t GatewayClient::put(std::span<const std::uint8_t> records, std::span<const Symbol> symbols) {
    std::size_t run = 0;  // where the present one begins
    std::size_t at = 0;
    dbn::RecordView record;
    while (out_.size() + (at - run) < kOutput && dbn::next_record(records.subspan(at), record) == dbn::Step::record) {
        const std::size_t next = at + record.bytes().size();
        if (goes_as_it_is(record)) {
            ++counters_.sent;
        } else {
            append(records.subspan(run, at - run));
            if (wants(record, symbols)) send_record(record, symbols);
            run = next;
        }
        at = next;
    }
    append(records.subspan(run, at - run));
    return at;
}

void GatewayClient::leave_out(dbn::RecordView record, bool conflate,
                              std::span<const Symbol> symbols) {
    if (!wants(record, symbols)) return;
    const HeldRecords::Put put = conflate ? held_.put(record) : HeldRecords::Put::no_room;
    if (put == HeldRecords::Put::replaced) ++counters_.conflated;
    if (put != HeldRecords::Put::no_room) return;
    ++counters_.lost;
    ++untold_;
    alter(instruments_[record.header().instrument_id.value() - 1], [](Instrument& about) { about.damaged = true; });
}

bool GatewayClient::put_held(std::span<const Symbol> symbols) {
    dbn::RecordView record;
    while (has_room()) {
        if (!held_.take(record)) return true;
        send_record(record, symbols);
    }
    return false;
}

void GatewayClient::tell_of_loss() {
    send_system(kSlowReader, fmt::format("Slow reader: {} records were left out", untold_));
    untold_ = 0;
}

void GatewayClient::send_record(dbn::RecordView record, std::span<const Symbol> symbols) {
    if (untold_ != 0) tell_of_loss();
    const std::uint32_t id = record.header().instrument_id.value();
    Instrument& about = instruments_[id - 1];
    if (!about.named) send_mapping(id, symbols[id - 1]);
    alter(about, [](Instrument& named) { named.named = true; });
    append(record.bytes());
    ++counters_.sent;
    const auto* order = record.as<dbn::Mbo>();
    if (order == nullptr) return;
    auto& copy = *reinterpret_cast<dbn::Mbo*>(&out_[out_.size() - sizeof(dbn::Mbo)]);
    // With 'R' the book begins anew.
    if (order->action.value() == 'R') alter(about, [](Instrument& whole) { whole.damaged = false; });
    if (about.damaged) copy.flags.set(copy.flags.value() | dbn::flags::kMaybeBadBook);
}

void GatewayClient::send_mapping(std::uint32_t id, const Symbol& symbol) {
    auto record = dbn::make<dbn::SymbolMapping>(dbn::Rtype::symbol_mapping);
    record.instrument_id.set(id);
    record.ts_event.set(static_cast<std::uint64_t>(SystemClock::now()));
    record.stype_in.set(static_cast<std::uint8_t>(dbn::SymbolType::raw_symbol));
    record.stype_in_symbol.set(symbol.view());
    record.stype_out.set(static_cast<std::uint8_t>(dbn::SymbolType::raw_symbol));
    record.stype_out_symbol.set(symbol.view());
    record.start_ts.set(dbn::kUndefTimestamp);
    record.end_ts.set(dbn::kUndefTimestamp);
    append(wire::bytes_of(record));
}

void GatewayClient::send_system(std::uint8_t code, std::string_view text) {
    auto record = dbn::make<dbn::System>(dbn::Rtype::system);
    record.ts_event.set(static_cast<std::uint64_t>(SystemClock::now()));
    record.msg.set(text);
    record.code.set(code);
    append(wire::bytes_of(record));
}

void GatewayClient::send_error(std::string_view text) {
    auto record = dbn::make<dbn::ErrorRecord>(dbn::Rtype::error);
    record.ts_event.set(static_cast<std::uint64_t>(SystemClock::now()));
    record.err.set(text);
    record.code.set(255);
    record.is_last.set(1);
    append(wire::bytes_of(record));
}

void GatewayClient::on_time(bool all_sent, Timestamp now) {
    const Nanoseconds beat = Nanoseconds{conversation_.heartbeat_seconds()} * kSecond;
    const bool quiet = all_sent && out_.empty();
    if (!quiet) last_sent_ = now;
    if (begun_ && quiet && now - last_sent_ >= beat) send_system(kHeartbeat, "Heartbeat");
    if (!begun_ && now - came_at_ >= kPatience) gone_ = true;
    if (hang_up_ && quiet) gone_ = true;
}

}  // namespace millrace::streams
