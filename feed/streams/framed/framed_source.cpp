#include "millrace/feed/streams/framed/framed_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "millrace/core/error.hpp"
#include "millrace/feed/streams/dbn/market_clock.hpp"
#include "millrace/feed/streams/dbn/metadata.hpp"

namespace millrace::streams {

namespace {

// A buffer is moved together when so much of it was read.
constexpr std::size_t kReadBeforeMove = std::size_t{1} << 20;

[[noreturn]] void refuse(const std::string& where, std::string_view what) {
    throw Error(ExitCode::usage, fmt::format("{}: {}", where, what));
}

std::string_view text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

FramedSource::FramedSource(Url& url)
    : where_(url.text()), follow_(url.take_number("follow", 0, 1) != 0) {
    take_framing(url);
    take_content(url);
    input_ = url.scheme == "file" ? make_file_input(url, follow_) : make_tcp_input(url);
}

void FramedSource::take_framing(Url& url) {
    const std::string kind = url.take("framing", "length");
    if (kind == "length") framing_.kind = Framing::Kind::length;
    else if (kind == "fixed") framing_.kind = Framing::Kind::fixed;
    else if (kind == "delimiter") framing_.kind = Framing::Kind::delimiter;
    else refuse(where_, "framing is length, fixed or delimiter");
    framing_.width = static_cast<std::uint8_t>(url.take_number("width", 4, 8));
    constexpr std::array<int, 4> kWidths{1, 2, 4, 8};
    if (std::find(kWidths.begin(), kWidths.end(), framing_.width) == kWidths.end())
        refuse(where_, "width is 1, 2, 4 or 8");
    const std::string order = url.take("order", "little");
    if (order != "little" && order != "big") refuse(where_, "order is little or big");
    framing_.big_endian = order == "big";
    framing_.size = url.take_number("size", 0, framing_.most);
    if (framing_.kind == Framing::Kind::fixed && framing_.size == 0)
        refuse(where_, "framing=fixed needs size=, in bytes");
    const std::string delimiter = url.take("delimiter", "\n");
    if (delimiter.size() != 1) refuse(where_, "delimiter is one byte, as %0A");
    framing_.delimiter = static_cast<std::uint8_t>(delimiter.front());
}

void FramedSource::take_content(Url& url) {
    const std::array<std::string, 3> usual{"envelope", "records", "csv"};
    const std::string content =
        url.take("payload", usual[static_cast<std::size_t>(framing_.kind)]);
    if (content == "envelope") content_ = Content::envelope;
    else if (content == "records") content_ = Content::records;
    else if (content == "csv") content_ = Content::csv;
    else refuse(where_, "payload is envelope, records or csv");
    const std::string schema = url.take("schema", "mbo");
    const dbn::SchemaInfo* info = dbn::schema_named(schema);
    if (info == nullptr) refuse(where_, "schema is one of DBN's, as mbo or trades");
    rtype_ = info->rtype;
    dataset_ = url.take("dataset", "CSV");
    const std::string bad = url.take("bad_rows", "skip");
    if (bad != "skip" && bad != "stop") refuse(where_, "bad_rows is skip or stop");
    stop_at_bad_row_ = bad == "stop";
    const std::string columns = url.take("columns", "");
    if (columns.empty()) return;
    CsvSplitter splitter;
    std::size_t size = 0;
    static_cast<void>(splitter.next(columns, true, size));
    rows_.emplace(rtype_, splitter.cells(), where_);
}

std::uint32_t FramedSource::id_of(std::string_view symbol) {
    const auto found = ids_.find(symbol);
    if (found != ids_.end()) return found->second;
    const auto id = static_cast<std::uint32_t>(ids_.size() + 1);
    ids_.emplace(symbol, id);
    return id;
}

// A DBN stream of one record begins with metadata that name it.
void FramedSource::begin_payload(std::uint64_t ts_event, std::uint32_t id, std::string_view symbol) {
    dbn::Metadata metadata;
    metadata.dataset = dataset_;
    metadata.schema = static_cast<std::uint16_t>(dbn::Schema::mixed);
    metadata.stype_in = static_cast<std::uint8_t>(dbn::SymbolType::raw_symbol);
    if (!symbol.empty()) {
        const std::uint32_t date = dbn::utc_date(static_cast<Timestamp>(ts_event));
        metadata.symbols = {std::string(symbol)};
        metadata.mappings = {
            {std::string(symbol), {{date, dbn::next_date(date), std::to_string(id)}}}};
    }
    const std::vector<std::uint8_t> bytes = dbn::encode(metadata);
    payload_.assign(bytes.begin(), bytes.end());
}

// False for a row that brings no record: the one that names the columns, or a bad one.
bool FramedSource::take_row(std::string_view text) {
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    CsvSplitter splitter;
    std::size_t size = 0;
    const bool good = splitter.next(text, true, size) == CsvSplitter::Step::row && size == text.size();
    if (good && !rows_) {
        rows_.emplace(rtype_, splitter.cells(), where_);
        return false;
    }
    dbn::RecordView record;
    if (!good || !rows_->parse(splitter.cells(), record)) {
        ++bad_;
        problem_ = fmt::format("{}: row {}: {}; mend it, or choose bad_rows=skip", where_, frames_,
                               good ? rows_->problem() : "quotes that do not match");
        return false;
    }
    dbn::Header header = record.header();
    if (header.instrument_id.value() == 0) header.instrument_id.set(id_of(rows_->symbol()));
    begin_payload(header.ts_event.value(), header.instrument_id.value(), rows_->symbol());
    const std::size_t begin = payload_.size();
    payload_.append(text_of(record.bytes()));
    payload_.replace(begin, sizeof(header),
                     std::string_view(reinterpret_cast<const char*>(&header), sizeof(header)));
    return true;
}

bool FramedSource::take_envelope(std::span<const std::uint8_t> frame, Received& received) const {
    if (frame.size() < sizeof(Envelope)) return false;
    received.envelope = wire::view<Envelope>(frame);
    received.has_envelope = true;
    received.payload = frame.subspan(sizeof(Envelope));
    return true;
}

// False when the message brings nothing for the caller.
bool FramedSource::take(std::span<const std::uint8_t> frame, Received& received) {
    received = {};
    ++frames_;
    input_->taken(frames_);
    if (content_ == Content::envelope) {
        if (take_envelope(frame, received)) return true;
        ++bad_;
        return false;
    }
    if (content_ == Content::csv) {
        if (frame.empty() || !take_row(text_of(frame))) return false;
    } else {
        dbn::RecordView record;
        if (dbn::next_record(frame, record) != dbn::Step::record) {
            ++bad_;
            return false;
        }
        begin_payload(0, 0, {});
        payload_.append(text_of(frame));
    }
    received.payload = {reinterpret_cast<const std::uint8_t*>(payload_.data()), payload_.size()};
    received.gap = std::exchange(gap_, false);
    return true;
}

// What was begun is not to be had any more; what follows begins at a message.
Source::Next FramedSource::broken() {
    ++breaks_;
    buffer_.clear();
    at_ = 0;
    gap_ = gap_ || !input_->resumes();
    return Next::none;
}

Source::Next FramedSource::on_end() {
    const bool whole = at_ == buffer_.size();
    if (follow_) return broken();
    if (whole) return Next::end;
    problem_ = fmt::format("{}: ends in the middle of a message", where_);
    return Next::failed;
}

Source::Next FramedSource::next(int wait_ms, Received& received) {
    for (;;) {
        const std::span<const std::uint8_t> bytes(
            reinterpret_cast<const std::uint8_t*>(buffer_.data()) + at_, buffer_.size() - at_);
        std::span<const std::uint8_t> frame;
        std::size_t taken = 0;
        const Framing::Step step = framing_.next(bytes, frame, taken);
        if (step == Framing::Step::malformed) {
            problem_ = fmt::format("{}: message {} has an impossible length", where_, frames_ + 1);
            return Next::failed;
        }
        if (step == Framing::Step::frame) {
            at_ += taken;
            const std::uint64_t bad = bad_;
            if (take(frame, received)) return Next::batch;
            if (stop_at_bad_row_ && bad_ != bad) return Next::failed;
            continue;
        }
        if (at_ > kReadBeforeMove || at_ == buffer_.size()) buffer_.erase(0, std::exchange(at_, 0));
        switch (input_->read(wait_ms, buffer_, problem_)) {
            case ByteInput::Step::bytes: break;
            case ByteInput::Step::none: return Next::none;
            case ByteInput::Step::broken: return broken();
            case ByteInput::Step::end: return on_end();
            case ByteInput::Step::failed: return Next::failed;
        }
    }
}

std::vector<SourceCounter> FramedSource::counters() const {
    return {{"bad_messages", bad_}, {"breaks", breaks_}};
}

}  // namespace millrace::streams
