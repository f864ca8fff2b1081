#include "qualify/host.hpp"

#include <sys/resource.h>
#include <sys/utsname.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "millrace/core/cpu.hpp"
#include "millrace/core/memory.hpp"
#include "millrace/feed/net/io_uring_receiver.hpp"

namespace millrace::tools {
namespace {

std::string cpu_model() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    }
    return "unknown";
}

// Arguments behind zeroes, as the kernel keeps them.
std::string command_line() {
    std::ifstream file("/proc/self/cmdline");
    std::string text{std::istreambuf_iterator<char>(file), {}};
    for (char& c : text) {
        if (c == '\0') c = ' ';
    }
    if (!text.empty()) text.pop_back();
    return text;
}

}  // namespace

HostFacts host_facts(int core) {
    HostFacts facts;
    facts.cpu = cpu_model();
    utsname name{};
    uname(&name);
    facts.kernel = name.release;
    facts.compiler = __VERSION__;
    facts.flags = MILLRACE_COMPILE_FLAGS;
    facts.pages = std::string(millrace::name(MappedMemory(MappedMemory::kChunk).pages()));
    const std::string refusal = net::io_uring_refusal();
    facts.backend = refusal.empty() ? "io_uring" : "recvmmsg (" + refusal + ")";
    facts.core = core;
    facts.cores = static_cast<int>(available_cpus().size());
    facts.command = command_line();
    return facts;
}

Interference::Interference() : switches_(switches()), ticks_(ticks()) {}

std::uint64_t Interference::preemptions() const { return switches() - switches_; }

double Interference::stolen_percent() const {
    const Ticks now = ticks();
    const std::uint64_t all = now.all - ticks_.all;
    return all == 0 ? 0 : 100.0 * static_cast<double>(now.stolen - ticks_.stolen) / static_cast<double>(all);
}

Interference::Ticks Interference::ticks() {
    std::ifstream file("/proc/stat");
    std::string cpu;
    file >> cpu;
    Ticks ticks;
    std::uint64_t each = 0;
    for (int column = 0; column < 8 && file >> each; ++column) {
        ticks.all += each;
        if (column == 7) ticks.stolen = each;  // proc(5): user nice system idle iowait irq softirq steal
    }
    return ticks;
}

std::uint64_t Interference::switches() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    return static_cast<std::uint64_t>(usage.ru_nivcsw);
}

}  // namespace millrace::tools
