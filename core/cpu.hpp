// CPUs: which there are, running on one of them, and what to do with one while there is nothing to do.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace millrace {

// CPUs this process (its main thread) may run on, ascending.
[[nodiscard]] std::vector<int> available_cpus();

// "0-3,5" -> {0,1,2,3,5}. Throws Error(cpu, resource).
[[nodiscard]] std::vector<int> parse_cpu_list(std::string_view text);

// A CPU of this process's, or none: a thread that is not pinned.
inline constexpr int kNotPinned = -1;

// Throws Error(cpu) when this process may not run on `cpu`; says which it may.
void check_cpu(int cpu);

// Pins the calling thread. Throws Error(cpu, resource).
void pin_to(int cpu);

// Starts a thread with a name (at most 15 characters), pinned where a CPU is named and otherwise free to use
// all of the process's, with the default scheduling, whatever the caller's are. Throws Error(cpu, resource).
[[nodiscard]] std::thread start_thread(const std::string& name, int cpu, std::function<void()> body);

// What a thread does when it finds nothing to do.
enum class Idle : unsigned char {
    automatic,  // spin where every busy thread has a CPU of its own, else wait
    spin,       // look again at once: lowest latency, a whole CPU
    pause,      // spin with the CPU's pause instruction
    yield,      // let another thread run first (sched_yield)
    wait,       // sleep in the kernel until there is something, or a millisecond has passed
};
[[nodiscard]] std::string_view name(Idle idle);
// Throws Error(config) for a word that is none.
[[nodiscard]] Idle parse_idle(std::string_view text);

// What `automatic` means for this many threads that never sleep otherwise.
[[nodiscard]] Idle resolve(Idle idle, std::size_t busy_threads, std::size_t cpus);

inline void cpu_pause() { __builtin_ia32_pause(); }

}  // namespace millrace
