// The same capture gives the same digest and the same events however it comes in: replayed at full speed or
// paced, through loopback by either backend, on threads or run to completion, and from every compiler.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "endpoint_text.hpp"
#include "millrace/feed/feed.hpp"
#include "millrace/replay/capture_writer.hpp"
#include "millrace/replay/replayer.hpp"
#include "millrace/replay/simulator/exchange.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/event_hash.hpp"
#include "tests/support/multicast.hpp"
#include "tests/support/temp_file.hpp"

using namespace millrace;
using namespace millrace::test;
using Venue = venues::NasdaqItch50;
using Source = Session<Venue, EventHash>;

namespace {

struct Outcome {
    std::string digest;
    std::string stream;    // events and their hash
    std::string troubles;  // gap and quality events and their hash
    std::string lines;     // every counter of every line, and the gaps
};

SessionConfig session_config(std::size_t lines) {
    SessionConfig config;
    config.lines = lines;
    config.limits = {64, 100'000, 50'000};
    config.reorder_window_packets = 256;
    return config;
}

template <class Session>
Outcome outcome_of(const Session& session, const EventHash& events) {
    REQUIRE(balance(session.messages()) == 0);
    Outcome out;
    out.digest = session.digest().text();
    out.stream = fmt::format("{} {:016x}", events.events(), events.stream());
    out.troubles = fmt::format("{} {:016x}", events.faults(), events.troubles());
    for (LineId line = 0; line < 2; ++line) {
        for (std::size_t i = 0; i < kLineCounters.size(); ++i) {
            out.lines += fmt::format("{} {} ", kLineCounters[i].name,
                                     session.arbiter().line(line)[static_cast<LineCounter>(i)]);
        }
    }
    const GapLog& gaps = session.arbiter().gaps();
    for (std::size_t i = 0; i < gaps.kept(); ++i) {
        out.lines += fmt::format("{}-{} {} ", gaps[i].missing.first, gaps[i].missing.last, name(gaps[i].ended));
    }
    return out;
}

// A simulated day of two lines with faults, as packets and as a capture of them.
class Day {
  public:
    explicit Day(bool lose_on_both) : file_(lose_on_both ? "one-stream-holes.pcapng" : "one-stream.pcapng") {
        replay::ExchangeConfig config;
        config.market.seed = 20'240'102;
        config.market.symbols = 40;
        config.market.messages = 60'000;
        config.market.peak_orders = 3'000;
        config.market.messages_per_second = 200'000;
        config.lines = {{.loss = 0.02, .duplicate = 0.01, .reorder = 0.02},
                        {.loss = 0.02, .duplicate = 0.01, .reorder = 0.02}};
        config.repacketise = true;
        config.never_on_all = !lose_on_both;
        replay::CaptureWriter writer(file_.path(), {"A", "B"});
        const Endpoint sender{{127, 0, 0, 1}, false, 1};
        replay::Exchange exchange(config, [&](const replay::SimulatedPacket& packet) {
            const GroupConfig to = groups_.group(packet.line);
            // Line A is one of the two in every capture; a capture's lines are numbered by their first packet.
            REQUIRE(writer.write(packet.line, packet.time, sender, endpoint_of(to.address, to.port), packet.bytes));
            packets_.push_back(packet);
        });
        while (exchange.step()) {
        }
        writer.close();
    }

    [[nodiscard]] Outcome replayed(replay::ReplayConfig how) const {
        replay::Replayer::Readers readers;
        readers.push_back(std::make_unique<replay::CaptureReader>(file_.path()));
        replay::Replayer replayer(std::move(readers), std::move(how));
        EventHash events;
        const auto session = std::make_unique<Source>(session_config(2), events);
        replayer.run(*session);
        return outcome_of(*session, events);
    }

