// Readers of a stream that are killed wherever they are, each a process of its own.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/sink_test.hpp"

namespace millrace::test {

// In the process of a reader: passes on what it reads, which is all the processing there is. A batch
// counts as processed when the next one is asked for, and not before all of it was passed on.
[[noreturn]] inline void read_until_killed(const std::string& url, int to) {
    const auto put = [&](std::span<const std::uint8_t> bytes) {
        while (!bytes.empty()) {
            const ssize_t n = write(to, bytes.data(), bytes.size());
            if (n <= 0) _exit(1);
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
    };
    try {
        const auto source = streams::make_source(streams::parse_url(url));
        streams::Received received;
        for (;;) {
            const streams::Source::Next next = source->next(100, received);
            if (next == streams::Source::Next::end || next == streams::Source::Next::failed) break;
            if (next == streams::Source::Next::none) continue;
            const std::uint64_t size = received.payload.size();
            put({reinterpret_cast<const std::uint8_t*>(&size), sizeof(size)});
            put(wire::bytes_of(received.envelope));
            put(received.payload);
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
    }
    _exit(1);
}

// One such process, and what it has passed on.
class KilledReader {
  public:
    explicit KilledReader(const std::string& url) {
        std::array<int, 2> ends{};
        REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
        // As little as can be is on its way between the two, so that the end is where it is read.
        REQUIRE(fcntl(ends[1], F_SETPIPE_SZ, 4'096) >= 0);
        pid_ = fork();
        if (pid_ == 0) {
            close(ends[0]);
            read_until_killed(url, ends[1]);
        }
        close(ends[1]);
        from_ = fdopen(ends[0], "rb");
    }
    ~KilledReader() {
        kill_it();
        std::fclose(from_);
    }
    KilledReader(const KilledReader&) = delete;
    KilledReader& operator=(const KilledReader&) = delete;

    // False when the reader has ended, and all that it passed on as a whole was taken.
    bool take(streams::StreamChecker& checker) {
        std::uint64_t size = 0;
        streams::Envelope envelope;
        if (std::fread(&size, sizeof(size), 1, from_) != 1) return false;
        if (std::fread(&envelope, sizeof(envelope), 1, from_) != 1) return false;
        std::vector<std::uint8_t> payload(size);
        if (std::fread(payload.data(), 1, size, from_) != size) return false;
        checker.on_batch(envelope, payload, records_in(payload));
        return true;
    }
    // True when that is what ended it.
    bool kill_it() {
        if (pid_ < 0) return false;
        kill(pid_, SIGKILL);
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    }

  private:
    pid_t pid_ = -1;
    std::FILE* from_ = nullptr;
};

// So many readers, one after the other, each killed a moment after a number of batches below `most`; then
// one that reads to the end. `seed` chooses, so that a failure comes again.
inline streams::CheckedTotals read_by_killing(const std::string& url, int lives, std::uint32_t seed,
                                              std::uint64_t most) {
    streams::StreamChecker checker;
    std::mt19937 random(seed);
    for (int life = 0; life < lives; ++life) {
        INFO("life " << life);
        KilledReader reader(url);
        for (std::uint64_t batches = 1 + random() % most; batches > 0; --batches) {
            REQUIRE(reader.take(checker));
        }
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 2'000));
        REQUIRE(reader.kill_it());
        while (reader.take(checker)) {
        }
    }
    const auto source = streams::make_source(streams::parse_url(url));
    read_into(checker, *source);
    source->close();
    return checker.totals();
}

}  // namespace millrace::test
