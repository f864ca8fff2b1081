// The presets of a profile-guided build: one writes a profile, the other one is compiled by it and refuses without.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "tests/support/multicast.hpp"

using namespace millrace::test;
namespace fs = std::filesystem;

namespace {

struct TempFolder {
    TempFolder() { fs::create_directories(path / "profile"); }
    ~TempFolder() { fs::remove_all(path); }
    fs::path path = TempFile("profile-guided").path();
};

Outcome configure(const std::string& preset, const TempFolder& folder) {
    const std::string profile = "-DMILLRACE_PROFILE_DIR=" + (folder.path / "profile").string();
    return Command({"cmake", "-S", MILLRACE_SOURCE_DIR, "--preset", preset, "-B", (folder.path / preset).string(),
                    profile, "-DMILLRACE_TESTS=OFF"},
                   preset, {}, "/usr/bin/env")
        .wait();
}

std::string commands_of(const std::string& preset, const TempFolder& folder) {
    std::ostringstream text;
    text << std::ifstream(folder.path / preset / "compile_commands.json").rdbuf();
    return text.str();
}

}  // namespace

TEST_CASE("build: the presets of a profile-guided build configure", "[.long][no-sanitizer]") {
    const TempFolder folder;
    const std::string profile = (folder.path / "profile").string();

    const Outcome generates = configure("pgo-generate", folder);
    INFO(generates.err);
    REQUIRE(generates.code == 0);
    CHECK(commands_of("pgo-generate", folder).find("-fprofile-generate=" + profile) != std::string::npos);

    const Outcome refused = configure("pgo", folder);
    CHECK(refused.code != 0);
    CHECK(refused.err.find("no profile in") != std::string::npos);

    std::ofstream(folder.path / "profile/complete") << "this one\n";
    const Outcome uses = configure("pgo", folder);
    INFO(uses.err);
    REQUIRE(uses.code == 0);
    CHECK(commands_of("pgo", folder).find("-fprofile-use=" + profile) != std::string::npos);
}

TEST_CASE("build: making a profile that is interrupted leaves nothing behind", "[no-sanitizer]") {
    const TempFolder folder;
    const fs::path temporary = folder.path / "tmp";
    fs::create_directories(temporary);
    const std::string tools = MILLRACE_SOURCE_DIR "/tools/lib/";
    Command making({"bash", "-c", ". " + tools + "common.sh && . " + tools + "profile.sh && train \"$0\"",
                    Command::path().string()},
                   "profile",
                   [&] {
                       setpgid(0, 0);
                       std::signal(SIGINT, SIG_DFL);  // also where the tests run in the background of a script
                       setenv("TMPDIR", temporary.c_str(), 1);
                   },
                   "/usr/bin/env");
    REQUIRE(eventually([&] {
        return std::any_of(fs::directory_iterator(temporary), {}, [](const fs::directory_entry& entry) {
            return fs::exists(entry.path() / "day.pcapng");
        });
    }));
    making.signal_group(SIGINT);  // as Ctrl-C does
    const Outcome outcome = making.wait();
    INFO(outcome.err);
    CHECK(outcome.code == 130);
    CHECK(fs::is_empty(temporary));
}
