// The live table on a terminal: the busiest books, drawn over itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "live_handler.hpp"
#include "millrace/core/types.hpp"

namespace millrace::tools {

struct FeedPage {
    std::string name;
    BookPage page;
};

class LiveTable {
  public:
    // On stderr; draws nothing where that is no terminal.
    LiveTable();
    // Draws what the feeds show `now` (monotonic), and the rate since the last drawing.
    void draw(const std::vector<FeedPage>& feeds, Timestamp now);
    [[nodiscard]] bool on_terminal() const { return terminal_; }

    // The lines of one feed's table, `messages_per_second` by the caller.
    [[nodiscard]] static std::vector<std::string> lines(const FeedPage& feed,
                                                        double messages_per_second);

  private:
    bool terminal_;
    std::size_t lines_drawn_ = 0;
    Timestamp drawn_at_ = 0;
    std::vector<std::uint64_t> messages_seen_;  // by feed
};

}  // namespace millrace::tools
