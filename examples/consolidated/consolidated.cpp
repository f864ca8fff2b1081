// The best bid and offer over Nasdaq and IEX, from a capture of each, merged by time on one thread:
//     consolidated nasdaq.pcapng iex-deep.pcapng
// A live program has two millrace::FeedHandlers instead, and polls them in turn.
#include <millrace/feed.hpp>
#include <millrace/feed/consolidated_bbo.hpp>
#include <millrace/replay/replayer.hpp>

#include <cstdio>
#include <memory>
#include <string>

namespace {

using millrace::ConsolidatedBbo;
using millrace::VenueNumber;

class Printer {
  public:
    explicit Printer(const ConsolidatedBbo& bbo) : bbo_(bbo) {}

    void on_bbo(const millrace::Symbol& symbol, const ConsolidatedBbo::Bbo& best) {
        ++changes_;
        crossed_ += best.crossed() ? 1U : 0U;
        if (changes_ % 1'000 != 1) return;  // one in a thousand is enough to see
        std::printf("%-8s %12s x %-12s %s\n", std::string(symbol.view()).c_str(), text(best.bid).c_str(),
                    text(best.ask).c_str(), std::string(name(best.quality)).c_str());
    }
    [[nodiscard]] unsigned long changes() const { return changes_; }
    [[nodiscard]] unsigned long crossed() const { return crossed_; }

  private:
    [[nodiscard]] std::string text(const ConsolidatedBbo::Quote& quote) const {
        if (quote.empty()) return "-";
        char price[48];
        std::snprintf(price, sizeof(price), "%.4f %s", static_cast<double>(value(quote.price)) / 1e9,
                      bbo_.name(quote.venue).c_str());
        return price;
    }

    const ConsolidatedBbo& bbo_;
    unsigned long changes_ = 0;
    unsigned long crossed_ = 0;
};

using Feed = millrace::BboFeed<Printer>;
using Nasdaq = millrace::Session<millrace::venues::NasdaqItch50, Feed>;
using Iex = millrace::Session<millrace::venues::IexDeep, Feed>;

// Gives each packet to the venue whose framing it has.
struct Both {
    Nasdaq& nasdaq;
    Iex& iex;

    void on_packet(const millrace::Packet& packet) {
        using Framing = millrace::venues::IexDeep::Framing;
        if (Framing::parse(packet.bytes).kind == millrace::FrameKind::malformed) nasdaq.on_packet(packet);
        else iex.on_packet(packet);
    }
    void on_records(millrace::SequenceNumber first, std::uint32_t count, std::span<const std::uint8_t> blocks,
                    millrace::Timestamp received_at) {
        nasdaq.on_records(first, count, blocks, received_at);
    }
    void finish() {
        nasdaq.finish();
        iex.finish();
    }
};

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 3) {
        std::fprintf(stderr, "usage: %s NASDAQ-CAPTURE IEX-DEEP-CAPTURE\n", argv[0]);
        return 2;
    }
    ConsolidatedBbo bbo({"nasdaq", "iex"}, 16'384);
    Printer printer(bbo);
    Feed from_nasdaq(bbo, VenueNumber{0}, printer);
    Feed from_iex(bbo, VenueNumber{1}, printer);
    millrace::SessionConfig config;
    config.lines = millrace::kLinesMax;
    config.limits = {16'384, 500'000, 200'000};
    const auto nasdaq = std::make_unique<Nasdaq>(config, from_nasdaq);
    const auto iex = std::make_unique<Iex>(config, from_iex);
    Both both{*nasdaq, *iex};
    millrace::replay::Replayer::Readers readers;
    for (const char* file : {argv[1], argv[2]}) {
        readers.push_back(std::make_unique<millrace::replay::CaptureReader>(file));
    }
    millrace::replay::Replayer(std::move(readers), {}).run(both);
    std::printf("%lu changes of best prices, %lu of them to a crossed market; digests %s and %s\n", printer.changes(),
                printer.crossed(), nasdaq->digest().text().c_str(), iex->digest().text().c_str());
} catch (const millrace::Error& error) {
    std::fprintf(stderr, "consolidated: %s\n", error.what());
    return static_cast<int>(error.code());
}
