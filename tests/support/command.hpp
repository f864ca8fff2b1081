// Runs the `millrace` command of this build, or another program of it, as a process of its own.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temp_file.hpp"

namespace millrace::test {

struct Outcome {
    int code = -1;  // of exit; 128 + the signal's number when one ended it
    std::string out;
    std::string err;
};

class Command {
  public:
    // Starts it at once. `tag` keeps the output of several commands of one test apart. `before` runs
    // in the new process just before the command does, and may take something away from it.
    explicit Command(std::vector<std::string> arguments, const std::string& tag = "command",
                     const std::function<void()>& before = {}, const std::filesystem::path& program = path())
        : out_(tag + ".out"), err_(tag + ".err") {
        arguments.insert(arguments.begin(), program.string());
        std::vector<char*> argv;
        for (std::string& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        const int out = open(out_.path().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        const int err = open(err_.path().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        pid_ = fork();
        if (pid_ == 0) {
            dup2(out, STDOUT_FILENO);
            dup2(err, STDERR_FILENO);
            if (before) before();
            execv(argv[0], argv.data());
            _exit(127);
        }
        close(out);
        close(err);
    }
    ~Command() {
        if (pid_ <= 0) return;
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;

    void signal(int number) const { kill(pid_, number); }
    // To all processes of its group, where `before` made it one: setpgid(0, 0).
    void signal_group(int number) const { kill(-pid_, number); }

    [[nodiscard]] Outcome wait() {
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text(out_),
                text(err_)};
    }

    // True once the process holds SIGINT back, which it does before its work begins; false when it
    // has ended.
    [[nodiscard]] bool wait_until_it_heeds_signals() const {
        return wait_until([&] {
            std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
            for (std::string line; std::getline(status, line);) {
                if (line.rfind("SigBlk:", 0) != 0) continue;
                return (std::stoull(line.substr(7), nullptr, 16) >> (SIGINT - 1) & 1) != 0;
            }
            return false;
        });
    }
    [[nodiscard]] bool wait_for_file(const std::filesystem::path& file) const {
        return wait_until([&] { return std::filesystem::exists(file); });
    }

    [[nodiscard]] static std::filesystem::path path() {
        return std::filesystem::canonical("/proc/self/exe").parent_path().parent_path() /
               "millrace";
    }

  private:
    template <class Done>
    [[nodiscard]] bool wait_until(Done&& done) const {
        constexpr int kTries = 6'000;
        for (int i = 0; i < kTries; ++i) {
            if (done()) return true;
            siginfo_t ended{};
            if (waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
                ended.si_pid != 0) {
                return done();
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }
    [[nodiscard]] static std::string text(const TempFile& file) {
        std::ostringstream text;
        text << std::ifstream(file.path()).rdbuf();
        return text.str();
    }

    TempFile out_;
    TempFile err_;
    pid_t pid_ = -1;
};

inline Outcome run_command(std::vector<std::string> arguments,
                           const std::function<void()>& before = {}) {
    return Command(std::move(arguments), "command", before).wait();
}

}  // namespace millrace::test
