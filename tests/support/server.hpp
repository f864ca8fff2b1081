// A server that a test starts for itself: a child that ends with the test, in a folder of its own.
#pragma once

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/network.hpp"

namespace millrace::test {

// A new folder that goes with the object.
class TempFolder {
  public:
    explicit TempFolder(const std::string& name) {
        // mkdtemp puts what nobody else has in the place of the X.
        std::string pattern = std::filesystem::temp_directory_path() / ("millrace-" + name + "-XXXXXX");
        MILLRACE_VERIFY(mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

class ServerProcess {
  public:
    ServerProcess(std::vector<std::string> argv, std::filesystem::path log)
        : argv_(std::move(argv)), log_(std::move(log)) {
        start();
    }
    ~ServerProcess() { kill_it(); }
    ServerProcess(const ServerProcess&) = delete;
    ServerProcess& operator=(const ServerProcess&) = delete;

    void start() {
        std::vector<char*> words;
        for (std::string& word : argv_) words.push_back(word.data());
        words.push_back(nullptr);
        pid_ = fork();
        if (pid_ != 0) return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // also when the test is killed
        const int out = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        execvp(words[0], words.data());
        _exit(127);
    }
    void signal(int number) const { kill(pid_, number); }
    // From now on, and until it is started again, it can make no file longer than that: to it the disk is full.
    void limit_files(std::uint64_t bytes) const {
        const rlimit limit{bytes, bytes};
        MILLRACE_VERIFY(prlimit(pid_, RLIMIT_FSIZE, &limit, nullptr) == 0);
    }
    // As a crash would.
    void kill_it() {
        if (pid_ <= 0) return;
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
    [[nodiscard]] bool running() const {
        siginfo_t ended{};
        return pid_ > 0 &&
               waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               ended.si_pid == 0;
    }
    // Asks `ready` again and again; false when the server has ended, or it takes too long.
    template <class Ready>
    [[nodiscard]] bool wait_until(Ready&& ready, int seconds) const {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
        while (running() && std::chrono::steady_clock::now() < deadline) {
            if (ready()) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        return false;
    }
    [[nodiscard]] std::string log() const {
        std::ostringstream text;
        text << std::ifstream(log_).rdbuf();
        return text.str();
    }

  private:
    std::vector<std::string> argv_;
    std::filesystem::path log_;
    pid_t pid_ = -1;
};

}  // namespace millrace::test
