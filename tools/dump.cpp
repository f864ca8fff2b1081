// millrace dump: every field of every message of a capture, framed and decoded without arbitration.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>

#include "command.hpp"
#include "console.hpp"
#include "dump_format.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/capture_reader.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "venue_choice.hpp"
#include "verdict.hpp"

namespace millrace::tools {

namespace {

struct DumpOptions {
    std::string file;
    std::string venue;
    bool json = false;
};

// stdout, in large pieces; what cannot be written is an error and not lost in silence.
class Writer {
  public:
    explicit Writer(bool json) : json_(json) {}

    template <class What>
    void put(const MessagePlace& place, const What& what, std::span<const std::uint8_t> message) {
        if (json_) dump_json(out_, place, what, message);
        else dump_text(out_, place, what, message);
        out_.push_back('\n');
        if (out_.size() > kPiece) flush();
    }
    void flush() {
        write_result({out_.data(), out_.size()});
        out_.clear();
    }

  private:
    static constexpr std::size_t kPiece = std::size_t{1} << 16;
    bool json_;
    fmt::memory_buffer out_;
};

struct DumpCounts {
    std::uint64_t messages = 0;
    std::uint64_t unknown = 0;
    std::uint64_t malformed = 0;
    std::uint64_t packets = 0;
    std::uint64_t heartbeats = 0;
    std::uint64_t bad_packets = 0;  // whose framing does not hold together
    std::uint64_t excess = 0;       // with bytes behind their last message

    [[nodiscard]] Readable readable() const {
        const std::uint64_t bad_messages = unknown + malformed;
        return {messages - bad_messages, bad_messages, heartbeats, bad_packets + excess};
    }
};

template <class Venue>
void dump_messages(Writer& writer, DumpCounts& counts, MessagePlace place, std::uint32_t count,
                   std::span<const std::uint8_t> blocks) {
    typename Venue::Framing::Walker walker(blocks);
    for (std::uint32_t i = 0; i < count; ++i, ++place.sequence) {
        const auto message = walker.next();
        const wire::MessageLayout* layout = Venue::layout(message);
        ++counts.messages;
        if (layout != nullptr && layout->fits(message)) {
            writer.put(place, *layout, message);
        } else if (layout != nullptr || message.empty()) {
            ++counts.malformed;
            writer.put(place, std::string_view("malformed"), message);
        } else {
            ++counts.unknown;
            writer.put(place, std::string_view("unknown"), message);
        }
    }
}

template <class Venue>
void dump_datagrams(replay::CaptureReader& reader, Writer& writer, DumpCounts& counts, StopSignals& signals,
                    Progress& progress) {
    replay::Datagram datagram;
    while (reader.next(datagram) && !signals.stopped()) {
        ++counts.packets;
        const Frame frame = Venue::Framing::parse(datagram.payload);
        if (frame.kind == FrameKind::malformed) {
            ++counts.bad_packets;
            continue;
        }
        if (frame.excess != 0) ++counts.excess;
        else if (frame.count == 0) ++counts.heartbeats;
        MessagePlace place{datagram.frame, datagram.captured_at, frame.first_sequence};
        if constexpr (requires { Venue::Framing::header(datagram.payload).channel_id; }) {
            const auto& header = Venue::Framing::header(datagram.payload);
            place.channel = header.channel_id.value();
            place.session = header.session_id.value();
        }
        dump_messages<Venue>(writer, counts, place, frame.count, frame.blocks);
        if (counts.packets % 1024 == 0) {
            progress.update(reader.bytes_read(), reader.bytes_total(), counts.messages, "messages");
        }
    }
}

template <class Venue>
void dump_records(replay::CaptureReader& reader, Writer& writer, DumpCounts& counts, StopSignals& signals,
                  Progress& progress) {
    replay::Records records;
    while (reader.next_records(records) && !signals.stopped()) {
        dump_messages<Venue>(writer, counts, {{}, {}, records.first}, records.count, records.blocks);
        progress.update(reader.bytes_read(), reader.bytes_total(), counts.messages, "messages");
    }
}

template <class Venue>
ExitCode dump_venue(const DumpOptions& options) {
    StopSignals signals;
    replay::CaptureReader reader{std::filesystem::path(options.file)};
    Writer writer(options.json);
    DumpCounts counts;
    Progress progress("dump");
    if (reader.holds_records()) {
        if constexpr (WalksRecords<typename Venue::Framing>) {
            dump_records<Venue>(reader, writer, counts, signals, progress);
        } else {
            throw Error(ExitCode::usage, fmt::format("{}: a file of records, and {} has none; choose another --venue",
                                                     reader.title(), Venue::kId));
        }
    } else {
        dump_datagrams<Venue>(reader, writer, counts, signals, progress);
    }
    writer.flush();
    progress.clear();
    tell("{} messages, {} of unknown type, {} malformed; {} packets, {} malformed, {} with bytes behind their last "
         "message", counts.messages, counts.unknown, counts.malformed, counts.packets, counts.bad_packets,
         counts.excess);
    if (!reader.damage().empty()) tell_damage(options.file, reader.damage(), "printed");
    if (signals.stopped()) tell("interrupted: {} goes on from there", options.file);
    else if (counts.packets + counts.messages == 0) {
        tell_empty(options.file);
        return ExitCode::failure;
    }
    if (!reads_as_nothing(counts.readable())) return ExitCode::ok;
    tell("{}: nothing in it reads as {}; leave --venue out, or name another one", options.file, Venue::kId);
    return ExitCode::failure;
}

ExitCode run_dump(const DumpOptions& options) {
    const std::string venue = choose_venue(options.venue, {options.file});
    ExitCode code = ExitCode::ok;
    venues::with_venue(venue, [&]<class Venue>() { code = dump_venue<Venue>(options); });
    return code;
}

}  // namespace

void add_dump(CLI::App& app, Run& run) {
    auto options = std::make_shared<DumpOptions>();
    CLI::App* command = app.add_subcommand("dump", "Print every field of every message of a capture");
    command->add_option("FILE", options->file, "pcap, pcapng or BinaryFILE; plain, gzip or zstd")->required();
    command->add_option("--venue", options->venue, "venue id (see millrace version); found out where the file tells");
    command->add_flag("--json", options->json, "one JSON object a message (docs/json.md)");
    command->callback([options, &run] { run = [options] { return run_dump(*options); }; });
}

}  // namespace millrace::tools
