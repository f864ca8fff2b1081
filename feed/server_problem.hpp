// What can be wrong with a server that is asked for a feed, or for what was missed of one; and what to try.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace millrace {

enum class ServerProblem : std::uint8_t { none, unreachable, silent, cut, login, token, session, not_yet, nonsense };

struct ServerProblemInfo {
    std::string_view name;     // for scripts
    std::string_view says;     // "server ..."
    std::string_view try_this;
};
inline constexpr std::array<ServerProblemInfo, 9> kServerProblems{{
    {"none", "is well", ""},
    {"unreachable", "cannot be reached", "check its address, and that it runs"},
    {"silent", "did not answer in time", "check that it is a server of this kind"},
    {"cut", "hung up before it had said all", "ask whoever runs it"},
    {"login", "refuses the login", "check username and password"},
    {"token", "refuses the token", "check token"},
    {"session", "does not have the session or channel of the lines", "check that it serves the same feed as the lines"},
    {"not_yet", "has no snapshot yet that is new enough", "it is asked again"},
    {"nonsense", "says what its protocol does not know", "check its address and the feed's venue"},
}};
[[nodiscard]] constexpr const ServerProblemInfo& info(ServerProblem problem) {
    return kServerProblems[static_cast<std::size_t>(problem)];
}

// How often which server had which problem. Any thread notes, any reads.
class ServerProblems {
  public:
    explicit ServerProblems(std::size_t servers) : times_(servers) {}

    void note(std::size_t server, ServerProblem problem) {
        times_[server][static_cast<std::size_t>(problem)].fetch_add(1, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t times(std::size_t server, ServerProblem problem) const {
        return times_[server][static_cast<std::size_t>(problem)].load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::size_t servers() const { return times_.size(); }

  private:
    std::vector<std::array<std::atomic<std::uint64_t>, kServerProblems.size()>> times_;
};

}  // namespace millrace
