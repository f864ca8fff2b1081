// Which line a captured packet came by. A line of a capture is one destination, told apart by the
// interface where the file names several.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/core/types.hpp"
#include "millrace/feed/packet.hpp"
#include "millrace/replay/capture_reader.hpp"

namespace millrace::replay {

// One line of a replay and what the capture holds of it.
struct CapturedLine {
    std::string interface;  // pcapng's name for it; may be empty
    Endpoint destination;
    std::uint64_t received = 0;   // datagrams
    std::uint64_t truncated = 0;  // of which the capture kept too little

    // Of a live feed's recording: what a retransmission server sent.
    [[nodiscard]] bool is_recovery() const { return interface == kRecoveryLineName; }
};

class LineMap {
  public:
    // Only packets to these destinations count; all of them when empty.
    explicit LineMap(std::vector<Endpoint> only) : only_(std::move(only)) {}

    // Lines are numbered in order of their first packet, those of named interfaces in the order of
    // the interfaces: a recording names its lines as the feed did, also one that was silent.
    // Nothing when the destination is not wanted, or when there are kLinesMax lines already.
    [[nodiscard]] std::optional<LineId> line_of(const CaptureReader& reader,
                                                const Datagram& datagram) {
        if (last_ < known_.size() && known_[last_].is(reader, datagram)) return known_[last_].line;
        for (last_ = 0; last_ < known_.size(); ++last_) {
            if (known_[last_].is(reader, datagram)) return known_[last_].line;
        }
        const std::optional<LineId> line = find_or_add(reader, datagram);
        if (known_.size() < kKnownMax)
            known_.push_back({&reader, datagram.interface, datagram.destination, line});
        return line;
    }

    [[nodiscard]] CapturedLine& operator[](LineId line) { return lines_[line]; }
    [[nodiscard]] const std::vector<CapturedLine>& lines() const { return lines_; }
    // Destinations left out because there were kLinesMax lines already.
    [[nodiscard]] std::uint64_t lines_refused() const { return refused_; }

    // The interface's name where it stands for one line; otherwise the destination.
    [[nodiscard]] std::string name(LineId line) const {
        const CapturedLine& own = lines_[line];
        const auto same = [&](const CapturedLine& other) {
            return other.interface == own.interface;
        };
        const bool unique = std::count_if(lines_.begin(), lines_.end(), same) == 1;
        return own.interface.empty() || !unique ? own.destination.text() : own.interface;
    }

  private:
    static constexpr std::size_t kKnownMax = 256;  // beyond, look-ups go the long way

    // Where packets come from in terms of a file, which is quick to compare.
    struct Known {
        const CaptureReader* reader;
        std::uint32_t interface;
        Endpoint destination;
        std::optional<LineId> line;

        [[nodiscard]] bool is(const CaptureReader& other, const Datagram& datagram) const {
            return reader == &other && interface == datagram.interface &&
                   destination == datagram.destination;
        }
    };

    [[nodiscard]] std::optional<LineId> find_or_add(const CaptureReader& reader,
                                                    const Datagram& datagram) {
        if (!only_.empty() &&
            std::find(only_.begin(), only_.end(), datagram.destination) == only_.end())
            return {};
        if (only_.empty()) number_interfaces_before(reader, datagram.interface);
        const std::string_view interface = reader.interface_name(datagram.interface);
        for (std::size_t i = 0; i < lines_.size(); ++i) {
            CapturedLine& line = lines_[i];
            if (line.interface != interface) continue;
            if (line.received == 0) line.destination = datagram.destination;
            if (line.destination == datagram.destination) return static_cast<LineId>(i);
        }
        return add({std::string(interface), datagram.destination, 0, 0});
    }

    // Named interfaces that the file has told of before this one and that brought nothing yet.
    void number_interfaces_before(const CaptureReader& reader, std::uint32_t interface) {
        if (interface >= kLinesMax || reader.interface_name(interface).empty()) return;
        for (std::uint32_t i = 0; i < interface; ++i) {
            const std::string_view name = reader.interface_name(i);
            const auto has_it = [&](const CapturedLine& line) { return line.interface == name; };
            if (!name.empty() && std::none_of(lines_.begin(), lines_.end(), has_it))
                add({std::string(name), {}, 0, 0});
        }
    }

    std::optional<LineId> add(CapturedLine line) {
        if (lines_.size() == kLinesMax) {
            ++refused_;
            return {};
        }
        lines_.push_back(std::move(line));
        return static_cast<LineId>(lines_.size() - 1);
    }

    std::vector<Endpoint> only_;
    std::vector<Known> known_;
    std::size_t last_ = 0;
    std::vector<CapturedLine> lines_;
    std::uint64_t refused_ = 0;
};

}  // namespace millrace::replay
