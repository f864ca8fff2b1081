// The machine that figures were taken on, and what else it did meanwhile.
#pragma once

#include <cstdint>
#include <string>

namespace millrace::tools {

struct HostFacts {
    std::string cpu;       // model
    std::string kernel;    // release
    std::string compiler;
    std::string flags;     // this program was compiled with
    std::string pages;     // where the books lie
    std::string backend;   // that a feed would be received by
    int core = 0;          // that was measured
    int cores = 0;         // this process may use
    std::string command;   // the exact one
};
[[nodiscard]] HostFacts host_facts(int core);

// What other work took from the calling thread since it was made.
class Interference {
  public:
    Interference();
    // Times the thread was taken off its core.
    [[nodiscard]] std::uint64_t preemptions() const;
    // Of the host's cores, in percent of the time; 0 where the host does not tell.
    [[nodiscard]] double stolen_percent() const;

  private:
    struct Ticks {
        std::uint64_t stolen = 0;
        std::uint64_t all = 0;
    };
    [[nodiscard]] static Ticks ticks();
    [[nodiscard]] static std::uint64_t switches();

    std::uint64_t switches_ = 0;
    Ticks ticks_;
};

}  // namespace millrace::tools
