#include "millrace/replay/replayer.hpp"

#include "millrace/core/error.hpp"
#include "millrace/feed/framing/iex_tp.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/capture_writer.hpp"
#include "millrace/replay/detect.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/itch_packets.hpp"
#include "tests/support/temp_file.hpp"

using namespace millrace;
using namespace millrace::test;
using replay::CaptureReader;
using replay::Replayer;

namespace {

using ItchSession = Session<venues::NasdaqItch50, NullHandler>;

constexpr Endpoint kSource{{10, 0, 0, 1}, false, 4000};
constexpr Endpoint kGroupA{{239, 255, 0, 1}, false, 26477};
constexpr Endpoint kGroupB{{239, 255, 0, 2}, false, 26478};

SessionConfig small(std::size_t lines = 4) {
    SessionConfig config;
    config.lines = lines;
    config.limits = {16, 256, 256};
    return config;
}

std::vector<std::uint8_t> first_packet() {
    return packet(1, {directory(1, "AAPL"), add(1, 7, 'B', 100, "AAPL", 1'000)});
}
std::vector<std::uint8_t> second_packet() {
    return packet(3, {add(1, 8, 'S', 50, "AAPL", 1'010)});
}

Replayer::Readers open(std::initializer_list<const TempFile*> files) {
    Replayer::Readers readers;
    for (const TempFile* file : files)
        readers.push_back(std::make_unique<CaptureReader>(file->path()));
    return readers;
}

void write_two_lines(const TempFile& file, const std::vector<std::string>& names) {
    replay::CaptureWriter writer(file.path(), names);
    const auto last = static_cast<std::uint32_t>(names.size() - 1);
    REQUIRE(writer.write(0, 1'000, kSource, kGroupA, first_packet()));
    REQUIRE(writer.write(last, 1'500, kSource, kGroupB, first_packet()));
    REQUIRE(writer.write(last, 2'000, kSource, kGroupB, second_packet()));
    writer.close();
}

}  // namespace

TEST_CASE("Replayer: each destination of a capture is a line, by the name of its interface") {
    const TempFile file("lines.pcapng");
    write_two_lines(file, {"A", "B"});
    NullHandler nobody;
    ItchSession session(small(), nobody);
    Replayer replayer(open({&file}), {});
    replayer.run(session);
    REQUIRE(replayer.lines().lines().size() == 2);
    CHECK(replayer.lines().name(0) == "A");
    CHECK(replayer.lines().name(1) == "B");
    CHECK(replayer.lines().lines()[1].received == 2);
    CHECK(session.book("AAPL")->order_count() == 2);
    CHECK(session.messages()[MessageCounter::duplicate] == 2);
    CHECK(balance(session.messages()) == 0);
}

TEST_CASE("Replayer: lines stand in the order of the interfaces, whichever is heard first") {
    const TempFile file("order.pcapng");
    {
        replay::CaptureWriter writer(file.path(), {"A", "B", "C"});
        REQUIRE(writer.write(1, 1'000, kSource, kGroupB, first_packet()));
        REQUIRE(writer.write(0, 1'500, kSource, kGroupA, first_packet()));
        writer.close();
    }
    NullHandler nobody;
    ItchSession session(small(), nobody);
    Replayer replayer(open({&file}), {});
    replayer.run(session);
    REQUIRE(replayer.lines().lines().size() == 2);
    CHECK(replayer.lines().name(0) == "A");
    CHECK(replayer.lines().name(1) == "B");
    CHECK(replayer.lines().lines()[0].destination == kGroupA);
    CHECK(session.arbiter().line(1)[LineCounter::first] == 2);
    CHECK(session.arbiter().line(0)[LineCounter::duplicate] == 2);
}

TEST_CASE("Replayer: lines that share an interface are told apart by destination") {
    const TempFile file("one-interface.pcapng");
    write_two_lines(file, {"eth0"});
    NullHandler nobody;
    ItchSession session(small(), nobody);
    Replayer replayer(open({&file}), {});
    replayer.run(session);
    REQUIRE(replayer.lines().lines().size() == 2);
    CHECK(replayer.lines().name(0) == "239.255.0.1:26477");
    CHECK(replayer.lines().name(1) == "239.255.0.2:26478");
}

TEST_CASE("Replayer: a gap waits for the recorded answer, however late it comes") {
    const TempFile file("recovered.pcapng");
    const auto third = packet(4, {add(1, 9, 'S', 50, "AAPL", 1'020)});
    constexpr Timestamp kLate = 60'000'000'000;  // far beyond any reorder window
    {
        replay::CaptureWriter writer(file.path(), {"A", "recovery"});
        REQUIRE(writer.write(0, 1'000, kSource, kGroupA, first_packet()));
        REQUIRE(writer.write(0, 2'000, kSource, kGroupA, third));
        REQUIRE(writer.write(0, kLate, kSource, kGroupA, packet(5, {add(1, 10, 'S', 50, "AAPL", 1'030)})));
        REQUIRE(writer.write(1, kLate + 1, kSource, kGroupB, second_packet()));
        writer.close();
    }
    NullHandler nobody;
    Replayer replayer(open({&file}), {});
    ItchSession session(replayer.session_config(small()), nobody);
    replayer.run(session);
    CHECK(session.book("AAPL")->order_count() == 4);
    CHECK(session.book("AAPL")->quality() == Quality::live);
    REQUIRE(session.arbiter().gaps().total() == 1);
    CHECK(session.arbiter().gaps()[0].ended == GapEnd::retransmitted);
    CHECK(session.arbiter().line(replayer.to_session(1))[LineCounter::arbitrated] == 1);
    CHECK(balance(session.messages()) == 0);
}

TEST_CASE("Replayer: a recording without answers gives a gap up as ever") {
    const TempFile file("unrecovered.pcapng");
    {
        replay::CaptureWriter writer(file.path(), {"A", "B"});
        REQUIRE(writer.write(0, 1'000, kSource, kGroupA, first_packet()));
        REQUIRE(writer.write(0, 2'000, kSource, kGroupA, packet(4, {add(1, 9, 'S', 50, "AAPL", 1'020)})));
        writer.close();
    }
    NullHandler nobody;
    Replayer replayer(open({&file}), {});
    ItchSession session(replayer.session_config(small()), nobody);
    replayer.run(session);
    CHECK(session.book("AAPL")->quality() == Quality::recovering);
}

TEST_CASE("Replayer: lines of a recording that differ, and a stray packet, are taken as they were live") {
    const TempFile file("differ.pcapng");
    {
        replay::CaptureWriter writer(file.path(), {"A", "B"});
        REQUIRE(writer.write(0, 1'000, kSource, kGroupA, first_packet()));
        REQUIRE(writer.write(1, 1'100, kSource, kGroupB, packet(700, {directory(1, "MSFT")}, "STRAY")));
        REQUIRE(writer.write(1, 1'200, kSource, kGroupB,
                             packet(1, {directory(1, "AAPL"), add(1, 7, 'B', 101, "AAPL", 1'000)})));
        REQUIRE(writer.write(0, 1'300, kSource, kGroupA, second_packet()));
        writer.close();
    }
    NullHandler nobody;
    Replayer replayer(open({&file}), {});
    ItchSession session(replayer.session_config(small()), nobody);
    replayer.run(session);
    CHECK(session.book("AAPL")->quality() == Quality::suspect);
    CHECK(session.faults()[FaultCounter::lines_differ] == 1);
    CHECK(session.book("AAPL")->order_count() == 2);
    CHECK(session.messages()[MessageCounter::stray] == 1);
    CHECK(session.arbiter().sessions() == 1);
}

TEST_CASE("Replayer: only the destinations asked for reach the session") {
    const TempFile file("chosen.pcapng");
    write_two_lines(file, {"A", "B"});
    NullHandler nobody;
    ItchSession session(small(), nobody);
    replay::ReplayConfig config;
    config.destinations = {kGroupA};
    Replayer replayer(open({&file}), config);
    replayer.run(session);
    CHECK(replayer.lines().lines().size() == 1);
    CHECK(replayer.passed_over() == 2);
    CHECK(session.book("AAPL")->order_count() == 1);
}

TEST_CASE("Replayer: several files are merged by capture time, or played one after the other") {
    const TempFile early("early.pcapng");
    const TempFile late("late.pcapng");
    {
        replay::CaptureWriter writer(late.path(), {"A"});
        REQUIRE(writer.write(0, 2'000, kSource, kGroupA, second_packet()));
        writer.close();
        replay::CaptureWriter other(early.path(), {"A"});
        REQUIRE(other.write(0, 1'000, kSource, kGroupA, first_packet()));
        other.close();
    }
    NullHandler nobody;
    ItchSession merged(small(), nobody);
    Replayer by_time(open({&late, &early}), {});
    by_time.run(merged);
    CHECK(merged.arbiter().gaps().total() == 0);

    ItchSession in_turn(small(), nobody);
    replay::ReplayConfig config;
    config.sequential = true;
    Replayer sequential(open({&late, &early}), config);
    sequential.run(in_turn);
    CHECK(in_turn.arbiter().gaps().total() == 1);
    CHECK(in_turn.digest() == merged.digest());
}

TEST_CASE("Replayer: BinaryFILE records are numbered by counting") {
    const TempFile file("records.itch");
    {
        replay::RecordFileWriter writer(file.path());
        for (const Message& m :
             {directory(1, "AAPL"), add(1, 7, 'B', 100, "AAPL", 1'000), remove(1, 7)}) {
            REQUIRE(writer.write(m));
        }
        writer.close();
    }
    NullHandler nobody;
    SessionConfig config = small();
    config.last_sequence = 2;
    ItchSession session(config, nobody);
    Replayer replayer(open({&file}), {});
    replayer.run(session);
    CHECK(replayer.of_records());
    CHECK(session.book("AAPL")->order_count() == 1);
    CHECK(session.book("AAPL")->sequence() == 2);
}

TEST_CASE("Replayer: packets and records do not mix, and records have no pace") {
    const TempFile records("mix.itch");
    const TempFile packets("mix.pcapng");
    {
        replay::RecordFileWriter writer(records.path());
        REQUIRE(writer.write(directory(1, "AAPL")));
        writer.close();
    }
    write_two_lines(packets, {"A", "B"});
    CHECK_THROWS_AS(Replayer(open({&records, &packets}), {}), Error);
    replay::ReplayConfig paced;
    paced.pace = 1;
    CHECK_THROWS_AS(Replayer(open({&records}), paced), Error);
}

TEST_CASE("Replayer: who says stop gets the session finished where it stands") {
    const TempFile file("stopped.pcapng");
    {
        replay::CaptureWriter writer(file.path(), {"A"});
        for (SequenceNumber i = 1; i <= 10'000; ++i) {
            REQUIRE(writer.write(0, static_cast<Timestamp>(i), kSource, kGroupA,
                                 packet(i, {directory(1, "AAPL")})));
        }
        writer.close();
    }
    NullHandler nobody;
    ItchSession session(small(), nobody);
    Replayer replayer(open({&file}), {});
    replayer.run(session, [] { return false; });
    const MessageCounters messages = session.messages();
    CHECK(messages[MessageCounter::delivered] > 0);
    CHECK(messages[MessageCounter::delivered] < 10'000);
    CHECK(balance(messages) == 0);
}

TEST_CASE("detect_venue: a capture of heartbeats alone is known where the framing names the protocol") {
    const TempFile file("heartbeats.pcapng");
    replay::CaptureWriter writer(file.path(), {"A"});
    std::vector<std::uint8_t> room(sizeof(IexTpHeader));
    IexTpPacketBuilder builder(room, {venues::IexDeepPlus::kProtocol, 1, 1});
    for (Timestamp at = 1; at <= 3; ++at) REQUIRE(writer.write(0, at, kSource, kGroupA, builder.finish(at)));
    writer.close();
    CHECK(replay::detect_venue(file.path()) == "iex-deepplus");

    const TempFile nasdaq("heartbeats-nasdaq.pcapng");
    replay::CaptureWriter other(nasdaq.path(), {"A"});
    REQUIRE(other.write(0, 1, kSource, kGroupA, packet(1, {})));
    other.close();
    CHECK(replay::detect_venue(nasdaq.path()).empty());
}

TEST_CASE("detect_venue: ITCH is known by its packets and by its records, and noise is nobody's") {
    const TempFile packets("detect.pcapng");
    write_two_lines(packets, {"A", "B"});
    CHECK(replay::detect_venue(packets.path()) == "nasdaq-itch50");

    const TempFile records("detect.itch");
    replay::RecordFileWriter writer(records.path());
    REQUIRE(writer.write(directory(1, "AAPL")));
    writer.close();
    CHECK(replay::detect_venue(records.path()) == "nasdaq-itch50");

    const TempFile noise("noise.pcapng");
    replay::CaptureWriter noisy(noise.path(), {"A"});
    REQUIRE(noisy.write(0, 1, kSource, kGroupA, std::vector<std::uint8_t>(60, 0x55)));
    noisy.close();
    CHECK(replay::detect_venue(noise.path()).empty());
}
