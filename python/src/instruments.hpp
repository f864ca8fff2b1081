// A feed's own numbers of instruments, where senders have others or none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "millrace/core/types.hpp"

namespace millrace::python {

class Instruments {
  public:
    struct Entry {
        std::uint32_t id = 0;  // from 1
        bool wanted = false;
        bool fresh = false;  // named just now
    };

    // All are wanted where none is named.
    explicit Instruments(const std::vector<std::string>& wanted)
        : wanted_(wanted.begin(), wanted.end()) {}

    [[nodiscard]] Entry number_of(const Symbol& symbol) {
        const auto [at, fresh] = entries_.try_emplace(symbol);
        if (fresh) {
            at->second.id = static_cast<std::uint32_t>(entries_.size());
            at->second.wanted = wanted_.empty() ||
                                std::find(wanted_.begin(), wanted_.end(), symbol) != wanted_.end();
        }
        return {at->second.id, at->second.wanted, fresh};
    }

  private:
    std::vector<Symbol> wanted_;
    std::map<Symbol, Entry> entries_;
};

}  // namespace millrace::python
