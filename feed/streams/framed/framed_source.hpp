// Messages out of a run of bytes, over TCP or from a file that may grow: our own batches behind their
// envelopes, DBN records, or rows of CSV.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "millrace/feed/streams/csv/csv_reader.hpp"
#include "millrace/feed/streams/framed/byte_input.hpp"
#include "millrace/feed/streams/framed/framing.hpp"
#include "millrace/feed/streams/source.hpp"

namespace millrace::streams {

class FramedSource final : public Source {
  public:
    // Takes its options from the URL (docs/streams.md): `framing` with `width`, `order`, `size` or
    // `delimiter`; `payload` with `schema`, `columns`, `bad_rows` and `dataset`; `follow`; and those
    // of the input. Throws Error(usage, file).
    explicit FramedSource(Url& url);

    [[nodiscard]] Next next(int wait_ms, Received& received) override;
    [[nodiscard]] const std::string& problem() const override { return problem_; }
    void close() override {}
    [[nodiscard]] std::vector<SourceCounter> counters() const override;

  private:
    enum class Content : std::uint8_t { envelope, records, csv };

    void take_framing(Url& url);
    void take_content(Url& url);
    [[nodiscard]] Next broken();
    [[nodiscard]] Next on_end();
    [[nodiscard]] bool take(std::span<const std::uint8_t> frame, Received& received);
    [[nodiscard]] bool take_envelope(std::span<const std::uint8_t> frame, Received& received) const;
    [[nodiscard]] bool take_row(std::string_view text);
    [[nodiscard]] std::uint32_t id_of(std::string_view symbol);
    void begin_payload(std::uint64_t ts_event, std::uint32_t id, std::string_view symbol);

    std::string where_;  // for messages
    bool follow_;
    Framing framing_;
    Content content_ = Content::envelope;
    dbn::Rtype rtype_ = dbn::Rtype::mbo;
    std::string dataset_;
    bool stop_at_bad_row_ = false;
    std::unique_ptr<ByteInput> input_;
    std::string buffer_;
    std::size_t at_ = 0;  // read of it
    std::optional<CsvRecords> rows_;  // once the columns are known
    std::map<std::string, std::uint32_t, std::less<>> ids_;  // of symbols without one
    std::string payload_;
    bool gap_ = false;  // something may be missing before the next message
    std::uint64_t frames_ = 0;
    std::uint64_t bad_ = 0;
    std::uint64_t breaks_ = 0;
    std::string problem_;
};

}  // namespace millrace::streams
