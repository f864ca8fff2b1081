// Latency under load in virtual time, where what must come out can be worked out by hand; and the command.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "qualify/open_loop.hpp"
#include "qualify/report.hpp"
#include "qualify/svg_plot.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

using namespace millrace;
using namespace millrace::test;
using namespace millrace::tools;

namespace {

// Each look costs this long, and work what it says.
constexpr Nanoseconds kLook = 50;
struct VirtualClock {
    Timestamp time = 0;
    Timestamp now() { return time += kLook; }
};

OpenLoopResult run(const OpenLoopPlan& plan, Nanoseconds service) {
    VirtualClock clock;
    OpenLoopResult result;
    // A packet is looked at the clock for twice, before and after.
    run_open_loop(clock, [&](std::uint64_t) { clock.time += service - 2 * kLook; }, plan, result);
    return result;
}

Histogram of(Nanoseconds each, int times) {
    Histogram histogram;
    for (int i = 0; i < times; ++i) histogram.record(each);
    return histogram;
}

// Figures as of a quiet host.
Qualification believable() {
    Qualification found;
    found.input = "a <day> & a half";
    found.input_checksum = 0x1234;
    found.control.latency = of(100, 100'000);
    found.control.offered = 4'000;
    for (const int multiple : {1, 4, 20}) {
        RateRun& run = found.rates.emplace_back();
        run.multiple = multiple;
        run.result.latency = of(2'000, 100'000);
        run.result.offered = run.result.achieved = 1'000.0 * multiple;
        run.result.packets = 100'000;
        run.result.seconds = 1;
    }
    found.no_sockets = "as asked for";
    return found;
}

std::string text_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace

TEST_CASE("open loop: Poisson times have the mean and the spread of their rate") {
    PoissonTimes times(1e6, 7);
    double sum = 0, squares = 0;
    Nanoseconds last = 0;
    constexpr int kTimes = 1'000'000;
    for (int i = 0; i < kTimes; ++i) {
        const Nanoseconds at = times.next();
        REQUIRE(at >= last);
        const auto gap = static_cast<double>(at - last);
        sum += gap;
        squares += gap * gap;
        last = at;
    }
    const double mean = sum / kTimes;
    CHECK(std::abs(mean - 1'000) < 5);
    CHECK(std::abs(std::sqrt(squares / kTimes - mean * mean) - 1'000) < 10);
}

TEST_CASE("open loop: at a low rate a packet takes its service time, at the full rate it queues") {
    const OpenLoopResult low = run({1e5, 100'000, 1, {}}, 500);
    CHECK(low.latency.percentile(50) < 560);
    CHECK(low.achieved > 0.98 * low.offered);
    // M/D/1 at 90 % load: a mean wait of rho / (2 (1 - rho)) = 4.5 service times.
    const OpenLoopResult high = run({1.8e6, 1'000'000, 1, {}}, 500);
    CHECK(high.latency.percentile(50) > 1'000);
    CHECK(high.latency.percentile(50) < 5'000);
    // More than can be served: the backlog grows to the end, and the rate is not kept.
    const OpenLoopResult over = run({4e6, 100'000, 1, {}}, 500);
    CHECK(over.achieved < 0.51 * over.offered);
    CHECK(over.latency.max() > 20'000'000);
}

TEST_CASE("open loop: a stall of 1 ms a second shows at the percentile it belongs to") {
    // 20 seconds. Of each second's packets, those due within the stall are late: a thousandth, evenly from
    // 1 ms down. So half of a thousandth wait longer than 0.5 ms, and p99.95 is that.
    const OpenLoopResult plain = run({50'000, 1'000'000, 3, {}}, 500);
    const OpenLoopResult stalled = run({50'000, 1'000'000, 3, {1'000'000, 1'000'000'000}}, 500);
    CHECK(plain.latency.percentile(99.99) < 2'000);
    CHECK(stalled.latency.percentile(99) < 2'000);
    const auto p9995 = static_cast<double>(stalled.latency.percentile(99.95));
    CHECK(std::abs(p9995 - 500'000) < 100'000);
    const auto p9999 = static_cast<double>(stalled.latency.percentile(99.99));
    CHECK(std::abs(p9999 - 900'000) < 100'000);
    CHECK(stalled.latency.max() < 1'100'000);
}

TEST_CASE("qualify: figures that the host spoils are not a headline") {
    CHECK(believable().doubts().empty());
    CHECK(as_text(believable()).find("from due to book at 4000 packets/s: p50 2.0 us") != std::string::npos);

    Qualification late = believable();
    late.control.latency = of(1'500, 100'000);
    Qualification preempted = believable();
    preempted.rates[1].preemptions = 50;
    Qualification stolen = believable();
    stolen.stolen_percent = 3;
    Qualification few = believable();
    few.rates[1].result.latency = of(2'000, 500);
    for (const Qualification& found : {late, preempted, stolen, few}) {
        CHECK(found.doubts().size() == 1);
        CHECK(as_text(found).find("not credible: ") != std::string::npos);
        CHECK(as_text(found).find("from due to book") == std::string::npos);
        CHECK(as_html(found).find("Not credible") != std::string::npos);
        CHECK(nlohmann::json::parse(as_json(found))["credible"] == false);
    }
}

TEST_CASE("qualify: the knee is the last rate that is kept up with at a bounded p99") {
    Qualification found = believable();
    CHECK(found.knee()->multiple == 20);
    found.rates[2].result.achieved *= 0.9;
    CHECK(found.knee()->multiple == 4);
    found.rates[1].result.latency = of(50'000, 100'000);
    CHECK(found.knee()->multiple == 1);
    found.rates[0].result.achieved = 0;
    CHECK(found.knee() == nullptr);
}

TEST_CASE("qualify: the page stands alone, and what it quotes is escaped") {
    const std::string page = as_html(believable());
    CHECK(page.find("a &lt;day&gt; &amp; a half") != std::string::npos);
    CHECK(page.find("00001234") != std::string::npos);
    for (const char* fetched : {"http://", "https://", "<script", "src=", "@import"})
        CHECK(page.find(fetched) == std::string::npos);
    CHECK(escaped("<\"'&>") == "&lt;&quot;&#39;&amp;&gt;");
}

TEST_CASE("qualify: raw histograms have every packet") {
    std::istringstream csv(as_csv(believable()));
    std::string line;
    std::getline(csv, line);
    std::uint64_t packets = 0;
    while (std::getline(csv, line)) {
        if (line.starts_with("memory,")) packets += std::stoull(line.substr(line.rfind(',') + 1));
    }
    CHECK(packets == 300'000);
}

TEST_CASE("millrace qualify: measures, and writes page, histograms and JSON") {
    const TempFile name("qualify-report");
    const auto& folder = name.path();
    const Outcome outcome = run_command({"qualify", "--messages", "200000", "--symbols", "100", "--out",
                                         folder.string(), "--json", "--no-socket"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const auto json = nlohmann::json::parse(outcome.out);
    CHECK(json["balance"] == 0);
    CHECK(json["rates"].size() == 7);
    CHECK(json["input_crc32"] != "00000000");
    for (const auto& rate : json["rates"]) CHECK(rate["latency"]["samples"] == json["rates"][0]["latency"]["samples"]);
    CHECK(json["host"]["command"].get<std::string>().find("qualify --messages 200000") != std::string::npos);
    CHECK(text_of(folder / "report.json") == outcome.out);
    CHECK(text_of(folder / "report.html").find("</html>") != std::string::npos);
    CHECK(text_of(folder / "histograms.csv").find("memory,20,") != std::string::npos);
    std::filesystem::remove_all(folder);
}

TEST_CASE("millrace qualify: a stream that is not the venue's, or not whole, is no headline") {
    const TempFile capture("qualify.pcapng");
    const TempFile folder("qualify-judged");
    REQUIRE(run_command({"sim", "--messages", "20000", "--symbols", "50", "--capture", capture.path().string()}).code == 0);
    const std::string file = capture.path().string();
    const std::string out = folder.path().string();
    const Outcome other = run_command({"qualify", file, "--venue", "iex-deep", "--out", out, "--no-socket"});
    CHECK(other.code == 1);
    CHECK(other.err.find("nothing in it reads as iex-deep") != std::string::npos);
    CHECK(std::filesystem::is_empty(folder.path()));
    const Outcome full = run_command({"qualify", file, "--orders", "10", "--out", out, "--no-socket", "--json"});
    REQUIRE(full.code == 0);
    const auto json = nlohmann::json::parse(full.out);
    CHECK(json["credible"] == false);
    CHECK(json["doubts"].dump().find("orders_full") != std::string::npos);
    CHECK(full.err.find("orders_full") != std::string::npos);
    std::filesystem::remove_all(folder.path());
}

TEST_CASE("millrace qualify: an earlier report stays until the new one is whole") {
    const TempFile folder("qualify-earlier");
    std::filesystem::create_directories(folder.path() / "report.json");  // which no file can replace
    std::ofstream(folder.path() / "histograms.csv") << "earlier";
    const std::vector<std::string> command{"qualify", "--messages", "100000", "--symbols", "50", "--out",
                                           folder.path().string(), "--no-socket"};
    CHECK(run_command(command).code == 4);
    CHECK(text_of(folder.path() / "histograms.csv") == "earlier");
    std::filesystem::remove(folder.path() / "report.json");
    REQUIRE(run_command(command).code == 0);
    CHECK(text_of(folder.path() / "histograms.csv").starts_with("run,"));
    std::size_t files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
    CHECK(files == 3);
    std::filesystem::remove_all(folder.path());
}

TEST_CASE("millrace qualify: what it cannot do it says before it measures") {
    CHECK(run_command({"qualify", "--out", "/dev/null/report"}).code == 4);
    CHECK(run_command({"qualify", "--cpu", "9999"}).code == 9);
    CHECK(run_command({"qualify", "no-such-file.pcap"}).code == 4);
    CHECK(run_command({"qualify", "--messages", "7"}).code == 2);
}
