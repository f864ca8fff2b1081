// DBN records in a run of bytes: finding them, and bringing older ones to version 3.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "millrace/feed/streams/dbn/layouts.hpp"
#include "millrace/feed/streams/dbn/records.hpp"

namespace millrace::dbn {

// The largest record: the length is one byte and counts words of four.
inline constexpr std::size_t kRecordMax = 255 * 4;
inline constexpr std::size_t kSentTimeBytes = 8;  // behind each record of a stream with ts_out

// A whole record in somebody's buffer; at least a header.
class RecordView {
  public:
    RecordView() = default;
    explicit RecordView(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

    [[nodiscard]] std::span<const std::uint8_t> bytes() const { return bytes_; }
    [[nodiscard]] const Header& header() const {
        return *reinterpret_cast<const Header*>(bytes_.data());  // alignment 1, no padding
    }
    [[nodiscard]] std::uint8_t rtype() const { return bytes_[1]; }
    // The record as M; null when it is of another kind or too short. M's of older versions differ
    // in size alone, so the caller must know the stream's version.
    template <Record M>
    [[nodiscard]] const M* as() const {
        const wire::MessageLayout* layout = layout_of(rtype());
        if (layout == nullptr || layout->type != M::kType || bytes_.size() < sizeof(M)) return nullptr;
        return reinterpret_cast<const M*>(bytes_.data());
    }

  private:
    std::span<const std::uint8_t> bytes_;
};

// Whether the record shows levels of a book and no trade: then a newer one says all that it says.
[[nodiscard]] inline bool shows_book(RecordView record) {
    if (record.bytes().size() < sizeof(Mbp1)) return false;
    const auto kind = static_cast<Rtype>(record.rtype());
    if (kind != Rtype::mbp_1 && kind != Rtype::mbp_10) return false;
    return reinterpret_cast<const Trade*>(record.bytes().data())->action.value() != 'T';
}

enum class Step : std::uint8_t { record, need_more, malformed };

// The record at the front of `bytes`. malformed: the length cannot be a record's, and nothing
// behind it can be found.
[[nodiscard]] inline Step next_record(std::span<const std::uint8_t> bytes, RecordView& record) {
    if (bytes.empty()) return Step::need_more;
    const std::size_t size = std::size_t{bytes[0]} * 4;
    if (size < sizeof(Header)) return Step::malformed;
    if (bytes.size() < size) return Step::need_more;
    record = RecordView(bytes.first(size));
    return Step::record;
}

// Room for one upgraded record.
using UpgradeBuffer = std::array<std::uint8_t, kRecordMax>;

// The record as version 3 has it: itself where versions agree, else rewritten into `buffer` with
// its fields by name and DBN's defaults for new ones. A record shorter than its version's struct
// comes back as it is. With `ts_out` the last 8 bytes stay the last.
[[nodiscard]] RecordView upgrade(RecordView record, std::uint8_t version, bool ts_out,
                                 UpgradeBuffer& buffer);

// Sets every field of a zeroed version 3 definition to DBN's "not given".
struct Definition;
void set_defaults(Definition& definition);

}  // namespace millrace::dbn
