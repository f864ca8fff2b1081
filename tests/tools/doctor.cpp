// What the doctor says of hosts that are laid out in a folder.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "host_checks.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"

using namespace millrace;
using namespace millrace::test;
using namespace millrace::tools;

namespace {

// A folder that stands for the root of a host.
class PlantedHost {
  public:
    PlantedHost() = default;
    PlantedHost(const PlantedHost&) = delete;
    PlantedHost& operator=(const PlantedHost&) = delete;
    ~PlantedHost() { std::filesystem::remove_all(root_); }
    void put(const std::string& path, const std::string& text) const {
        const auto at = std::filesystem::path(root_ + path);
        std::filesystem::create_directories(at.parent_path());
        std::ofstream(at) << text << "\n";
    }
    [[nodiscard]] Finding finding(const std::string& what, std::vector<int> cpus = {1}) const {
        const auto all = examine_host({root_, std::move(cpus), ""});
        const auto at = std::find_if(all.begin(), all.end(), [&](const Finding& f) { return f.what == what; });
        REQUIRE(at != all.end());
        return *at;
    }

  private:
    TempFile folder_{"planted-host"};
    std::string root_ = folder_.path().string();
};

}  // namespace

TEST_CASE("doctor: what a host does not tell is unknown, and nothing is made up") {
    const PlantedHost host;
    for (const char* what : {"cpu governor", "idle states", "isolated cores", "interrupts on hot cores", "hyperthreads",
                             "clock source", "stolen time", "transparent huge pages", "reserved huge pages",
                             "socket receive buffer", "timestamps"}) {
        INFO(what);
        CHECK(host.finding(what).verdict == Verdict::unknown);
        CHECK(host.finding(what).fix.empty());
    }
}

TEST_CASE("doctor: each thing that costs latency is found, with the line that mends it") {
    const PlantedHost host;
    const std::string cpu = "/sys/devices/system/cpu/";
    struct Case {
        const char* what;
        std::string path;
        std::string bad;
        std::string good;
        const char* fix;
    };
    const std::vector<Case> cases{
        {"cpu governor", cpu + "cpu1/cpufreq/scaling_governor", "powersave", "performance", "frequency-set"},
        {"isolated cores", cpu + "isolated", "", "1-3", "isolcpus=1"},
        {"hyperthreads", cpu + "smt/active", "1", "0", "smt/control"},
        {"clock source", "/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet", "tsc", "echo tsc"},
        {"transparent huge pages", "/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]",
         "always [madvise] never", "echo madvise"},
        {"reserved huge pages", "/proc/sys/vm/nr_hugepages", "0", "512", "vm.nr_hugepages"},
        {"NUMA balancing", "/proc/sys/kernel/numa_balancing", "1", "0", "numa_balancing=0"},
        {"socket receive buffer", "/proc/sys/net/core/rmem_max", "212992", "8388608", "rmem_max=8388608"},
        {"stolen time", "/proc/stat", "cpu 100 0 100 9700 0 0 0 100", "cpu 100 0 100 9800 0 0 0 0", "not shared"},
        {"interrupts on hot cores", "/proc/interrupts", "     CPU0 CPU1\n 24: 0 7 IR-PCI-MSI eth0-rx-0\nLOC: 1 1 timer",
         "     CPU0 CPU1\n 24: 7 0 IR-PCI-MSI eth0-rx-0\nLOC: 1 1 timer", "smp_affinity_list"},
    };
    for (const Case& c : cases) {
        INFO(c.what);
        host.put(c.path, c.bad);
        const Finding bad = host.finding(c.what);
        CHECK(bad.verdict == Verdict::costs);
        CHECK(bad.fix.find(c.fix) != std::string::npos);
        CHECK_FALSE(bad.why.empty());
        host.put(c.path, c.good);
        CHECK(host.finding(c.what).verdict == Verdict::good);
    }
    CHECK(host.finding("interrupts on hot cores", {0}).found == "eth0-rx-0 (24)");
}

TEST_CASE("doctor: the deepest idle state that is allowed counts") {
    const PlantedHost host;
    const std::string at = "/sys/devices/system/cpu/cpu1/cpuidle/state";
    host.put(at + "0/name", "C1");
    host.put(at + "0/latency", "2");
    host.put(at + "1/name", "C6");
    host.put(at + "1/latency", "133");
    CHECK(host.finding("idle states").found == "deepest C6 (133 us to leave)");
    CHECK(host.finding("idle states").verdict == Verdict::costs);
    host.put(at + "1/disable", "1");
    CHECK(host.finding("idle states").found == "deepest C1 (2 us to leave)");
    CHECK(host.finding("idle states").verdict == Verdict::good);
}

TEST_CASE("millrace doctor: looks at this host, in words and in JSON") {
    const Outcome text = run_command({"doctor"});
    CHECK(text.code == 0);
    CHECK(text.out.find("cost latency") != std::string::npos);
    const auto json = nlohmann::json::parse(run_command({"doctor", "--json"}).out);
    REQUIRE(json.size() >= 10);
    for (const auto& finding : json) CHECK((finding["verdict"] == "costs") == (finding["fix"] != ""));
    CHECK(run_command({"doctor", "--cpus", "9999"}).code == 9);
    CHECK(run_command({"doctor", "--interface", "nowhere0"}).code == 6);
}
