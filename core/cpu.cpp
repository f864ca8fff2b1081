#include "millrace/core/cpu.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "millrace/core/error.hpp"

namespace millrace {

namespace {

std::vector<int> affinity() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> cpus;
    // The main thread's: the calling one may be pinned.
    if (sched_getaffinity(getpid(), sizeof(set), &set) != 0) return cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
    }
    return cpus;
}

// As the process was given them: a thread that pins itself later takes no CPU away from the others.
const std::vector<int> kGivenCpus = affinity();

}  // namespace

std::vector<int> available_cpus() { return kGivenCpus; }

std::vector<int> parse_cpu_list(std::string_view text) {
    const auto bad = [&] {
        return Error(ExitCode::cpu, fmt::format("CPU list \"{}\": not a list; write it like 0-3,5", text));
    };
    std::vector<int> cpus;
    const char* at = text.data();
    const char* const end = text.data() + text.size();
    while (at < end) {
        int first = 0;
        auto [next, problem] = std::from_chars(at, end, first);
        if (problem != std::errc{} || first < 0) throw bad();
        int last = first;
        if (next < end && *next == '-') {
            std::tie(next, problem) = [&] {
                const auto result = std::from_chars(next + 1, end, last);
                return std::pair(result.ptr, result.ec);
            }();
            if (problem != std::errc{}) throw bad();
        }
        if (last < first || last >= CPU_SETSIZE || (next < end && *next != ',')) throw bad();
        for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
        at = next < end ? next + 1 : next;
        if (next < end && at == end) throw bad();
    }
    if (cpus.empty()) throw bad();
    return cpus;
}

void check_cpu(int cpu) {
    if (cpu == kNotPinned) return;
    const std::vector<int> cpus = available_cpus();
    if (std::find(cpus.begin(), cpus.end(), cpu) != cpus.end()) return;
    throw Error(ExitCode::cpu, fmt::format("CPU {}: this process may not run there; it may use {}", cpu,
                                           fmt::join(cpus, ",")));
}

void pin_to(int cpu) {
    check_cpu(cpu);
    if (cpu == kNotPinned) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    if (const int problem = pthread_setaffinity_np(pthread_self(), sizeof(set), &set); problem != 0) {
        throw_errno(ExitCode::cpu, fmt::format("pin to CPU {}", cpu), problem, "choose another CPU in [feed.threads]");
    }
}

std::thread start_thread(const std::string& name, int cpu, std::function<void()> body) {
    check_cpu(cpu);
    // What takes memory is done here: the new thread would have nobody to tell.
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int each : cpu == kNotPinned ? available_cpus() : std::vector<int>{cpu}) {
        CPU_SET(static_cast<std::size_t>(each), &set);
    }
    try {
        return std::thread([label = name.substr(0, 15), set, body = std::move(body)] {
            // A child of a real-time thread would share its CPU with it and never run.
            sched_param priority{};
            pthread_setschedparam(pthread_self(), SCHED_OTHER, &priority);
            pthread_setname_np(pthread_self(), label.c_str());
            pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
            body();
        });
    } catch (const std::system_error& error) {
        throw_errno(ExitCode::resource, "thread " + name, error.code().value(),
                    "raise the limit on threads (ulimit -u)");
    }
}

namespace {
constexpr std::array<std::string_view, 5> kIdleNames{"automatic", "spin", "pause", "yield", "wait"};
}

std::string_view name(Idle idle) { return kIdleNames[static_cast<std::size_t>(idle)]; }

Idle parse_idle(std::string_view text) {
    for (std::size_t i = 0; i < kIdleNames.size(); ++i) {
        if (kIdleNames[i] == text) return static_cast<Idle>(i);
    }
    throw Error(ExitCode::config, fmt::format("idle \"{}\": must be one of {}", text, fmt::join(kIdleNames, ", ")));
}

Idle resolve(Idle idle, std::size_t busy_threads, std::size_t cpus) {
    if (idle != Idle::automatic) return idle;
    return busy_threads < cpus ? Idle::pause : Idle::wait;
}

}  // namespace millrace
