#include "millrace/feed/streams/tcp/gateway.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "millrace/core/clock.hpp"

namespace millrace::streams {

namespace {

constexpr std::uint64_t kClientsMax = 256;
constexpr int kCloseMs = 2'000;  // for what clients have not yet read at the end

net::Socket listen_at(const HostPort& at) {
    return net::listen_at({at.host, static_cast<std::uint16_t>(at.port)}, SOCK_STREAM);
}

}  // namespace

Gateway::Gateway(Url& url, const SinkConfig& config)
    : offer_{config.dataset, config.schemas}, when_full_(config.when_full),
      // Below the sink's own cap, so that it is here that the policy is carried out.
      bytes_max_(config.backlog_bytes / 4 * 3),
      clients_wanted_(static_cast<std::uint32_t>(url.take_number("clients", 0, kClientsMax))),
      listener_(listen_at(first_host(url, 13'000))), symbols_(config.instruments) {}

bool Gateway::connect(std::string&) { return true; }

Edge::Sent Gateway::send(const Batch& batch) {
    if (started_ < clients_wanted_) return Sent::full;
    while (!log_.empty() && bytes_ + batch.payload.size() > bytes_max_) {
        if (when_full_ == WhenFull::block) return Sent::full;
        drop_oldest();
    }
    log_.push_back({batch.id, batch.payload});
    bytes_ += batch.payload.size();
    return Sent::accepted;
}

void Gateway::drop_oldest() {
    const Chunk& oldest = log_.front();
    for (Reader& reader : readers_) {
        if (!reader.client->started() || reader.chunk != first_) continue;
        dbn::RecordView record;
        for (auto rest = oldest.records.subspan(reader.offset);
             dbn::next_record(rest, record) == dbn::Step::record;
             rest = rest.subspan(record.bytes().size())) {
            reader.client->leave_out(record, when_full_ == WhenFull::conflate, symbols_);
        }
        reader.chunk = first_ + 1;
        reader.offset = 0;
    }
    dropped_.push_back(oldest.id);
    bytes_ -= oldest.records.size();
    log_.pop_front();
    ++first_;
}

bool Gateway::poll(int wait_ms, Acks& acks, std::string&) {
    std::array<pollfd, kClientsMax + 1> polled;
    polled[0] = {listener_.fd(), POLLIN, 0};
    std::size_t count = 1;
    for (const Reader& reader : readers_) {
        // Who does not take the answers is not listened to.
        const short in = reader.client->has_room() ? POLLIN : 0;
        const short out = reader.client->has_output() ? POLLOUT : 0;
        polled[count++] = {reader.client->fd(), static_cast<short>(in | out), 0};
    }
    static_cast<void>(::poll(polled.data(), count, wait_ms));
    const Timestamp now = MonotonicClock::now();
    for (std::size_t i = 0; i < readers_.size(); ++i) {
        GatewayClient& client = *readers_[i].client;
        const bool was_started = client.started();
        if ((polled[i + 1].revents & ~POLLOUT) != 0) client.on_readable(symbols_, now);
        if (client.started() && !was_started) {
            ++started_;
            readers_[i].chunk = end();  // what comes from now on
        }
        serve(readers_[i], now);
    }
    if ((polled[0].revents & POLLIN) != 0) accept_clients(now);
    const auto gone = std::partition(readers_.begin(), readers_.end(),
                                     [](const Reader& r) { return !r.client->gone(); });
    std::for_each(gone, readers_.end(), [this](const Reader& r) { part_with(r); });
    readers_.erase(gone, readers_.end());
    trim(acks);
    return true;
}

void Gateway::accept_clients(Timestamp now) {
    for (;;) {
        net::Socket socket(
            accept4(listener_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (socket.fd() < 0) return;
        if (readers_.size() >= kClientsMax) continue;  // closes it
        const int one = 1;
        setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        auto client = std::make_unique<GatewayClient>(std::move(socket), offer_, ++sessions_,
                                                      bytes_max_ / 4, now);
        client->flush(now);
        readers_.push_back({std::move(client), 0, 0});
    }
}

void Gateway::serve(Reader& reader, Timestamp now) {
    GatewayClient& client = *reader.client;
    for (;;) {
        if (client.started()) fill(reader);
        const bool had_room = client.has_room();
        client.flush(now);
        // As long as the socket takes all it is given, there may be more to give.
        if (client.gone() || client.has_output() || had_room) return;
    }
}

void Gateway::fill(Reader& reader) {
    GatewayClient& client = *reader.client;
    if (!client.put_held(symbols_)) return;
    while (reader.chunk < end() && client.has_room()) {
        const Chunk& chunk = log_[reader.chunk - first_];
        dbn::RecordView record;
        while (client.has_room() && dbn::next_record(chunk.records.subspan(reader.offset),
                                                     record) == dbn::Step::record) {
            client.put(record, symbols_);
            reader.offset += record.bytes().size();
        }
        if (reader.offset < chunk.records.size()) return;
        ++reader.chunk;
        reader.offset = 0;
    }
}

void Gateway::trim(Acks& acks) {
    acks.taken.insert(acks.taken.end(), dropped_.begin(), dropped_.end());
    dropped_.clear();
    std::uint64_t passed = end();
    for (const Reader& reader : readers_) {
        if (reader.client->started()) passed = std::min(passed, reader.chunk);
    }
    for (; first_ < passed; ++first_) {
        acks.taken.push_back(log_.front().id);
        bytes_ -= log_.front().records.size();
        log_.pop_front();
    }
}

void Gateway::part_with(const Reader& reader) {
    const GatewayClient::Counters& counters = reader.client->counters();
    past_.sent += counters.sent;
    past_.lost += counters.lost;
    past_.conflated += counters.conflated;
}

void Gateway::disconnect() {
    for (Reader& reader : readers_) {
        reader.client->close(kCloseMs);
        part_with(reader);
    }
    readers_.clear();
    log_.clear();
    bytes_ = 0;
}

std::vector<EdgeCounter> Gateway::counters() const {
    return {{"clients", started_},
            {"sent", past_.sent},
            {"left_out", past_.lost},
            {"client_conflated", past_.conflated}};
}

}  // namespace millrace::streams
