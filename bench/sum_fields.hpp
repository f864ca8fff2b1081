// What decoding is measured by: the sum over all fields of a message.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <tuple>
#include <type_traits>

#include "millrace/core/wire.hpp"

namespace millrace::bench {

// Reads every field of a message, as a handler that asks for all of them would.
template <class M>
[[nodiscard]] std::uint64_t sum_fields(std::span<const std::uint8_t> bytes) {
    const M& m = wire::view<M>(bytes);
    return std::apply(
        [&](const auto&... fields) {
            const auto number = [](const auto& field) {
                using T = std::remove_cvref_t<decltype(field)>;
                if constexpr (T::kKind == wire::FieldKind::reserved) return std::uint64_t{0};
                else if constexpr (requires { field.value().size(); }) {
                    std::uint64_t text = 0;
                    std::memcpy(&text, field.raw.data(), std::min(sizeof(text), field.raw.size()));
                    return text;
                } else return static_cast<std::uint64_t>(field.value());
            };
            return (number(m.*fields.member) + ...);
        },
        M::fields());
}

template <class M>
[[nodiscard]] bool sum_if(std::span<const std::uint8_t> bytes, std::uint64_t& sum) {
    if (static_cast<char>(bytes[0]) != M::kType || bytes.size() < sizeof(M)) return false;
    sum += sum_fields<M>(bytes);
    return true;
}

}  // namespace millrace::bench
