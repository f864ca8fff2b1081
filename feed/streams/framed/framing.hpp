// Where one message ends and the next begins in a run of bytes: a length before each, a fixed size,
// or a delimiter behind each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

namespace millrace::streams {

struct Framing {
    enum class Kind : std::uint8_t { length, fixed, delimiter };
    Kind kind = Kind::length;
    std::uint8_t width = 4;       // of the length, in bytes: 1, 2, 4 or 8
    bool big_endian = false;      // the length
    std::size_t size = 0;         // fixed
    std::uint8_t delimiter = '\n';
    std::size_t most = std::size_t{64} << 20;  // a longer message is no message

    enum class Step : std::uint8_t { frame, need_more, malformed };

    // The message at the front of `bytes`, and how many bytes it takes with what delimits it.
    // Messages may be empty. What is malformed has no next message that could be found.
    [[nodiscard]] Step next(std::span<const std::uint8_t> bytes,
                            std::span<const std::uint8_t>& frame, std::size_t& taken) const {
        switch (kind) {
            case Kind::length: return next_by_length(bytes, frame, taken);
            case Kind::fixed:
                if (bytes.size() < size) return Step::need_more;
                frame = bytes.first(size);
                taken = size;
                return Step::frame;
            case Kind::delimiter: break;
        }
        const auto found = std::find(bytes.begin(), bytes.end(), delimiter);
        const auto before = static_cast<std::size_t>(found - bytes.begin());
        if (before > most) return Step::malformed;
        if (found == bytes.end()) return Step::need_more;
        frame = bytes.first(before);
        taken = before + 1;
        return Step::frame;
    }

  private:
    [[nodiscard]] Step next_by_length(std::span<const std::uint8_t> bytes,
                                      std::span<const std::uint8_t>& frame,
                                      std::size_t& taken) const {
        if (bytes.size() < width) return Step::need_more;
        std::uint64_t length = 0;
        for (std::size_t i = 0; i < width; ++i)
            length = length << 8 | bytes[big_endian ? i : width - 1 - i];
        if (length > most) return Step::malformed;
        if (bytes.size() - width < length) return Step::need_more;
        frame = bytes.subspan(width, length);
        taken = width + length;
        return Step::frame;
    }
};

}  // namespace millrace::streams
