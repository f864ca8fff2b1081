#include "producer.hpp"

#include <algorithm>
#include <ctime>

#include "millrace/core/clock.hpp"
#include "millrace/core/cpu.hpp"
#include "millrace/feed/streams/dbn/record_maker.hpp"

namespace millrace::python {

bool Producer::makes(const std::string& schema) const {
    const dbn::SchemaInfo* info = dbn::schema_named(schema);
    return info != nullptr && dbn::kMadeSchemas.has(info->schema);
}

void Producer::want(const std::string& schema) {
    const std::lock_guard lock(mutex_);
    if (std::find(schemas_.begin(), schemas_.end(), schema) != schemas_.end()) return;
    if (!makes(schema)) {
        throw Error(ExitCode::usage, "no feed makes " + schema +
                                         "; it makes mbo, mbp-1, mbp-10, tbbo, trades, status, "
                                         "imbalance, statistics and definition");
    }
    if (started()) {
        throw Error(ExitCode::usage, "this feed has begun without making " + schema +
                                         "; make an iterator of it before the start");
    }
    const char* clash = schema == "tbbo" ? "mbp-1" : schema == "mbp-1" ? "tbbo" : nullptr;
    if (clash != nullptr && std::find(schemas_.begin(), schemas_.end(), clash) != schemas_.end()) {
        throw Error(ExitCode::usage, "tbbo and mbp-1 are one type of record; use two feeds");
    }
    schemas_.push_back(schema);
}

std::shared_ptr<RecordChannel> Producer::open(const ChannelConfig& config) {
    const std::lock_guard lock(mutex_);
    const std::size_t count = channel_count_.load(std::memory_order_relaxed);
    if (count == kChannelsMax) {
        throw Error(ExitCode::resource,
                    "a feed serves at most 64 iterators in its life; make another feed");
    }
    auto channel = std::make_shared<RecordChannel>(config);
    channel->set_bell(bell_);
    if (started()) channel->provide();
    channels_[count] = channel;
    // seq_cst, as in body(): either this side sees that the thread has finished, or it sees the
    // channel.
    channel_count_.store(count + 1, std::memory_order_seq_cst);
    if (finished_.load(std::memory_order_seq_cst)) channel->end();
    return channel;
}

void Producer::start() {
    const std::lock_guard lock(mutex_);
    if (started()) return;
    thread_ = new std::thread(start_thread("millrace-feed", kNotPinned, [this] { body(); }));
    control_ = new std::thread(start_thread("millrace-memory", kNotPinned, [this] { control(); }));
    started_.store(true, std::memory_order_release);
}

bool Producer::foreign() const { return process_ != getpid(); }

void Producer::stop() {
    stopping_.store(true, std::memory_order_seq_cst);
    if (foreign()) return;
    bell_.ring();
    nudge();
    const std::lock_guard lock(mutex_);
    if (thread_ == nullptr) return;
    for (std::thread** thread : {&thread_, &control_}) {
        (*thread)->join();
        delete *thread;
        *thread = nullptr;
    }
    on_stopped();
}

void Producer::control() {
    constexpr timespec kLook{0, 10'000'000};
    constexpr unsigned kLooksPerSecond = 100;
    for (unsigned looks = 1; !stopping() && !finished(); ++looks) {
        nanosleep(&kLook, nullptr);
        adapt();
        if (looks % kLooksPerSecond == 0) bell_.ring();  // for while_waiting()
    }
}

void Producer::body() {
    try {
        for (std::size_t i = 0; i < channel_count(); ++i) channels_[i]->provide();
        run();
    } catch (const Error& error) {
        problem_ = error;
    } catch (const std::exception& error) {
        problem_ = Error(ExitCode::failure, error.what());
    }
    // seq_cst: whoever asks from here on finds this thread finished, or is answered below.
    finished_.store(true, std::memory_order_seq_cst);
    const std::size_t channels = channel_count_.load(std::memory_order_seq_cst);
    for (std::size_t i = 0; i < channels; ++i) channels_[i]->end();
    serve();
}

void Producer::publish() {
    const std::size_t channels = channel_count_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < channels; ++i) channels_[i]->publish();
}

void Producer::serve() {
    Command* command = command_.exchange(nullptr, std::memory_order_acq_rel);
    if (command == nullptr) return;
    command->work();
    command->done.store(true, std::memory_order_release);
    command->done.notify_one();
}

