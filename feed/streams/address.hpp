// Where a batch goes in a broker, from a pattern such as "md.{event}.{symbol}".
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace millrace::streams {

class Address {
  public:
    explicit Address(std::string pattern) : pattern_(std::move(pattern)) {}

    [[nodiscard]] std::string of(std::string_view event, std::string_view symbol) const {
        std::string out = pattern_;
        put(out, kEvent, event);
        put(out, kSymbol, symbol);
        return out;
    }
    // Whether events go to different places.
    [[nodiscard]] static bool names_event(std::string_view pattern) {
        return pattern.find(kEvent) != std::string_view::npos;
    }
    [[nodiscard]] static bool names_symbol(std::string_view pattern) {
        return pattern.find(kSymbol) != std::string_view::npos;
    }
    [[nodiscard]] bool empty() const { return pattern_.empty(); }
    [[nodiscard]] bool is_fixed() const { return pattern_.find('{') == std::string::npos; }

  private:
    static constexpr std::string_view kEvent = "{event}";
    static constexpr std::string_view kSymbol = "{symbol}";

    static void put(std::string& out, std::string_view place, std::string_view text) {
        const std::size_t at = out.find(place);
        if (at != std::string::npos) out.replace(at, place.size(), text);
    }
    std::string pattern_;
};

}  // namespace millrace::streams
