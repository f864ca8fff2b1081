// millrace doctor: what of this host costs latency, and the line that mends each.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "command.hpp"
#include "console.hpp"
#include "host_checks.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/feed/net/socket.hpp"

namespace millrace::tools {

namespace {

struct DoctorOptions {
    std::string cpus;
    std::string interface;
    bool json = false;
};

// Somebody has to do everything else: the first core, where there are several.
std::vector<int> all_but_the_first() {
    std::vector<int> cpus = available_cpus();
    if (cpus.size() > 1) cpus.erase(cpus.begin());
    return cpus;
}

HostChecks checks_of(const DoctorOptions& options) {
    HostChecks checks;
    checks.hot_cpus = options.cpus.empty() ? all_but_the_first() : parse_cpu_list(options.cpus);
    for (const int cpu : checks.hot_cpus) check_cpu(cpu);
    if (!options.interface.empty()) checks.interface = net::find_interface(options.interface).name;
    return checks;
}

std::string as_text(const std::vector<Finding>& findings) {
    std::string text;
    std::size_t costly = 0;
    for (const Finding& f : findings) {
        text += fmt::format("{:<8} {:<24} {}\n", name(f.verdict), f.what, f.found);
        if (f.verdict != Verdict::costs) continue;
        ++costly;
        text += fmt::format("{:9}why  {}\n{:9}fix  {}\n", "", f.why, "", f.fix);
    }
    return text + fmt::format("{} of {} cost latency\n", costly, findings.size());
}

std::string as_json(const std::vector<Finding>& findings) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Finding& f : findings) {
        list.push_back({{"what", f.what}, {"found", f.found}, {"verdict", name(f.verdict)}, {"why", f.why}, {"fix", f.fix}});
    }
    return list.dump() + "\n";
}

ExitCode run_doctor(const DoctorOptions& options) {
    const std::vector<Finding> findings = examine_host(checks_of(options));
    write_result(options.json ? as_json(findings) : as_text(findings));
    return ExitCode::ok;
}

}  // namespace

void add_doctor(CLI::App& app, Run& run) {
    auto options = std::make_shared<DoctorOptions>();
    CLI::App* command = app.add_subcommand("doctor", "Tell what of this host costs latency, and how to mend it");
    command->add_option("--cpus", options->cpus, "the cores feeds are to run on, as 2-3,6; left out: all but the first");
    command->add_option("--interface", options->interface, "the one feeds arrive by; left out: all that are up");
    command->add_flag("--json", options->json, "one list of findings on stdout (docs/json.md)");
    command->callback([options, &run] { run = [options] { return run_doctor(*options); }; });
}

}  // namespace millrace::tools
