// What clients say to the DBN gateway: any bytes, in pieces of any size.
#include <cstddef>
#include <cstdint>
#include <string>

#include "millrace/core/error.hpp"
#include "millrace/feed/streams/tcp/live_protocol.hpp"

using namespace millrace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const streams::LiveOffer offer{"TEST.SET", {dbn::Schema::mbo, dbn::Schema::mbp_1}};
    streams::LiveConversation conversation(offer, "challenge", 1);
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t piece = std::size_t{data[0]} + 1;
    std::string answers;
    while (!rest.empty()) {
        conversation.receive(rest.substr(0, piece), answers);
        rest.remove_prefix(std::min(rest.size(), piece));
        for (const streams::Subscription& wish : conversation.take_subscriptions())
            MILLRACE_VERIFY(offer.schemas.has(wish.schema) || wish.schema == dbn::Schema::tbbo);
    }
    MILLRACE_VERIFY(!conversation.over() || !conversation.problem().empty());
    // One answer to the one line that is answered.
    MILLRACE_VERIFY(answers.empty() || answers.find('\n') == answers.size() - 1);
    return 0;
}
