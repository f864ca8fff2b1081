#include "host_checks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include "millrace/core/cpu.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/net/io_uring_receiver.hpp"
#include "millrace/feed/net/socket.hpp"

namespace millrace::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kReceiveBuffer = std::uint64_t{8} << 20;  // of a socket: some 10 ms of a full day's burst
constexpr std::uint64_t kLockable = std::uint64_t{1} << 30;       // arenas and rings of one feed
constexpr std::uint64_t kSlowWake = 10;                           // us that leaving an idle state may take

// The file's text without the line's end; nothing where it cannot be read.
std::optional<std::string> read(const HostChecks& checks, const std::string& path) {
    std::ifstream file(checks.root + path);
    std::ostringstream text;
    if (!file || !(text << file.rdbuf())) return std::nullopt;
    std::string all = text.str();
    while (!all.empty() && (all.back() == '\n' || all.back() == ' ')) all.pop_back();
    return all;
}

std::optional<std::uint64_t> read_number(const HostChecks& checks, const std::string& path) {
    const std::optional<std::string> text = read(checks, path);
    std::uint64_t number = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc{})
        return std::nullopt;
    return number;
}

// The names in a folder, sorted; empty where there is none.
std::vector<std::string> entries(const HostChecks& checks, const std::string& path) {
    std::vector<std::string> names;
    std::error_code problem;
    for (fs::directory_iterator at(checks.root + path, problem), end; !problem && at != end; at.increment(problem))
        names.push_back(at->path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

// "[always] madvise never" -> "always".
std::string chosen(const std::string& choices) {
    const std::size_t open = choices.find('[');
    const std::size_t close = choices.find(']', open);
    return close == std::string::npos ? choices : choices.substr(open + 1, close - open - 1);
}

Finding good(std::string what, std::string found) { return {std::move(what), std::move(found), Verdict::good, {}, {}}; }
Finding unknown(std::string what, std::string found) {
    return {std::move(what), std::move(found), Verdict::unknown, {}, {}};
}

Finding governor(const HostChecks& checks) {
    std::string found;
    for (const int cpu : checks.hot_cpus) {
        const auto of_cpu =
            read(checks, fmt::format("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor", cpu));
        if (!of_cpu) return unknown("cpu governor", "not shown: the hypervisor or the firmware decides");
        if (found.empty() || *of_cpu != "performance") found = *of_cpu;
    }
    if (found == "performance") return good("cpu governor", found);
    return {"cpu governor", found, Verdict::costs, "a core that slowed down works off a burst at a lower frequency",
            "cpupower frequency-set -g performance"};
}

Finding idle_states(const HostChecks& checks) {
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu{}/cpuidle", checks.hot_cpus.front());
    const std::vector<std::string> states = entries(checks, folder);
    if (states.empty()) return unknown("idle states", "not shown: the hypervisor decides");
    std::string deepest;
    std::uint64_t longest = 0;
    for (const std::string& state : states) {
        const std::string at = folder + "/" + state;
        const std::uint64_t us = read_number(checks, at + "/latency").value_or(0);
        if (read_number(checks, at + "/disable").value_or(0) != 0 || us < longest) continue;
        longest = us;
        deepest = read(checks, at + "/name").value_or(state);
    }
    std::string found = fmt::format("deepest {} ({} us to leave)", deepest, longest);
    if (longest < kSlowWake) return good("idle states", std::move(found));
    return {"idle states", std::move(found), Verdict::costs,
            "whoever waits in the kernel wakes up that much later; one who spins does not",
            fmt::format("cpupower idle-set -D {}", kSlowWake)};
}

Finding isolation(const HostChecks& checks) {
    const auto isolated = read(checks, "/sys/devices/system/cpu/isolated");
    if (!isolated) return unknown("isolated cores", "not shown");
    std::vector<int> cpus;
    if (!isolated->empty()) cpus = parse_cpu_list(*isolated);
    const bool all = std::all_of(checks.hot_cpus.begin(), checks.hot_cpus.end(), [&](int cpu) {
        return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end();
    });
    if (all) return good("isolated cores", *isolated);
    const std::string list = fmt::format("{}", fmt::join(checks.hot_cpus, ","));
    return {"isolated cores", isolated->empty() ? "none" : *isolated, Verdict::costs,
            "other threads and the timer tick are scheduled on the hot cores",
            fmt::format("kernel command line: isolcpus={0} nohz_full={0} rcu_nocbs={0}", list)};
}

// Interrupts that have come on a hot core, most first: "eth0-rx-0 (24)".
std::vector<std::string> interrupts_on(const HostChecks& checks) {
    std::istringstream table(read(checks, "/proc/interrupts").value_or(""));
    std::vector<std::size_t> hot_columns;
    std::string line, word;
    std::getline(table, line);
    std::istringstream header(line);
    for (std::size_t column = 0; header >> word; ++column) {
        for (const int cpu : checks.hot_cpus)
            if (word == fmt::format("CPU{}", cpu)) hot_columns.push_back(column);
    }
    std::vector<std::pair<std::uint64_t, std::string>> busy;
    while (std::getline(table, line)) {
        std::istringstream row(line);
        std::string number, last;
        if (!(row >> number) || number.find_first_not_of("0123456789:") != std::string::npos) continue;
        std::vector<std::uint64_t> counts;
        for (std::uint64_t n = 0; row >> n;) counts.push_back(n);
        row.clear();
        while (row >> word) last = word;
        std::uint64_t hot = 0;
        for (const std::size_t column : hot_columns) hot += column < counts.size() ? counts[column] : 0;
        number.pop_back();
        if (hot != 0) busy.emplace_back(hot, fmt::format("{} ({})", last, number));
    }
    std::sort(busy.rbegin(), busy.rend());
    std::vector<std::string> names;
    for (auto& [count, text] : busy) names.push_back(std::move(text));
    return names;
}

Finding interrupts(const HostChecks& checks) {
    if (!read(checks, "/proc/interrupts")) return unknown("interrupts on hot cores", "not shown");
    std::vector<std::string> names = interrupts_on(checks);
    if (names.empty()) return good("interrupts on hot cores", "no device's");
    constexpr std::size_t kShown = 3;
    const std::size_t more = names.size() > kShown ? names.size() - kShown : 0;
    names.resize(names.size() - more);
    std::string found = fmt::format("{}", fmt::join(names, ", "));
    if (more != 0) found += fmt::format(" and {} more", more);
    return {"interrupts on hot cores", std::move(found), Verdict::costs,
            "each takes the core from the feed for some microseconds",
            "systemctl stop irqbalance; then for each number N: echo OTHER_CPUS > /proc/irq/N/smp_affinity_list"};
}

Finding smt(const HostChecks& checks) {
    const auto active = read(checks, "/sys/devices/system/cpu/smt/active");
    if (!active) return unknown("hyperthreads", "not shown");
    if (*active != "1") return good("hyperthreads", "off, or not shown to this machine");
    return {"hyperthreads", "on", Verdict::costs, "a busy sibling takes part of a hot core's execution units and caches",
            "leave siblings of hot cores idle, or: echo off > /sys/devices/system/cpu/smt/control"};
}

Finding clock_source(const HostChecks& checks) {
    const auto source = read(checks, "/sys/devices/system/clocksource/clocksource0/current_clocksource");
    if (!source) return unknown("clock source", "not shown");
    if (*source == "tsc" || *source == "kvm-clock") return good("clock source", *source);
    return {"clock source", *source, Verdict::costs, "reading the clock is a system call of a microsecond and more",
            "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource"};
}

Finding transparent_huge_pages(const HostChecks& checks) {
    const auto enabled = read(checks, "/sys/kernel/mm/transparent_hugepage/enabled");
    if (!enabled) return unknown("transparent huge pages", "not shown");
    const std::string choice = chosen(*enabled);
    if (choice != "never") return good("transparent huge pages", choice);
    return {"transparent huge pages", choice, Verdict::costs, "books on 4 KiB pages miss the TLB at most look-ups",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"};
}

Finding reserved_huge_pages(const HostChecks& checks) {
    const auto pages = read_number(checks, "/proc/sys/vm/nr_hugepages");
    if (!pages) return unknown("reserved huge pages", "not shown");
    if (*pages != 0) return good("reserved huge pages", fmt::format("{}", *pages));
    return {"reserved huge pages", "none", Verdict::costs,
            "transparent ones are taken instead, which the kernel may refuse or split", "sysctl -w vm.nr_hugepages=512"};
}

Finding numa_balancing(const HostChecks& checks) {
    const auto on = read_number(checks, "/proc/sys/kernel/numa_balancing");
    if (!on || *on == 0) return good("NUMA balancing", "off");
    return {"NUMA balancing", "on", Verdict::costs, "the kernel unmaps pages now and then to see who uses them",
            "sysctl -w kernel.numa_balancing=0"};
}

Finding locked_memory() {
    rlimit limit{};
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return unknown("locked memory", "not shown");
    if (limit.rlim_cur >= kLockable)
        return good("locked memory", limit.rlim_cur == RLIM_INFINITY ? "unlimited" : fmt::format("{} MiB", limit.rlim_cur >> 20));
    return {"locked memory", fmt::format("{} KiB", limit.rlim_cur >> 10), Verdict::costs,
            "buffers and books may be swapped out", "in /etc/security/limits.conf: * - memlock unlimited"};
}

Finding receive_buffer(const HostChecks& checks) {
    const auto bytes = read_number(checks, "/proc/sys/net/core/rmem_max");
    if (!bytes) return unknown("socket receive buffer", "not shown");
    if (*bytes >= kReceiveBuffer) return good("socket receive buffer", fmt::format("up to {} KiB", *bytes >> 10));
    return {"socket receive buffer", fmt::format("up to {} KiB", *bytes >> 10), Verdict::costs,
            "a burst that comes while the receiver is off its core is dropped by the kernel",
            fmt::format("sysctl -w net.core.rmem_max={}", kReceiveBuffer)};
}

// Whether that interface's hardware stamps what it receives; nothing where its driver does not say.
std::optional<bool> stamps(const std::string& interface) {
    const net::Socket socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ethtool_ts_info info{};
    info.cmd = ETHTOOL_GET_TS_INFO;
    ifreq request{};
    std::strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&info);
    if (ioctl(socket.fd(), SIOCETHTOOL, &request) != 0) return std::nullopt;
    return (info.so_timestamping & SOF_TIMESTAMPING_RX_HARDWARE) != 0;
}

Finding timestamps(const HostChecks& checks) {
    std::vector<std::string> hardware, software;
    for (const std::string& interface : entries(checks, "/sys/class/net")) {
        if (interface == "lo" || (!checks.interface.empty() && interface != checks.interface)) continue;
        if (read(checks, "/sys/class/net/" + interface + "/operstate") != "up") continue;
        (stamps(interface).value_or(false) ? hardware : software).push_back(interface);
    }
    if (hardware.empty() && software.empty()) return unknown("timestamps", "no interface is up");
    if (software.empty()) return good("timestamps", fmt::format("by the hardware of {}", fmt::join(hardware, ", ")));
    return {"timestamps", fmt::format("by the kernel on {}", fmt::join(software, ", ")), Verdict::costs,
            "time from the wire to the kernel is in no figure; the kernel's own stamps begin after it",
            "measure beyond the kernel only with a network card that stamps what it receives (ethtool -T NAME)"};
}

Finding io_uring(const HostChecks& checks) {
    const std::string refusal = net::io_uring_refusal();
    if (refusal.empty()) return good("io_uring", "multishot receive works");
    const bool disabled = read_number(checks, "/proc/sys/kernel/io_uring_disabled").value_or(0) != 0;
    return {"io_uring", refusal, Verdict::costs, "feeds are received by recvmmsg instead",
            disabled ? "sysctl -w kernel.io_uring_disabled=0"
                     : "a kernel from 6.0 on; in a container, a seccomp profile that allows io_uring_setup"};
}

Finding stolen_time(const HostChecks& checks) {
    std::istringstream stat(read(checks, "/proc/stat").value_or(""));
    std::string cpu;
    std::uint64_t time[8]{};
    stat >> cpu;
    for (std::uint64_t& each : time) stat >> each;
    if (!stat) return unknown("stolen time", "not shown");
    std::uint64_t total = 0;
    for (const std::uint64_t each : time) total += each;
    const double stolen = total == 0 ? 0 : 100.0 * static_cast<double>(time[7]) / static_cast<double>(total);
    std::string found = fmt::format("{:.2f} % since the host started", stolen);
    if (stolen < 0.01) return good("stolen time", std::move(found));
    return {"stolen time", std::move(found), Verdict::costs,
            "the hypervisor ran others on these cores: stalls of milliseconds that nothing here can mend",
            "a machine of its own, or one whose cores are not shared"};
}

}  // namespace

std::string_view name(Verdict verdict) {
    switch (verdict) {
        case Verdict::good: return "good";
        case Verdict::costs: return "costs";
        case Verdict::unknown: return "unknown";
    }
    return "";
}

std::vector<Finding> examine_host(const HostChecks& checks) {
    MILLRACE_VERIFY(!checks.hot_cpus.empty());
    return {governor(checks),       idle_states(checks),         isolation(checks),
            interrupts(checks),     smt(checks),                 clock_source(checks),
            stolen_time(checks),    transparent_huge_pages(checks), reserved_huge_pages(checks),
            numa_balancing(checks), locked_memory(),             receive_buffer(checks),
            timestamps(checks),     io_uring(checks)};
}

}  // namespace millrace::tools
