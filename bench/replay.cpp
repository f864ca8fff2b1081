// Replaying a plain capture of the simulated day into full books, beside the same packets from memory: what reading
// the file, finding each datagram and merging cost. A worse ratio means that replay is bound by its reader and not by
// books.
//
// And a day in two channels, half the symbols each, in a file of its own each: on two threads beside one after the
// other on one. A worse ratio means that replays hold each other up. The captures lie in the folder for temporary
// files meanwhile.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "bench/book_runs.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/feed/framing/moldudp64.hpp"
#include "millrace/replay/capture_writer.hpp"
#include "millrace/replay/replayer.hpp"
#include "tests/support/temp_file.hpp"

namespace millrace::bench {
namespace {

constexpr std::size_t kChannels = 2;

// A capture of one line, removed again when the program ends.
class Capture {
  public:
    explicit Capture(const std::string& name) : file_(name), writer_(file_.path(), {"A"}) {}
    void add(std::span<const std::uint8_t> packet) {
        const Endpoint from = endpoint_of("192.0.2.1", 26'400);
        const Endpoint to = endpoint_of("233.54.12.111", 26'477);
        writer_.write(0, ++packets_ * 1'000, from, to, packet);
    }
    void close() { writer_.close(); }
    [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }

  private:
    test::TempFile file_;
    replay::CaptureWriter writer_;
    Timestamp packets_ = 0;
};

const Capture& capture_of_the_day() {
    static const auto capture = [] {
        auto made = std::make_unique<Capture>("bench-day.pcapng");
        SimulatedDay::get().for_each_packet([&](std::span<const std::uint8_t> packet) { made->add(packet); });
        made->close();
        return made;
    }();
    return *capture;
}

// One channel's messages, in packets as large as the day's.
class ChannelWriter {
  public:
    explicit ChannelWriter(std::size_t number) : capture(fmt::format("bench-channel-{}.pcapng", number)) {}
    void add(std::span<const std::uint8_t> message) {
        if (open_ && builder_.append(message)) return static_cast<void>(++sequence_);
        flush();
        builder_.begin(sequence_++);
        MILLRACE_VERIFY(builder_.append(message));
        open_ = true;
    }
    void flush() {
        if (open_) capture.add(builder_.finish());
        open_ = false;
    }
    Capture capture;

  private:
    std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(500);
    MoldUdp64PacketBuilder builder_{buffer_, "CHANNEL"};
    SequenceNumber sequence_ = 1;
    bool open_ = false;
};

[[nodiscard]] std::size_t channel_of(std::uint32_t symbol) { return symbol % kChannels; }

using Channels = std::vector<std::unique_ptr<ChannelWriter>>;

// Messages of no symbol are in both.
const Channels& channels_of_the_day() {
    static const Channels channels = [] {
        Channels made;
        for (std::size_t i = 0; i < kChannels; ++i) made.push_back(std::make_unique<ChannelWriter>(i));
        SimulatedDay::get().for_each_packet([&](std::span<const std::uint8_t> packet) {
            const Frame frame = MoldUdp64::parse(packet);
            MoldUdp64::Walker walker(frame.blocks);
            for (std::uint32_t i = 0; i < frame.count; ++i) {
                const auto message = walker.next();
                const std::uint16_t locate = wire::view<venues::itch50::OrderDelete>(message).stock_locate.value();
                for (std::size_t c = 0; c < kChannels; ++c) {
                    if (locate == 0 || channel_of(locate - 1U) == c) made[c]->add(message);
                }
            }
        });
        for (const auto& channel : made) {
            channel->flush();
            channel->capture.close();
        }
        return made;
    }();
    return channels;
}

// Books of one capture.
class Replay {
  public:
    explicit Replay(const Capture& capture)
        : replayer_(readers(capture), {}),
          session_(std::make_unique<FullBooks>(replayer_.session_config(config_for(SimulatedDay::get())), handler_)) {}

    [[gnu::noinline]] void measured() { replayer_.run(*session_); }
    [[nodiscard]] const FullBooks& session() const { return *session_; }

  private:
    static replay::Replayer::Readers readers(const Capture& capture) {
        replay::Replayer::Readers readers;
        readers.push_back(std::make_unique<replay::CaptureReader>(capture.path()));
        return readers;
    }

    CountingHandler handler_;
    replay::Replayer replayer_;
    std::unique_ptr<FullBooks> session_;
};

void from_file(benchmark::State& state) {
    for (auto _ : state) {
        Replay replay(capture_of_the_day());
        const Stopwatch watch;
        replay.measured();
        report(state, watch.ns() / static_cast<double>(SimulatedDay::get().messages()));
        if (const char* fault = fault_of(replay.session(), SimulatedDay::get())) state.SkipWithError(fault);
    }
}
// Of all books, which is the sum over them.
const Digest& digest_of_the_day() {
    static const Digest digest = [] {
        Replay replay(capture_of_the_day());
        replay.measured();
        MILLRACE_VERIFY(fault_of(replay.session(), SimulatedDay::get()) == nullptr);
        return replay.session().digest();
    }();
    return digest;
}
void from_memory(benchmark::State& state) {
    run_books<FullBooks, CountingHandler>(state, SimulatedDay::get(), {});
}

// Each channel on a thread and a core of its own, or all on this one in turn.
template <bool kTogether>
void channels(benchmark::State& state) {
    for (auto _ : state) {
        std::vector<std::unique_ptr<Replay>> replays;
        for (const auto& channel : channels_of_the_day()) replays.push_back(std::make_unique<Replay>(channel->capture));
        const auto begin = std::chrono::steady_clock::now();
        std::vector<std::thread> threads;
        for (std::size_t c = 0; c < kChannels; ++c) {
            const auto run = [&, c] { replays[c]->measured(); };
            if (kTogether) threads.push_back(start_thread("channel", available_cpus()[c], run));
            else run();
        }
        for (std::thread& thread : threads) thread.join();
        const std::chrono::duration<double, std::nano> ns = std::chrono::steady_clock::now() - begin;
        report(state, ns.count() / static_cast<double>(SimulatedDay::get().messages()));
        Digest sum;
        for (const auto& replay : replays) sum += replay->session().digest();
        if (sum != digest_of_the_day()) state.SkipWithError("not the books of the day");
    }
}

std::string one_cpu() { return available_cpus().size() >= kChannels ? "" : "two CPUs are needed"; }

const Registered kReplay{{"replay: plain capture, beside the books alone", "ns/message", 1.1, from_file, from_memory}};
const Registered kThreads{{"replay: two channels on two threads, by the wall", "ns/message", 0.55, channels<true>,
                           channels<false>, 0, false, 5, one_cpu}};

}  // namespace
}  // namespace millrace::bench
