#include "millrace/replay/detect.hpp"

namespace millrace::replay {

namespace {

constexpr std::uint64_t kPacketsLookedAt = 2'000;

template <class Venue>
void look_at_records(CaptureReader& reader, VenueEvidence& evidence) {
    Records records;
    while (evidence.messages < kPacketsLookedAt && reader.next_records(records)) {
        weigh<Venue>({FrameKind::data, {}, records.first, records.count, 0, records.blocks}, evidence);
    }
}

template <class Venue>
VenueEvidence look_at(const std::filesystem::path& capture) {
    VenueEvidence evidence;
    evidence.named = requires { Venue::Framing::kNamesProtocol; };
    CaptureReader reader(capture);
    if (reader.holds_records()) {
        if constexpr (WalksRecords<typename Venue::Framing>) look_at_records<Venue>(reader, evidence);
        return evidence;
    }
    Datagram datagram;
    while (evidence.packets < kPacketsLookedAt && reader.next(datagram)) {
        if (datagram.truncated) continue;
        ++evidence.packets;
        const Frame frame = Venue::Framing::parse(datagram.payload);
        if (frame.kind == FrameKind::malformed) continue;
        ++evidence.framed;
        weigh<Venue>(frame, evidence);
    }
    return evidence;
}

}  // namespace

std::string_view detect_venue(const std::filesystem::path& capture) {
    std::string_view found;
    venues::for_each_venue([&]<class Venue>() {
        if (found.empty() && look_at<Venue>(capture).convincing()) found = Venue::kId;
    });
    return found;
}

}  // namespace millrace::replay
