// What of a host costs latency, each with the line that mends it: what `millrace doctor` shows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::tools {

enum class Verdict : unsigned char {
    good,
    costs,    // latency or packets; `fix` mends it
    unknown,  // the host does not tell, as virtual machines and containers often do not
};
[[nodiscard]] std::string_view name(Verdict verdict);

struct Finding {
    std::string what;  // "cpu governor"
    std::string found;
    Verdict verdict = Verdict::unknown;
    std::string why;  // what it costs; empty where it is good
    std::string fix;  // a shell line, or what to change; empty where it is good
};

// Where a host is read. Tests point `root` at a folder of their own with the same files in it.
struct HostChecks {
    std::string root;           // before /proc and /sys; empty: this host
    std::vector<int> hot_cpus;  // where receiver and decoder threads are to run
    std::string interface;      // the one feeds arrive by; empty: all that are up
};

// Everything that `checks` can see, the costly things first to last in the order of the path: CPUs, memory,
// network, kernel interfaces. Reads only; needs no privilege.
[[nodiscard]] std::vector<Finding> examine_host(const HostChecks& checks);

}  // namespace millrace::tools
