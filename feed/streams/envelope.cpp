#include "millrace/feed/streams/envelope.hpp"

#include <charconv>
#include <limits>

#include "millrace/core/digest.hpp"

namespace millrace::streams {

std::uint64_t stream_id(std::string_view feed, std::string_view symbol) {
    std::uint64_t id = digest::kFirst;
    const auto mix = [&](std::string_view text) {
        for (const char c : text)
            id =
                digest::fold(id ^ static_cast<unsigned char>(c), digest::kSecond) + digest::kThird;
        id = digest::fold(id ^ 0x100, digest::kSecond) + digest::kThird;
    };
    mix(feed);
    mix(symbol);
    return id;
}

detail::Decimal::Decimal(std::uint64_t number) {
    size = static_cast<std::size_t>(
        std::to_chars(text.data(), text.data() + text.size(), number).ptr - text.data());
}

bool set_field(Envelope& envelope, std::string_view name, std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{} || end != text.data() + text.size()) return false;
    bool found = false;
    std::apply(
        [&](const auto&... fields) {
            const auto one = [&](const auto& field) {
                auto& member = envelope.*field.member;
                using Host = decltype(member.value());
                if (field.name != name || number > std::numeric_limits<Host>::max()) return;
                member.set(static_cast<Host>(number));
                found = true;
            };
            (one(fields), ...);
        },
        Envelope::fields());
    return found;
}

}  // namespace millrace::streams
