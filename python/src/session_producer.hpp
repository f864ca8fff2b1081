// What producers that have a session do with it: they answer questions about its books.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/feed/session.hpp"
#include "producer.hpp"
#include "sources.hpp"
#include "summary.hpp"
#include "verdict.hpp"

namespace millrace::python {

// Of sources that wait: a page fault there costs time and no packet, so that memory is taken as it
// is needed, and most of the limits never.
[[nodiscard]] inline SessionConfig session_config(const SourceOptions& options) {
    SessionConfig config;
    config.lines = kLinesMax;
    config.limits.memory.prefault = false;
    if (options.instruments != 0) config.limits.books = options.instruments;
    if (options.orders != 0) config.limits.orders = options.orders;
    if (options.levels != 0) config.limits.levels = options.levels;
    for (const std::string& symbol : options.symbols) config.symbols.emplace_back(symbol);
    return config;
}

template <class Venue, class Handler>
class SessionProducer : public Producer {
  protected:
    // Null while there is none.
    [[nodiscard]] virtual const Session<Venue, Handler>* session() const = 0;
    [[nodiscard]] virtual std::vector<tools::LineSummary> lines() const = 0;
    virtual void add_to_summary(tools::FeedSummary&) const {}
    [[nodiscard]] virtual double seconds() const = 0;

    [[nodiscard]] std::string digest_now() const override {
        return session() == nullptr ? Digest{}.text() : session()->digest().text();
    }
    [[nodiscard]] std::string stats_now() const override {
        tools::RunSummary summary;
        summary.feeds.push_back(feed_now());
        summary.seconds = seconds();
        return summary.json();
    }
    [[nodiscard]] std::vector<std::string> remarks_now(const std::string& where) const override {
        return tools::remarks_on(feed_now(), where);
    }
    [[nodiscard]] tools::FeedSummary feed_now() const {
        tools::FeedSummary feed;
        feed.venue = Venue::kId;
        if (session() == nullptr) return feed;  // nothing has come yet
        feed = tools::summarise(feed.venue, *session(), lines());
        add_to_summary(feed);
        return feed;
    }
    [[nodiscard]] std::optional<BookImage> book_now(const Symbol& symbol,
                                                    bool with_orders) const override {
        const OrderBook* book = session() == nullptr ? nullptr : session()->book(symbol);
        if (book == nullptr) return std::nullopt;
        return image_of(*book, with_orders);
    }
    [[nodiscard]] std::vector<BookImage> books_now() const override {
        std::vector<BookImage> out;
        if (session() == nullptr) return out;
        for (const OrderBook& book : session()->books()) out.push_back(image_of(book, false));
        return out;
    }
    [[nodiscard]] bool knows_now(const Symbol& symbol) const override {
        const bool has_book = session() != nullptr && session()->book(symbol) != nullptr;
        return has_book || Producer::knows_now(symbol);
    }
};

}  // namespace millrace::python
