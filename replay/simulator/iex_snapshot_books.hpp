// What a SNAP server knows: every level or order at rest, and what was last told of each symbol, from the
// messages as they were sent. Slow and plain, with standard containers, and none of the code of the books
// under test.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "millrace/feed/venues/iex/messages.hpp"

namespace millrace::replay {

class IexSnapshotBooks {
  public:
    using Bytes = std::vector<std::uint8_t>;

    void apply(std::span<const std::uint8_t> message);

    // A transaction has begun and not ended: no moment for a snapshot.
    [[nodiscard]] bool in_transit() const { return !in_transit_.empty(); }
    // The messages that say what is, in SNAP's order. Orders come by id, which is not that of the queues.
    [[nodiscard]] std::vector<Bytes> snapshot() const;

  private:
    struct Book {
        std::map<char, Bytes> told;                   // the last of each kind, by type
        std::map<std::pair<char, std::int64_t>, Bytes> levels;  // by type and price
        std::map<std::uint64_t, Bytes> orders;        // adds that say what rests now, by id
    };

    void change_level(Book& book, const std::string& symbol, std::span<const std::uint8_t> message);
    static void modify(Book& book, const venues::iex::OrderModify& m);
    static void execute(Book& book, const venues::iex::OrderExecuted& m);

    std::map<std::string, Book> books_;
    std::unordered_map<std::string, bool> in_transit_;  // symbols
    Bytes event_;
};

}  // namespace millrace::replay
