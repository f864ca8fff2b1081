// millrace qualify: what latency this host gives the path from packet to book, and whether to believe it.
#include <fmt/format.h>

#include <ctime>

#include <array>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "checks.hpp"
#include "command.hpp"
#include "console.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/feed/session.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "progress.hpp"
#include "qualify/open_loop.hpp"
#include "qualify/report.hpp"
#include "qualify/socket_run.hpp"
#include "qualify/workload.hpp"
#include "signals.hpp"
#include "summary.hpp"
#include "venue_choice.hpp"
#include "verdict.hpp"

namespace millrace::tools {

namespace {

struct QualifyOptions {
    std::string file;
    std::string venue;
    std::string out = "qualify-report";
    int cpu = kNotPinned;
    std::uint64_t messages = 4'000'000;
    std::uint32_t symbols = 8'000;
    std::uint64_t seed = 1;
    double stall_ms = 0;
    bool no_socket = false;
    bool json = false;
    SessionConfig session;
};

constexpr std::array kMultiples{1, 2, 4, 8, 12, 16, 20};
constexpr std::array kSocketRates{10'000.0, 50'000.0};
constexpr int kFlatOutRuns = 3;
constexpr std::uint64_t kPacketsMin = 1'000;  // behind the warm-up
constexpr Nanoseconds kJitterFor = 1'000'000'000;

// Callbacks are on and do what the cheapest strategy does.
struct Strategy : NullHandler {
    std::uint64_t updates = 0;
    void on_book(const OrderBook&, const BookUpdate&) { ++updates; }
};

// That the calling thread has had of its core, ns.
Nanoseconds thread_time() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return Nanoseconds{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// Looks at the clock and does nothing else: what is in between was not ours.
void measure_clock(Qualification& found) {
    const Timestamp begin = MonotonicClock::now();
    std::uint64_t looks = 0;
    for (Timestamp last = begin; last - begin < kJitterFor; ++looks) {
        const Timestamp now = MonotonicClock::now();
        found.gaps.record(now - last);
        last = now;
    }
    found.clock_ns = static_cast<double>(found.gaps.percentile(50));
}

template <class Venue>
class Qualifier {
  public:
    Qualifier(const QualifyOptions& options, const Workload& load, Qualification& found, StopSignals& signals)
        : options_(options), load_(load), found_(found), signals_(signals), warm_up_(load.packets() / 2) {
        found_.packets_measured = load.packets() - warm_up_;
        if (found_.packets_measured < kPacketsMin) {
            throw Error(ExitCode::usage, fmt::format("{} packets are too few to measure with; give at least {}",
                                                     load.packets(), 2 * kPacketsMin));
        }
    }

    void run() {
        measure_clock(found_);
        flat_out();
        control();
        for (const int multiple : kMultiples) rate(multiple);
        sockets();
    }

  private:
    using Books = Session<Venue, Strategy>;

    // A session that has seen the first half: books are full when the measuring begins.
    [[nodiscard]] std::unique_ptr<Books> warm_session() {
        if (signals_.stopped()) throw Error(ExitCode::failure, "interrupted; no report was written");
        auto session = std::make_unique<Books>(load_.session(), strategy_);
        for (std::uint64_t i = 0; i < warm_up_; ++i) session->on_packet(load_.packet(i));
        return session;
    }
    // All runs end with the same books, or nothing is worth reporting.
    void check(Books& session) {
        session.finish();
        found_.balance += balance(session.messages());
        if (found_.rates.empty() && found_.flat_out == 0) judge_first(session);
        if (session.digest() != found_.digest)
            throw Error(ExitCode::failure, "two runs over the same packets ended with different books");
    }
    // What the input made of the books, as a replay would tell of it.
    void judge_first(const Books& session) {
        found_.digest = session.digest();
        const FeedSummary feed =
            summarise("qualify", session, std::vector<LineSummary>(session.arbiter().line_count()));
        const std::string& file = options_.file;
        if (!file.empty() && judge_contents(feed, file) != ExitCode::ok) {
            throw Error(ExitCode::failure, "nothing was measured, and no report was written");
        }
        if (!load_.damage().empty()) tell_damage(file, load_.damage(), "measured");
        found_.remarks = remarks_on(feed, file.empty() ? "simulated day" : file);
        if (!load_.damage().empty()) found_.remarks.push_back(fmt::format("{}: {}", file, load_.damage()));
        for (const std::string& remark : found_.remarks) tell("{}", remark);
        if (options_.stall_ms > 0) {
            found_.remarks.push_back(fmt::format("a stall of {} ms a second was planted (--stall)", options_.stall_ms));
        }
    }
    [[nodiscard]] auto work_of(Books& session) {
        return [&session, this](std::uint64_t i) { session.on_packet(load_.packet(warm_up_ + i)); };
    }
    [[nodiscard]] OpenLoopPlan plan(int multiple) const {
        OpenLoopPlan plan;
        plan.packets_per_second = found_.flat_out * kSustainedShare * multiple;
        plan.packets = found_.packets_measured;
        plan.seed = options_.seed;
        plan.stall.length = static_cast<Nanoseconds>(options_.stall_ms * 1e6);
        return plan;
    }

    // By the thread's own time, and the best of several: what others take of the core is no limit of the path's.
    void flat_out() {
        progress_.update(0, kMultiples.size() + 2, 0, "rates");
        for (int run = 0; run < kFlatOutRuns; ++run) {
            const auto session = warm_session();
            const std::uint64_t before = session->messages()[MessageCounter::decoded];
            const Nanoseconds begin = thread_time();
            run_flat_out(clock_, work_of(*session), found_.packets_measured);
            const double rate = static_cast<double>(found_.packets_measured) * 1e9 / static_cast<double>(thread_time() - begin);
            check(*session);
            const auto messages = static_cast<double>(session->messages()[MessageCounter::decoded] - before);
            if (rate < found_.flat_out) continue;
            found_.flat_out = rate;
            found_.flat_out_messages = rate * messages / static_cast<double>(found_.packets_measured);
        }
    }
    void control() {
        OpenLoopPlan idle = plan(kHeadlineMultiple);
        idle.stall = {};
        run_open_loop(clock_, [](std::uint64_t) {}, idle, found_.control);
    }
    void rate(int multiple) {
        progress_.update(found_.rates.size() + 1, kMultiples.size() + 2, found_.rates.size(), "rates");
        const auto session = warm_session();
        RateRun& run = found_.rates.emplace_back();
        run.multiple = multiple;
        const Interference others;
        run_open_loop(clock_, work_of(*session), plan(multiple), run.result);
        run.preemptions = others.preemptions();
        check(*session);
    }
    void sockets() {
        const std::vector<int> cpus = available_cpus();
        if (options_.no_socket) found_.no_sockets = "as asked for";
        else if (cpus.size() < 2) found_.no_sockets = "the sender needs a second core";
        else if (!options_.file.empty()) found_.no_sockets = "a capture is measured from memory";
        if (!found_.no_sockets.empty()) return;
        progress_.update(kMultiples.size() + 1, kMultiples.size() + 2, kMultiples.size(), "rates");
        SocketPlan plan;
        plan.sender_cpu = cpus.front() == found_.host.core ? cpus.back() : cpus.front();
        plan.warm_up = plan.packets = std::min(plan.packets, load_.packets() / 2);
        try {
            for (const double rate : kSocketRates) {
                plan.packets_per_second = rate;
                found_.sockets.push_back(run_socket<Venue>(load_, plan));
            }
        } catch (const Error& error) {
            found_.no_sockets = error.what();
            found_.sockets.clear();
        }
    }

    const QualifyOptions& options_;
    const Workload& load_;
    Qualification& found_;
    StopSignals& signals_;
    std::uint64_t warm_up_;
    MonotonicClock clock_;
    Strategy strategy_;
    Progress progress_{"qualify"};
};

Workload workload_of(const QualifyOptions& options, StopSignals& signals) {
    Progress progress(options.file.empty() ? "making the day" : "reading");
    const Workload::KeepOn keep_on = [&](std::uint64_t done, std::uint64_t total) {
        progress.update(done, total, done, options.file.empty() ? "messages" : "bytes");
        return !signals.stopped();
    };
    return options.file.empty() ? Workload::simulated(options.messages, options.symbols, options.seed, keep_on)
                                : Workload::captured(options.file, options.session, keep_on);
}

void write_file(const std::filesystem::path& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (!file) throw Error(ExitCode::file, fmt::format("{} cannot be written; is there room, and may this user?", path.string()));
}

// The files of a report. What stood there is replaced when all of them are whole, and not before.
class ReportFolder {
  public:
    // Before minutes of measuring, not after them. Throws Error(file) where nothing can be written.
    explicit ReportFolder(const std::string& folder) : at_(folder) {
        std::error_code problem;
        std::filesystem::create_directories(at_, problem);
        if (problem || !std::filesystem::is_directory(at_)) {
            throw Error(ExitCode::file,
                        fmt::format("--out {}: no folder can be made there ({}); name one that this user may write to",
                                    folder, problem.message()));
        }
        for (const char* name : kNames) {
            if (std::filesystem::is_directory(at_ / name)) {
                throw Error(ExitCode::file, fmt::format("{} is a folder, where a file of the report is to lie; name "
                                                        "another folder with --out", (at_ / name).string()));
            }
        }
        write_file(part_of(kPage), "");
        discard();
    }
    void write(const Qualification& found) const {
        try {
            write_file(part_of(kPage), as_html(found));
            write_file(part_of("histograms.csv"), as_csv(found));
            write_file(part_of("report.json"), as_json(found));
            for (const char* name : kNames) std::filesystem::rename(part_of(name), at_ / name);
        } catch (const std::filesystem::filesystem_error& error) {
            discard();
            throw Error(ExitCode::file, fmt::format("{} cannot be replaced ({}); name another folder with --out",
                                                    error.path2().string(), error.code().message()));
        } catch (...) {
            discard();
            throw;
        }
        tell("the report is {}; raw histograms lie beside it", (at_ / kPage).string());
    }

  private:
    static constexpr const char* kPage = "report.html";
    static constexpr std::array kNames{kPage, "histograms.csv", "report.json"};

    [[nodiscard]] std::filesystem::path part_of(const char* name) const { return at_ / fmt::format(".{}.part", name); }
    void discard() const {
        std::error_code ignored;
        for (const char* name : kNames) std::filesystem::remove(part_of(name), ignored);
    }

    std::filesystem::path at_;
};

ExitCode run_qualify(const QualifyOptions& options) {
    StopSignals signals;
    const Timestamp begin = MonotonicClock::now();
    const std::string venue =
        options.file.empty() ? std::string(venues::NasdaqItch50::kId) : choose_venue(options.venue, {options.file});
    const int core = options.cpu == kNotPinned ? available_cpus().back() : options.cpu;
    check_cpu(core);
    const ReportFolder folder(options.out);
    const Workload load = workload_of(options, signals);
    auto found = std::make_unique<Qualification>();
    found->host = host_facts(core);
    found->input = load.description();
    found->input_checksum = load.checksum();
    const Interference others;
    pin_to(core);
    venues::with_venue(venue, [&]<class Venue>() { Qualifier<Venue>(options, load, *found, signals).run(); });
    found->stolen_percent = others.stolen_percent();
    found->seconds = static_cast<double>(MonotonicClock::now() - begin) / 1e9;
    // What was measured is lost neither where the report finds no room, nor where nobody reads stdout.
    std::exception_ptr problem;
    try {
        folder.write(*found);
    } catch (const Error&) {
        problem = std::current_exception();
    }
    write_result(options.json ? as_json(*found) : as_text(*found));
    if (problem) std::rethrow_exception(problem);
    return found->balance == 0 ? ExitCode::ok : ExitCode::failure;
}

}  // namespace

void add_qualify(CLI::App& app, Run& run) {
    auto options = std::make_shared<QualifyOptions>();
    CLI::App* command =
        app.add_subcommand("qualify", "Measure this host's latency from packet to book, and write a report");
    CLI::Option* file = command->add_option("FILE", options->file, "a capture to measure with; left out: a simulated day");
    command->add_option("--venue", options->venue, "venue id of FILE; found out where it tells")->needs(file);
    command->add_option("--out", options->out, "folder of the report: report.html, report.json, histograms.csv")
        ->capture_default_str();
    command->add_option("--cpu", options->cpu, "the core to measure; left out: the last this process may use")
        ->check(count());
    command->add_option("--messages", options->messages, "of the simulated day; the second half is measured")
        ->check(CLI::Range(std::uint64_t{100'000}, std::uint64_t{40'000'000}))
        ->capture_default_str();
    command->add_option("--symbols", options->symbols, "of the simulated day")
        ->check(CLI::Range(1U, 65'535U))
        ->capture_default_str();
    command->add_option("--seed", options->seed, "of the simulated day and of the Poisson times")
        ->check(count())
        ->capture_default_str();
    command->add_option("--stall", options->stall_ms, "plant a stall of so many ms each second, to see the report show it")
        ->check(between(0, 1000));
    command->add_flag("--no-socket", options->no_socket, "measure from memory alone");
    add_limits(*command, options->session.limits);
    command->add_flag("--json", options->json, "end with one JSON object on stdout (docs/json.md)");
    command->callback([options, &run] { run = [options] { return run_qualify(*options); }; });
}

}  // namespace millrace::tools
