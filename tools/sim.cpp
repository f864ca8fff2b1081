// millrace sim: an exchange of our own, to multicast, to a capture, or to a BinaryFILE.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <nlohmann/json.hpp>

#include "checks.hpp"
#include "command.hpp"
#include "console.hpp"
#include "endpoint_text.hpp"
#include "file_choice.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/capture_writer.hpp"
#include "millrace/replay/simulator/exchange.hpp"
#include "millrace/replay/simulator/publisher.hpp"
#include "millrace/replay/simulator/servers.hpp"
#include "progress.hpp"
#include "signals.hpp"

namespace millrace::tools {

namespace {

struct SimOptions {
    replay::ExchangeConfig exchange;
    double seconds = 0;
    std::vector<double> loss, duplicate, reorder, burst_loss;
    std::vector<std::string> multicast;
    std::string interface = "lo";
    double pace = 1;
    bool flat_out = false;
    bool lose_on_all = false;
    std::string capture;
    std::string binaryfile;
    std::vector<std::string> serve;
    std::string username;
    std::string password;
    std::string token;
    double linger = 2;
    bool json = false;
};

// The value for a line: the only one given, its own, or 0.
double for_line(const std::vector<double>& values, std::size_t line, std::size_t lines, const char* flag) {
    if (values.empty()) return 0;
    if (values.size() == 1) return values.front();
    if (values.size() == lines) return values[line];
    throw Error(ExitCode::usage,
                fmt::format("{}: give one value for all lines, or one for each", flag));
}

replay::ExchangeConfig exchange_config(const SimOptions& options) {
    replay::ExchangeConfig config = options.exchange;
    if (options.seconds > 0) {
        config.market.messages =
            static_cast<std::uint64_t>(options.seconds * config.market.messages_per_second);
    }
    config.never_on_all = !options.lose_on_all;
    // What is multicast goes to the groups given and nowhere else.
    const std::size_t lines = options.multicast.empty() ? 2 : options.multicast.size();
    config.lines.resize(lines);
    for (std::size_t i = 0; i < lines; ++i) {
        config.lines[i].loss = for_line(options.loss, i, lines, "--loss");
        config.lines[i].duplicate = for_line(options.duplicate, i, lines, "--duplicate");
        config.lines[i].reorder = for_line(options.reorder, i, lines, "--reorder");
        config.lines[i].burst = for_line(options.burst_loss, i, lines, "--burst-loss");
    }
    return config;
}

// Whether files of records are its framing's.
bool has_records(const std::string& venue) {
    bool has = true;
    venues::with_venue(venue, [&]<class Venue>() { has = WalksRecords<typename Venue::Framing>; });
    return has;
}

// Whether a simulated exchange of that venue runs such a server.
bool can_serve(const std::string& venue, const std::string& what) {
    bool can = true;
    venues::with_venue(venue, [&]<class Venue>() {
        constexpr RecoveryMeans kMeans = recovery_means<Venue>();
        can = what == "retransmit"       ? kMeans.retransmit
              : what == "retransmit-tcp" ? kMeans.retransmit_tcp
              : what == "glimpse"        ? kMeans.glimpse
              : what == "snap"           ? kMeans.snap
                                         : has_records(venue);
    });
    return can;
}

// What no server of the venue asks for would be taken for nothing.
void check_logins(const SimOptions& options) {
    const std::string& venue = options.exchange.venue;
    const bool login = can_serve(venue, "glimpse") || can_serve(venue, "soup");
    for (const auto& [flag, given, asked] : {std::tuple{"--username", !options.username.empty(), login},
                                             std::tuple{"--password", !options.password.empty(), login},
                                             std::tuple{"--token", !options.token.empty(), can_serve(venue, "snap")}}) {
        if (given && !asked)
            throw Error(ExitCode::usage, fmt::format("{}: no server of {} asks for it; leave it out", flag, venue));
    }
}

// "retransmit=127.0.0.1:17000" and the like.
std::optional<replay::ServersConfig> servers_config(const SimOptions& options) {
    if (options.serve.empty()) return std::nullopt;
    replay::ServersConfig config;
    config.venue = options.exchange.venue;
    config.session = options.exchange.session;
    config.packet_bytes_max = options.exchange.packet_bytes_max;
    config.username = options.username;
    config.password = options.password;
    config.token = options.token;
    for (const std::string& text : options.serve) {
        const std::size_t equals = text.find('=');
        const std::string what = text.substr(0, equals);
        const std::size_t colon = text.rfind(':');
        std::optional<GroupConfig>* server = what == "retransmit"       ? &config.retransmit
                                             : what == "retransmit-tcp" ? &config.retransmit_tcp
                                             : what == "glimpse"        ? &config.snapshot
                                             : what == "snap"           ? &config.snapshot
                                             : what == "soup"           ? &config.soup
                                                                        : nullptr;
        if (server == nullptr || equals == std::string::npos || colon == std::string::npos ||
            colon < equals) {
            throw Error(ExitCode::usage,
                        "--serve " + text +
                            ": give retransmit=, retransmit-tcp=, glimpse=, snap= or soup= and ADDRESS:PORT");
        }
        if (!can_serve(options.exchange.venue, what)) {
            throw Error(ExitCode::usage, fmt::format("--serve {}: {} has no such server; leave it out", text,
                                                     options.exchange.venue));
        }
        const Endpoint endpoint = parse_endpoint(text.substr(equals + 1));
        *server = GroupConfig{text.substr(equals + 1, colon - equals - 1), endpoint.port};
    }
    return config;
}

std::string line_name(std::size_t line) { return std::string(1, static_cast<char>('A' + line)); }

Endpoint default_group(std::size_t line) {
    return parse_endpoint(fmt::format("239.255.0.{}:{}", line + 1, 26'477 + line));
}

// Where the packets go: any of the three kinds of output.
class Output {
  public:
    Output(const SimOptions& options, std::size_t lines)
        : pace_(options.flat_out || options.serve.empty() ? 0 : options.pace) {
        for (std::size_t i = 0; i < lines; ++i) {
            groups_.push_back(i < options.multicast.size() ? parse_endpoint(options.multicast[i])
                                                           : default_group(i));
        }
        if (!options.multicast.empty()) {
            publisher_.emplace(groups_, options.interface, options.flat_out ? 0 : options.pace);
        }
        std::vector<std::string> names;
        for (std::size_t i = 0; i < lines; ++i) names.push_back(line_name(i));
        if (!options.capture.empty()) capture_.emplace(options.capture, names);
        if (!options.binaryfile.empty()) records_.emplace(options.binaryfile);
        from_ = parse_endpoint("192.0.2.1:26400");
    }

    // False when it is time to stop.
    [[nodiscard]] bool send(const replay::SimulatedPacket& packet,
                            const std::function<bool()>& keep_on) {
        if (capture_ && !capture_->write(packet.line, replay::kSimulatedMidnight + packet.time, from_,
                                         groups_[packet.line], packet.bytes)) {
            return false;
        }
        return publisher_ ? publisher_->send(packet, keep_on) : pace_.wait_until_due(packet.time, keep_on);
    }
    // BinaryFILE knows neither lines nor faults.
    [[nodiscard]] bool record(replay::Exchange::Message message) {
        return !records_ || records_->write(message);
    }
    // False when it was time to stop before the last packet was sent.
    bool close(const std::function<bool()>& keep_on) {
        const bool sent = !publisher_ || publisher_->flush(keep_on);
        if (capture_) capture_->close();
        if (records_) records_->close();
        capture_.reset();
        records_.reset();
        return sent;
    }
    // Sends what the lines still say after close().
    void flush(const std::function<bool()>& keep_on) {
        if (publisher_) static_cast<void>(publisher_->flush(keep_on));
    }
    [[nodiscard]] const std::optional<replay::Publisher>& publisher() const { return publisher_; }

  private:
    std::vector<Endpoint> groups_;
    Endpoint from_;
    replay::MarketPace pace_;  // of what servers alone send
    std::optional<replay::Publisher> publisher_;
    std::optional<replay::CaptureWriter> capture_;
    std::optional<replay::RecordFileWriter> records_;
};

nlohmann::ordered_json summary(const std::string& venue, const replay::Exchange& exchange,
                               std::size_t lines, const Output& output) {
    const replay::StreamShape& shape = exchange.market().shape();
    nlohmann::ordered_json json;
    json["messages"] = exchange.next_sequence() - 1;
    venues::with_venue(venue, [&]<class Venue>() {
        for (const wire::MessageLayout& layout : Venue::layouts()) {
            const std::uint64_t count = exchange.by_type()[static_cast<std::uint8_t>(layout.type)];
            if (count != 0) json["by_type"][std::string(layout.name)] = count;
        }
    });
    const auto of_adds = [&shape](std::uint64_t some) {
        return shape.adds == 0 ? 0 : static_cast<double>(some) / static_cast<double>(shape.adds);
    };
    json["live_orders_peak"] = shape.live_orders_peak;
    json["adds_that_make_a_level"] = of_adds(shape.new_levels);
    json["adds_14_levels_deep"] = of_adds(shape.deep_adds);
    json["reference_gap_mean"] = shape.reference_gap;
    json["levels_per_side"] = {{"p50", shape.levels_percentile(50)},
                               {"p90", shape.levels_percentile(90)},
                               {"p99", shape.levels_percentile(99)}};
    for (std::size_t i = 0; i < lines; ++i) {
        const replay::LineFaultCounts& counts = exchange.faults().counts(static_cast<LineId>(i));
        json["lines"].push_back({{"name", line_name(i)},
                                 {"packets", counts.packets},
                                 {"lost", counts.lost},
                                 {"lost_messages", counts.lost_messages},
                                 {"duplicated", counts.duplicated},
                                 {"reordered", counts.reordered}});
    }
    if (output.publisher()) {
        json["sent"] = output.publisher()->sent();
        json["send_retries"] = output.publisher()->retried();
        json["latest_ns"] = output.publisher()->latest();
    }
    return json;
}

// The summary for people.
std::string text_of(const std::string& venue, const nlohmann::ordered_json& json) {
    const auto number = [](const nlohmann::ordered_json& of, const char* key) { return of[key].get<std::uint64_t>(); };
    std::string text = fmt::format("exchange  {}, {} messages, at most {} orders alive\n", venue,
                                   number(json, "messages"), number(json, "live_orders_peak"));
    text += fmt::format("{:<10}{:>12}{:>12}{:>12}{:>12}{:>12}\n", "line", "packets", "lost", "messages", "duplicated",
                        "reordered");
    for (const auto& line : json["lines"]) {
        text += fmt::format("{:<10}{:>12}{:>12}{:>12}{:>12}{:>12}\n", line["name"].get<std::string>(),
                            number(line, "packets"), number(line, "lost"), number(line, "lost_messages"),
                            number(line, "duplicated"), number(line, "reordered"));
    }
    if (json.contains("sent")) {
        text += fmt::format("sent      {} packets, {} at another try; at most {:.1f} us late\n", number(json, "sent"),
                            number(json, "send_retries"), static_cast<double>(number(json, "latest_ns")) / 1e3);
    }
    if (json.contains("retransmissions")) {
        text += fmt::format("served    {} retransmissions, {} snapshots\n", number(json, "retransmissions"),
                            number(json, "snapshots"));
    }
    return text;
}

// Whoever is behind can still ask, and the lines say every second that nothing more comes.
void linger(const SimOptions& options, replay::Exchange& exchange, Output& output,
            const std::function<bool()>& keep_on) {
    constexpr Nanoseconds kHeartbeat = 1'000'000'000;
    const Timestamp begin = MonotonicClock::now();
    const auto until = begin + static_cast<Timestamp>(options.linger * 1e9);
    Timestamp mark_at = begin + kHeartbeat;
    while (keep_on() && MonotonicClock::now() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (MonotonicClock::now() < mark_at) continue;
        // Its time has come long ago on the market's clock, so that it is sent at once.
        exchange.repeat_end(exchange.time());
        output.flush(keep_on);
        mark_at += kHeartbeat;
    }
}

ExitCode run_sim(const SimOptions& options) {
    if (options.multicast.empty() && options.capture.empty() && options.binaryfile.empty() &&
        options.serve.empty()) {
        throw Error(ExitCode::usage,
                    "sim: nowhere to send; give --multicast GROUP:PORT, --capture FILE, "
                    "--binaryfile FILE or --serve soup=ADDRESS:PORT");
    }
    check_apart({}, {options.capture, options.binaryfile});
    check_logins(options);
    if (!options.binaryfile.empty() && !has_records(options.exchange.venue)) {
        throw Error(ExitCode::usage, fmt::format("--binaryfile {}: {} has no files of records; give --capture FILE",
                                                 options.binaryfile, options.exchange.venue));
    }
    StopSignals signals;
    const replay::ExchangeConfig config = exchange_config(options);
    Output output(options, config.lines.size());
    std::unique_ptr<replay::SimulatedServers> servers;
    if (const auto serve = servers_config(options)) {
        servers = std::make_unique<replay::SimulatedServers>(*serve);
    }
    bool going = true;
    const auto keep_on = [&] { return going = going && !signals.stopped(); };
    replay::Exchange exchange(
        config,
        [&](const replay::SimulatedPacket& packet) {
            going = going && output.send(packet, keep_on);
        },
        [&](replay::Exchange::Message message) {
            going = going && output.record(message);
            if (servers) servers->append(message);
        });
    Progress progress("sim");
    std::uint64_t steps = 0;
    while (going && exchange.step()) {
        if (++steps % 64 == 0 && keep_on()) {
            progress.update(exchange.next_sequence(), config.market.messages,
                            exchange.next_sequence(), "messages");
        }
    }
    progress.clear();
    output.close(keep_on);
    nlohmann::ordered_json json = summary(config.venue, exchange, config.lines.size(), output);
    if (servers) {
        servers->end();
        linger(options, exchange, output, keep_on);
    }
    if (servers) {
        json["retransmissions"] = servers->retransmissions();
        json["snapshots"] = servers->snapshots();
    }
    if (signals.stopped()) tell("interrupted: the day ends there");
    write_result(options.json ? json.dump() + "\n" : text_of(config.venue, json));
    return ExitCode::ok;
}

}  // namespace

void add_sim(CLI::App& app, Run& run) {
    auto options = std::make_shared<SimOptions>();
    options->exchange.market.symbols = 20;
    options->exchange.market.messages = 200'000;
    options->exchange.market.messages_per_second = 20'000;
    options->exchange.market.peak_orders = 5'000;
    replay::MarketConfig& market = options->exchange.market;
    CLI::App* command = app.add_subcommand(
        "sim", "Simulate an exchange on redundant lines, as any venue that is known");
    command->add_option("--venue", options->exchange.venue, "speak as this venue (see millrace version)")
        ->capture_default_str();
    command->add_option("--multicast", options->multicast,
                        "send line A, B, ... to this group:port; once a line");
    command->add_option("--interface", options->interface, "send by this interface")
        ->capture_default_str();
    command->add_option("--capture", options->capture,
                        "write a pcapng with one interface a line (.gz, .zst compress)");
    command->add_option("--binaryfile", options->binaryfile,
                        "write the messages, without faults, as BinaryFILE");
    command->add_option("--symbols", market.symbols, "instruments")
        ->check(CLI::Range(1U, 65'535U))
        ->capture_default_str();
    CLI::Option* messages =
        command->add_option("--messages", market.messages, "messages of trading")
            ->check(count())
            ->capture_default_str();
    command
        ->add_option("--seconds", options->seconds,
                     "as many messages as the rate makes in so long")
        ->check(between(1e-3, kSecondsMax))
        ->excludes(messages);
    command
        ->add_option("--rate", market.messages_per_second,
                     "messages a second of the market's clock")
        ->check(between(1, 1e9))
        ->capture_default_str();
    command
        ->add_option("--burst", market.burst_messages, "messages that come together, on average")
        ->check(between(1, 1e6))
        ->capture_default_str();
    command->add_option("--peak-orders", market.peak_orders, "orders alive at the peak")
        ->check(CLI::Range(1U, 100'000'000U))
        ->capture_default_str();
    command->add_flag("--sparse", market.sparse_references,
                      "order references spread over 64 bits");
    command->add_flag("!--no-rare-types", market.all_types,
                      "leave out message types that Nasdaq itself hardly sends");
    command->add_option("--seed", market.seed, "of the market and of all faults")
        ->check(count())
        ->capture_default_str();
    command
        ->add_option("--session", options->exchange.session,
                     "name of the session; Nasdaq: at most 10 characters")
        ->capture_default_str();
    command
        ->add_option("--loss", options->loss,
                     "share of packets lost; one value, or one a line (A,B)")
        ->check(between(0, 1))
        ->delimiter(',');
    command->add_option("--duplicate", options->duplicate, "share of packets sent twice")
        ->check(between(0, 1))
        ->delimiter(',');
    command
        ->add_option("--reorder", options->reorder, "share of packets that fall behind later ones")
        ->check(between(0, 1))
        ->delimiter(',');
    command
        ->add_option("--burst-loss", options->burst_loss,
                     "probability that a loss goes on to the next packet")
        ->check(between(0, 1))
        ->delimiter(',');
    command->add_flag("--lose-on-all", options->lose_on_all,
                      "let a message be lost on every line");
    command->add_flag("--repacketise", options->exchange.repacketise,
                      "line B cuts its packets differently");
    command->add_option("--serve", options->serve,
                        "answer at retransmit=ADDRESS:PORT (requests by UDP), "
                        "retransmit-tcp=ADDRESS:PORT (IEX: gap fill by TCP), glimpse=ADDRESS:PORT or "
                        "snap=ADDRESS:PORT (snapshots of Nasdaq, of IEX) or soup=ADDRESS:PORT (Nasdaq: "
                        "the feed by TCP)")
        ->delimiter(',');
    command->add_option("--username", options->username, "that clients of GLIMPSE and SoupBinTCP give")
        ->check(at_most(6));
    command->add_option("--password", options->password, "that clients of GLIMPSE and SoupBinTCP give")
        ->check(at_most(10));
    command->add_option("--token", options->token, "that clients of SNAP give")->check(at_most(40));
    command
        ->add_option("--linger", options->linger, "seconds that the servers outlive the feed")
        ->check(between(0, 3600))
        ->capture_default_str();
    CLI::Option* pace =
        command
            ->add_option("--pace", options->pace,
                         "of what is sent or served: 1 as the market's clock says, 2 twice as fast")
            ->check(between(1e-6, 1e6))
            ->capture_default_str();
    command->add_flag("--flat-out", options->flat_out, "send and serve without waiting")->excludes(pace);
    command->add_flag("--json", options->json, "end with one JSON object on stdout, which says more than the report");
    command->callback([options, &run] { run = [options] { return run_sim(*options); }; });
}

}  // namespace millrace::tools
