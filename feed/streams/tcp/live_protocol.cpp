#include "millrace/feed/streams/tcp/live_protocol.hpp"

#include <fmt/format.h>

#include <charconv>
#include <map>

namespace millrace::streams {

namespace {

using Fields = std::map<std::string_view, std::string_view>;

// "key=value|key=value"; a key without a value has an empty one.
Fields fields_of(std::string_view line) {
    Fields fields;
    while (!line.empty()) {
        const std::string_view pair = line.substr(0, line.find('|'));
        line.remove_prefix(std::min(line.size(), pair.size() + 1));
        const std::size_t equals = pair.find('=');
        const bool has_value = equals != std::string_view::npos;
        fields[pair.substr(0, equals)] = has_value ? pair.substr(equals + 1) : "";
    }
    return fields;
}

std::string_view value_of(const Fields& fields, std::string_view key, std::string_view otherwise) {
    const auto found = fields.find(key);
    return found == fields.end() || found->second.empty() ? otherwise : found->second;
}

// 64 hexadecimal digits, a dash, and the end of the key.
bool looks_signed(std::string_view auth) {
    return auth.size() > 65 && auth[64] == '-' &&
           auth.find_first_not_of("0123456789abcdef") == 64;
}

// What is wrong with a client's wishes; empty when they can be met.
std::string refusal(const Fields& auth, const LiveOffer& offer) {
    if (!looks_signed(value_of(auth, "auth", ""))) return "Authentication failed: no signature";
    const std::string_view dataset = value_of(auth, "dataset", "");
    if (dataset != offer.dataset)
        return fmt::format("Unknown dataset {}: this gateway has {}", dataset, offer.dataset);
    if (value_of(auth, "encoding", "dbn") != "dbn") return "This gateway sends DBN alone";
    if (value_of(auth, "compression", "none") != "none") return "This gateway does not compress";
    if (value_of(auth, "ts_out", "0") != "0") return "This gateway sends no ts_out";
    return {};
}

std::string names_of(dbn::SchemaSet schemas) {
    std::string names;
    for (const dbn::SchemaInfo& info : dbn::schemas()) {
        if (!schemas.has(info.schema)) continue;
        names += fmt::format("{}{}", names.empty() ? "" : ", ", info.name);
    }
    return names;
}

// An mbp-1 stream holds what tbbo is.
bool is_offered(const LiveOffer& offer, dbn::Schema schema) {
    return offer.schemas.has(schema) ||
           (schema == dbn::Schema::tbbo && offer.schemas.has(dbn::Schema::mbp_1));
}

}  // namespace

LiveConversation::LiveConversation(const LiveOffer& offer, std::string_view challenge,
                                   std::uint64_t session)
    : offer_(offer), greeting_(fmt::format("lsg_version=1.0.0\ncram={}\n", challenge)),
      session_(session) {}

void LiveConversation::receive(std::string_view bytes, std::string& out) {
    while (!bytes.empty() && !over()) {
        const std::size_t end = bytes.find('\n');
        const std::string_view part = bytes.substr(0, end);
        if (line_.size() + part.size() > kLineMax) {
            problem_ = "A line is too long";
            if (!started()) state_ = State::refused;
            return;
        }
        line_ += part;
        if (end == std::string_view::npos) return;
        bytes.remove_prefix(end + 1);
        if (!line_.empty() && line_.back() == '\r') line_.pop_back();
        on_line(line_, out);
        line_.clear();
    }
}

void LiveConversation::on_line(std::string_view line, std::string& out) {
    if (line.empty()) return;
    if (state_ == State::wants_auth) return on_auth(line, out);
    if (line == "start_session" || line.rfind("start_session=", 0) == 0) state_ = State::started;
    else on_subscribe(line);
}

void LiveConversation::on_auth(std::string_view line, std::string& out) {
    const Fields fields = fields_of(line);
    problem_ = refusal(fields, offer_);
    if (!problem_.empty()) {
        state_ = State::refused;
        out += fmt::format("success=0|error={}\n", problem_);
        return;
    }
    const std::string_view seconds = value_of(fields, "heartbeat_interval_s", "");
    std::from_chars(seconds.data(), seconds.data() + seconds.size(), heartbeat_seconds_);
    if (heartbeat_seconds_ == 0) heartbeat_seconds_ = kHeartbeatSeconds;
    state_ = State::authenticated;
    out += fmt::format("success=1|session_id={}\n", session_);
}

void LiveConversation::on_subscribe(std::string_view line) {
    const Fields fields = fields_of(line);
    const std::string_view schema = value_of(fields, "schema", "");
    const dbn::SchemaInfo* info = dbn::schema_named(schema);
    if (info == nullptr || !is_offered(offer_, info->schema)) {
        problem_ = fmt::format("No schema {} here: this gateway has {}", schema,
                               names_of(offer_.schemas));
        return;
    }
    const std::string_view named_by = value_of(fields, "stype_in", "raw_symbol");
    if (named_by != "raw_symbol" && named_by != "instrument_id") {
        problem_ = fmt::format("stype_in={} is unknown here: name raw symbols", named_by);
        return;
    }
    if (value_of(fields, "snapshot", "0") != "0" || !value_of(fields, "start", "").empty()) {
        problem_ = "This gateway sends what comes from now on: no snapshot, no start";
        return;
    }
    Subscription& wish = subscribed_.emplace_back();
    wish.schema = info->schema;
    wish.by_id = named_by == "instrument_id";
    std::string_view symbols = value_of(fields, "symbols", "");
    while (!symbols.empty()) {
        const std::string_view symbol = symbols.substr(0, symbols.find(','));
        symbols.remove_prefix(std::min(symbols.size(), symbol.size() + 1));
        if (symbol == "ALL_SYMBOLS") wish.all = true;
        else if (++symbols_ <= kSymbolsMax) wish.symbols.emplace_back(symbol);
    }
    if (symbols_ > kSymbolsMax) problem_ = "Too many symbols: subscribe to ALL_SYMBOLS";
}

}  // namespace millrace::streams