    // Sends some packets, lets the feed handle them, sends some more: none can be lost on the way.
    [[nodiscard]] Outcome received(Backend backend, ReceiveMode mode) const {
        FeedConfig config;
        config.name = "f";
        config.venue = Venue::kId;
        config.lines = {{"A", {groups_.group(0)}, "lo", {}, {}, {}}, {"B", {groups_.group(1)}, "lo", {}, {}, {}}};
        config.receive.backend = backend;
        config.receive.require_backend = true;
        config.receive.mode = mode;
        config.receive.idle = Idle::wait;
        config.receive.socket_buffer_bytes = std::size_t{1} << 20;
        config.session = session_config(2);
        config.session.reorder_window_packets = 4'096;
        config.session.reorder_window_ns = 3'600'000'000'000;
        EventHash events;
        FeedHandler<Venue, EventHash> feed(config, events);
        feed.start();
        const LoopbackSender sender;
        std::size_t handled = 0;
        for (std::size_t sent = 0; sent < packets_.size();) {
            for (int i = 0; i < 32 && sent < packets_.size(); ++i, ++sent) {
                sender.send(groups_.group(packets_[sent].line), packets_[sent].bytes);
            }
            REQUIRE(eventually([&] {
                const std::size_t taken = feed.poll();
                handled += taken;
                if (taken == 0) feed.idle();
                return handled == sent;
            }));
        }
        feed.stop();
        for (const LineStats& line : feed.lines()) {
            CHECK(line.balance() == 0);
            CHECK(line.in_flight == 0);
            CHECK(line.received[net::ReceiveCounter::kernel_drops] == 0);
        }
        return outcome_of(feed.session(), events);
    }

  private:
    SomeGroups groups_;
    TempFile file_;
    std::vector<replay::SimulatedPacket> packets_;
};

replay::ReplayConfig paced_by(double pace) {
    replay::ReplayConfig config;
    config.pace = pace;
    return config;
}

// Of the seed's day. Every build holds its outcome against these, so that all compilers agree; a change of the
// simulator, of the digest or of what events there are changes them.
constexpr const char* kDigest = "a0735ec8bbe5a4f0d1be19d0a7e67556";
constexpr const char* kStream = "61476 c13eecd6a7c11cd3";
constexpr const char* kHolesDigest = "b20223c571d99c77bf487bb0c86427a9";
constexpr const char* kHolesStream = "61468 97c057de734ce9c8";
constexpr const char* kHolesTroubles = "41 0b501b4a89c43377";

}  // namespace

TEST_CASE("one stream: the same digest and events from every compiler, paced or not, by every way of receiving") {
    const Day day(false);
    const Outcome plain = day.replayed({});
    CHECK(plain.digest == kDigest);
    CHECK(plain.stream == kStream);
    CHECK(plain.troubles == "0 0000000000000001");

    const Outcome paced = day.replayed(paced_by(1));
    CHECK(paced.digest == plain.digest);
    CHECK(paced.stream == plain.stream);
    CHECK(paced.lines == plain.lines);

    for (const Backend backend : {Backend::recvmmsg, Backend::io_uring, Backend::af_packet}) {
        if ((backend == Backend::io_uring && !net::io_uring_refusal().empty()) ||
            (backend == Backend::af_packet && !net::af_packet_refusal().empty())) {
            WARN("skipped: this host refuses " << name(backend));
            continue;
        }
        for (const ReceiveMode mode : {ReceiveMode::threads, ReceiveMode::run_to_completion}) {
            CAPTURE(name(backend), name(mode));
            const Outcome live = day.received(backend, mode);
            CHECK(live.digest == plain.digest);
            CHECK(live.stream == plain.stream);
            CHECK(live.troubles == plain.troubles);
        }
    }
}

TEST_CASE("one stream: replays of a capture with holes agree on gaps, quality and line statistics as well") {
    const Day day(true);
    const Outcome plain = day.replayed({});
    CHECK(plain.digest == kHolesDigest);
    CHECK(plain.stream == kHolesStream);
    CHECK(plain.troubles == kHolesTroubles);
    for (const double pace : {1.0, 3.0}) {
        const Outcome paced = day.replayed(paced_by(pace));
        CHECK(paced.digest == plain.digest);
        CHECK(paced.stream == plain.stream);
        CHECK(paced.troubles == plain.troubles);
        CHECK(paced.lines == plain.lines);
    }
    replay::ReplayConfig one_by_one;
    one_by_one.sequential = true;
    const Outcome sequential = day.replayed(one_by_one);
    CHECK(sequential.digest == plain.digest);
    CHECK(sequential.stream == plain.stream);
    CHECK(sequential.troubles == plain.troubles);
    CHECK(sequential.lines == plain.lines);
}
