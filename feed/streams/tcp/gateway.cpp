#include "millrace/feed/streams/tcp/gateway.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/net/io_uring_receiver.hpp"

namespace millrace::streams {

namespace {

constexpr std::uint64_t kClientsMax = 256;
constexpr int kCloseMs = 2'000;  // for what clients have not yet read at the end

GatewayBackend take_backend(Url& url) {
    const std::string name = url.take("backend", "auto");
    if (name == "auto") return GatewayBackend::best;
    if (name == "io_uring") {
        const std::string refusal = net::io_uring_refusal();
        if (!refusal.empty()) throw Error(ExitCode::backend, fmt::format("{}: {}", url.text(), refusal));
        return GatewayBackend::io_uring;
    }
    if (name == "poll") return GatewayBackend::poll;
    throw Error(ExitCode::usage, fmt::format("{}: backend is auto, io_uring or poll", url.text()));
}

}  // namespace

Gateway::Gateway(Url& url, const SinkConfig& config)
    : offer_{config.dataset, config.schemas}, when_full_(config.when_full),
      // Below the sink's own cap, so that it is here that the policy is carried out.
      bytes_max_(config.backlog_bytes / 4 * 3),
      clients_wanted_(static_cast<std::uint32_t>(url.take_number("clients", 0, kClientsMax))),
      backend_(take_backend(url)), at_(first_host(url, 13'000)), symbols_(config.instruments) {}

void Gateway::open() {
    listener_ = net::listen_at({at_.host, static_cast<std::uint16_t>(at_.port)}, SOCK_STREAM);
}

// On the thread that uses the sockets.
bool Gateway::connect(std::string& problem) {
    sockets_ = make_gateway_sockets(listener_, backend_);
    if (sockets_ == nullptr) {
        problem = "the gateway's backend is io_uring, which this kernel or container refuses";
        return false;
    }
    by_io_uring_ = sockets_->by_io_uring();
    return true;
}

Edge::Sent Gateway::send(const Batch& batch) {
    if (started_ < clients_wanted_) return Sent::full;
    while (!log_.empty() && bytes_ + batch.payload.size() > bytes_max_) {
        if (when_full_ == WhenFull::block) return Sent::full;
        drop_oldest();
    }
    log_.push_back({batch.id, batch.payload, batch.envelope.records.value()});
    bytes_ += batch.payload.size();
    return Sent::accepted;
}

void Gateway::drop_oldest() {
    const Chunk& oldest = log_.front();
    for (auto& [number, reader] : readers_) {
        if (!reader.client.started() || reader.chunk != first_) continue;
        dbn::RecordView record;
        for (auto rest = oldest.records.subspan(reader.offset);
             dbn::next_record(rest, record) == dbn::Step::record;
             rest = rest.subspan(record.bytes().size())) {
            reader.client.leave_out(record, when_full_ == WhenFull::conflate, symbols_);
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
    now_ = MonotonicClock::now();
    sockets_->turn(wait_ms, *this);
    now_ = MonotonicClock::now();
    for (auto& [number, reader] : readers_) serve(number, reader);
    part_with_gone();
    trim(acks);
    return true;
}

void Gateway::on_accept(std::uint32_t number) {
    if (readers_.size() >= kClientsMax || closing_) return sockets_->drop(number);
    readers_.try_emplace(number, offer_, ++sessions_, bytes_max_ / 4, now_);
}

void Gateway::on_bytes(std::uint32_t number, std::span<const char> bytes) {
    Reader& reader = readers_.at(number);
    if (closing_) return;
    const bool was_started = reader.client.started();
    reader.client.on_bytes(bytes, symbols_, now_);
    if (!reader.client.started() || was_started) return;
    ++started_;
    reader.chunk = end();  // what comes from now on
}

void Gateway::serve(std::uint32_t number, Reader& reader) {
    GatewayClient& client = reader.client;
    if (client.gone()) return;
    if (client.started()) fill(reader);
    client.on_time(!sockets_->sending(number), now_);
    if (!client.output().empty() && !sockets_->sending(number)) {
        sockets_->send(number, client.output());
        if (client.started()) fill(reader);  // while those are on their way
    }
    // Who does not take the answers is not listened to.
    if (client.has_room()) sockets_->receive(number);
}

void Gateway::fill(Reader& reader) {
    GatewayClient& client = reader.client;
    if (!client.put_held(symbols_)) return;
    while (reader.chunk < end() && client.has_room()) {
        const Chunk& chunk = log_[reader.chunk - first_];
        if (reader.offset == 0 && client.takes_all(known_)) {
            client.put_all(chunk.records, chunk.count);
        } else {
            reader.offset += client.put(chunk.records.subspan(reader.offset), symbols_);
            if (reader.offset < chunk.records.size()) return;
        }
        ++reader.chunk;
        reader.offset = 0;
    }
}

void Gateway::trim(Acks& acks) {
    acks.taken.insert(acks.taken.end(), dropped_.begin(), dropped_.end());
    dropped_.clear();
    std::uint64_t passed = end();
    for (const auto& [number, reader] : readers_) {
        if (reader.client.started()) passed = std::min(passed, reader.chunk);
    }
    for (; first_ < passed; ++first_) {
        acks.taken.push_back(log_.front().id);
        bytes_ -= log_.front().records.size();
        log_.pop_front();
    }
}

void Gateway::part_with_gone() {
    for (auto reader = readers_.begin(); reader != readers_.end();) {
        const GatewayClient& client = reader->second.client;
        if (!client.gone()) {
            ++reader;
            continue;
        }
        past_.sent += client.counters().sent;
        past_.lost += client.counters().lost;
        past_.conflated += client.counters().conflated;
        sockets_->drop(reader->first);
        reader = readers_.erase(reader);
    }
}

// Closing with unread bytes would reset the connection, and what is on its way would be lost: say that
// this was all, and wait for the other side to say so too.
void Gateway::send_last(std::uint32_t number, Reader& reader) {
    if (reader.client.gone()) return;
    sockets_->receive(number);
    if (sockets_->sending(number)) return;
    if (!reader.client.output().empty()) return sockets_->send(number, reader.client.output());
    if (!std::exchange(reader.finished, true)) sockets_->finish(number);
}

void Gateway::disconnect() {
    if (sockets_ == nullptr) return;
    closing_ = true;
    for (auto& [number, reader] : readers_) reader.client.say_last();
    const Timestamp until = MonotonicClock::now() + Nanoseconds{kCloseMs} * 1'000'000;
    while (!readers_.empty() && MonotonicClock::now() < until) {
        for (auto& [number, reader] : readers_) send_last(number, reader);
        sockets_->turn(10, *this);
        part_with_gone();
    }
    for (auto& [number, reader] : readers_) reader.client.on_hang_up();
    part_with_gone();
    sockets_.reset();
    log_.clear();
    bytes_ = 0;
    closing_ = false;
}

std::vector<EdgeCounter> Gateway::counters() const {
    return {{"clients", started_},
            {"sent", past_.sent},
            {"left_out", past_.lost},
            {"client_conflated", past_.conflated},
            {"io_uring", by_io_uring_ ? 1U : 0U}};
}

}  // namespace millrace::streams
