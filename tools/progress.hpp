// One line on stderr that says how far long work is, how fast it goes and how long it still takes.
// Silent where stderr is no terminal.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/core/types.hpp"

namespace millrace::tools {

class Progress {
  public:
    // `title` names the work.
    explicit Progress(std::string title);
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // `done` of `total` bytes (0 where unknown) and `items` of `unit` so far. Draws at most five
    // times a second.
    void update(std::uint64_t done, std::uint64_t total, std::uint64_t items, const char* unit);
    // Takes the line away, before anything else is written.
    void clear();

    // The line as it is drawn, for `seconds` of work so far.
    [[nodiscard]] static std::string line(const std::string& title, std::uint64_t done,
                                          std::uint64_t total, std::uint64_t items,
                                          const char* unit, double seconds);

  private:
    std::string title_;
    bool terminal_;
    bool drawn_ = false;
    Timestamp began_at_;
    Timestamp drawn_at_ = 0;
};

}  // namespace millrace::tools
