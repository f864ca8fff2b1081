// Records of others, as long as their types say: without a time of sending.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "millrace/feed/streams/dbn/codec.hpp"
#include "millrace/feed/streams/dbn/layouts.hpp"

namespace millrace::python {

// How long it is then; 0 where its type is not known, or it is cut short.
[[nodiscard]] inline std::size_t plain_size(dbn::RecordView record) {
    const wire::MessageLayout* layout = dbn::layout_of(record.rtype());
    return layout == nullptr || record.bytes().size() < layout->size ? 0 : layout->size;
}

// A copy of that length in `buffer`, which is returned.
[[nodiscard]] inline std::span<std::uint8_t> plain_copy(dbn::RecordView record, std::size_t size,
                                                        dbn::UpgradeBuffer& buffer) {
    std::copy_n(record.bytes().begin(), size, buffer.begin());
    buffer[0] = static_cast<std::uint8_t>(size / 4);
    return {buffer.data(), size};
}

}  // namespace millrace::python