void Producer::wait_between_packets() {
    const std::size_t channels = channel_count_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < channels; ++i) {
        if (channels_[i]->parked()) channels_[i]->seal();
    }
    for (;;) {
        const std::uint32_t heard = bell_.heard();
        if (stopping() || !must_wait()) return;
        serve();
        while_waiting();
        bell_.wait(heard);
    }
}

// In the middle of a packet that brings more than a slab holds.
void Producer::wait_for_room(RecordChannel& channel, std::span<const std::uint8_t> record) {
    for (;;) {
        const std::uint32_t heard = bell_.heard();
        if (stopping()) return channel.discard();
        if (channel.append(record)) return;
        serve();
        while_waiting();
        bell_.wait(heard);
    }
}

void Producer::between_packets(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    if (!started()) return work();
    Command command{std::move(work)};
    command_.store(&command, std::memory_order_seq_cst);
    bell_.ring();
    nudge();
    if (finished_.load(std::memory_order_seq_cst)) {
        // Taken back, unless the thread's last look found it.
        if (command_.exchange(nullptr, std::memory_order_acq_rel) == &command)
            return command.work();
    }
    command.done.wait(false, std::memory_order_acquire);
}

void Producer::snap_at(std::vector<Timestamp> times, std::vector<Symbol> symbols) {
    const std::lock_guard lock(mutex_);
    MILLRACE_VERIFY(!started());
    snap_times_ = std::move(times);
    snap_symbols_ = std::move(symbols);
    next_snap_ = snap_times_.empty() ? kNeverSnap : snap_times_.front();
}

void Producer::snap_now() {
    auto& books = snaps_.emplace_back();
    for (const Symbol& symbol : snap_symbols_) books.push_back(book_now(symbol, true));
    next_snap_ = snaps_.size() < snap_times_.size() ? snap_times_[snaps_.size()] : kNeverSnap;
}

std::vector<std::vector<std::optional<BookImage>>> Producer::snapshots() {
    constexpr timespec kLook{0, 1'000'000};
    while (!finished() && !stopping()) nanosleep(&kLook, nullptr);
    stop();
    while (snaps_.size() < snap_times_.size()) snap_now();
    return snaps_;
}

std::string Producer::processed_now(const std::vector<std::optional<std::uint64_t>>&, bool) {
    throw Error(ExitCode::usage, "this source keeps no place to go on from");
}

std::string Producer::processed(const std::vector<std::optional<std::uint64_t>>& rows,
                                bool commit) {
    std::string out;
    std::optional<Error> problem;  // not thrown on the producer's thread
    between_packets([&] {
        try {
            out = processed_now(rows, commit);
        } catch (const Error& error) {
            problem = error;
        }
    });
    if (problem) throw *problem;
    return out;
}

std::string Producer::digest() {
    std::string out;
    between_packets([&] { out = digest_now(); });
    return out;
}

std::string Producer::stats_json() {
    std::string out;
    between_packets([&] { out = stats_now(); });
    return out;
}

std::vector<std::string> Producer::remarks(const std::string& where) {
    std::vector<std::string> out;
    between_packets([&] { out = remarks_now(where); });
    return out;
}

std::optional<BookImage> Producer::book(const Symbol& symbol, bool with_orders) {
    std::optional<BookImage> out;
    between_packets([&] { out = book_now(symbol, with_orders); });
    return out;
}

std::vector<BookImage> Producer::books() {
    std::vector<BookImage> out;
    between_packets([&] { out = books_now(); });
    return out;
}

std::vector<std::string> Producer::symbols_missing(const std::vector<std::string>& asked) {
    std::vector<std::string> out;
    between_packets([&] {
        for (const std::string& symbol : asked)
            if (!knows_now(Symbol(symbol))) out.push_back(symbol);
    });
    return out;
}

Progress Producer::progress() const {
    Progress out;
    out.packets = packets_.load(std::memory_order_relaxed);
    out.last_received_at = last_received_at_.load(std::memory_order_relaxed);
    out.bytes_read = bytes_read_.load(std::memory_order_relaxed);
    out.bytes_total = bytes_total_.load(std::memory_order_relaxed);
    return out;
}

void Producer::adapt() {
    const Timestamp now = MonotonicClock::now();
    const std::size_t channels = channel_count_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < channels; ++i) channels_[i]->adapt(now);
}

}  // namespace millrace::python
