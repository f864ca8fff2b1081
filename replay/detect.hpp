// Which venue a capture is of, where its bytes tell.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "millrace/core/wire.hpp"
#include "millrace/feed/framing/frame.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "millrace/replay/capture_reader.hpp"

namespace millrace::replay {

// How many of the messages looked at a venue could have sent.
struct VenueEvidence {
    std::uint64_t messages = 0;
    std::uint64_t fitting = 0;  // of a known type and its length; longer only where the framing vouches for it
    std::uint64_t packets = 0;
    std::uint64_t framed = 0;  // packets whose framing holds together
    bool named = false;        // that framing names the venue's protocol, so that heartbeats tell as well

    // Nearly everything fits: a new message type now and then is no reason to doubt.
    [[nodiscard]] bool convincing() const {
        const bool any = messages > 0 || (named && framed > 0);
        return any && fitting * 20 >= messages * 19 && framed * 20 >= packets * 19;
    }
};

// Adds a run of messages to the evidence for one venue.
template <class Venue>
void weigh(const Frame& frame, VenueEvidence& evidence) {
    typename Venue::Framing::Walker walker(frame.blocks);
    for (std::uint32_t i = 0; i < frame.count; ++i) {
        const auto message = walker.next();
        const wire::MessageLayout* layout = Venue::layout(message);
        ++evidence.messages;
        if (layout == nullptr) continue;
        const bool grows = requires { Venue::Framing::kNamesProtocol; };
        evidence.fitting += grows ? layout->fits(message) : layout->size == message.size();
    }
}

// The first venue of the list that the beginning of the capture speaks for; empty when none does.
// Venues that share a protocol cannot be told apart by it: the first of them stands for all.
[[nodiscard]] std::string_view detect_venue(const std::filesystem::path& capture);

}  // namespace millrace::replay
