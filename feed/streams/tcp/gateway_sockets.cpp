#include "millrace/feed/streams/tcp/gateway_sockets.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "millrace/core/error.hpp"

namespace millrace::streams {

namespace {

bool passes(int error) { return error == EAGAIN || error == EINTR; }

struct Connection {
    net::Socket socket;
    std::vector<std::uint8_t> out;  // on its way
    std::size_t out_at = 0;
    std::array<char, 4096> in{};
    bool sending = false;
    bool receiving = false;
    bool dropped = false;  // what is under way has to end before the number is free
};

// What both have: connections by number.
class Table : public GatewaySockets {
  public:
    explicit Table(const net::Socket& accepts) : accepts_(accepts) {}

    [[nodiscard]] bool sending(std::uint32_t number) const final { return at(number).sending; }
    void finish(std::uint32_t number) final { shutdown(at(number).socket.fd(), SHUT_WR); }
    void send(std::uint32_t number, std::vector<std::uint8_t>& bytes) final {
        Connection& connection = at(number);
        connection.out.clear();
        std::swap(connection.out, bytes);
        connection.out_at = 0;
        connection.sending = true;
        begin_send(number);
    }
    void receive(std::uint32_t number) final {
        if (std::exchange(at(number).receiving, true)) return;
        begin_receive(number);
    }
    void drop(std::uint32_t number) final {
        Connection& connection = at(number);
        connection.dropped = true;
        shutdown(connection.socket.fd(), SHUT_RDWR);
        release(number);
    }

  protected:
    [[nodiscard]] Connection& at(std::uint32_t number) { return *connections_[number]; }
    [[nodiscard]] const Connection& at(std::uint32_t number) const { return *connections_[number]; }
    [[nodiscard]] std::size_t count() const { return connections_.size(); }
    [[nodiscard]] bool is_open(std::uint32_t number) const { return connections_[number] != nullptr; }
    [[nodiscard]] int accepts() const { return accepts_.fd(); }

    std::uint32_t add(net::Socket socket) {
        const int one = 1;
        setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        std::uint32_t number = 0;
        while (number < connections_.size() && is_open(number)) ++number;
        if (number == connections_.size()) connections_.emplace_back();
        connections_[number] = std::make_unique<Connection>();
        at(number).socket = std::move(socket);
        return number;
    }
    // Once nothing of a dropped one is under way.
    void release(std::uint32_t number) {
        const Connection& connection = at(number);
        if (connection.dropped && !is_busy(connection)) connections_[number].reset();
    }
    virtual void begin_send(std::uint32_t number) = 0;
    virtual void begin_receive(std::uint32_t number) = 0;
    [[nodiscard]] virtual bool is_busy(const Connection& connection) const = 0;

    void sent(std::uint32_t number, std::size_t bytes) {
        Connection& connection = at(number);
        connection.out_at += bytes;
        if (connection.out_at == connection.out.size()) connection.sending = false;
    }
    // What a receive ended with: bytes, or an error below 0.
    void received(std::uint32_t number, std::int64_t result, GatewayListener& listener) {
        Connection& connection = at(number);
        connection.receiving = false;
        if (result > 0) listener.on_bytes(number, {connection.in.data(), static_cast<std::size_t>(result)});
        else if (!passes(static_cast<int>(-result))) listener.on_hang_up(number);
    }

  private:
    const net::Socket& accepts_;
    std::vector<std::unique_ptr<Connection>> connections_;
};

class PollSockets final : public Table {
  public:
    using Table::Table;
    [[nodiscard]] bool by_io_uring() const override { return false; }
    void turn(int wait_ms, GatewayListener& listener) override {
        polled_.assign(1, {accepts(), POLLIN, 0});
        for (std::uint32_t i = 0; i < count(); ++i) {
            if (!is_open(i)) polled_.push_back({-1, 0, 0});
            else polled_.push_back({at(i).socket.fd(), events_of(at(i)), 0});
        }
        static_cast<void>(::poll(polled_.data(), polled_.size(), wait_ms));
        for (std::uint32_t i = 0; i + 1 < polled_.size(); ++i) {
            const short events = polled_[i + 1].revents;
            if (events == 0 || !is_open(i)) continue;
            if (at(i).sending) try_send(i, listener);
            if (at(i).receiving && (events & ~POLLOUT) != 0) try_receive(i, listener);
        }
        if ((polled_[0].revents & POLLIN) == 0) return;
        for (;;) {
            net::Socket socket(accept4(accepts(), nullptr, nullptr, SOCK_CLOEXEC));
            if (socket.fd() < 0) return;
            listener.on_accept(add(std::move(socket)));
        }
    }

  private:
    static short events_of(const Connection& connection) {
        return static_cast<short>((connection.receiving ? POLLIN : 0) | (connection.sending ? POLLOUT : 0));
    }
    void begin_send(std::uint32_t) override {}
    void begin_receive(std::uint32_t) override {}
    [[nodiscard]] bool is_busy(const Connection&) const override { return false; }

    void try_send(std::uint32_t number, GatewayListener& listener) {
        Connection& connection = at(number);
        const ssize_t n = ::send(connection.socket.fd(), &connection.out[connection.out_at],
                                 connection.out.size() - connection.out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) return sent(number, static_cast<std::size_t>(n));
        if (passes(errno)) return;
        connection.sending = false;
        listener.on_hang_up(number);
    }
    void try_receive(std::uint32_t number, GatewayListener& listener) {
        Connection& connection = at(number);
        const ssize_t n = recv(connection.socket.fd(), connection.in.data(), connection.in.size(), MSG_DONTWAIT);
        received(number, n < 0 ? -errno : n, listener);
    }

    std::vector<pollfd> polled_;
};

class UringSockets final : public Table {
  public:
    // Throws nothing; good() says whether there is a ring.
    explicit UringSockets(const net::Socket& accepts) : Table(accepts) {
        for (const unsigned flags : {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0U}) {
            good_ = io_uring_queue_init(kEntries, &ring_, flags) == 0;
            if (good_) break;
        }
        if (!good_) return;
        // On a socket that never blocks an accept would end at once.
        fcntl(accepts.fd(), F_SETFL, fcntl(accepts.fd(), F_GETFL) & ~O_NONBLOCK);
    }
    ~UringSockets() override {
        if (!good_) return;
        // The kernel may use what it was given until it has said that it is done.
        struct Nobody final : GatewayListener {
            void on_accept(std::uint32_t) override {}
            void on_bytes(std::uint32_t, std::span<const char>) override {}
            void on_hang_up(std::uint32_t) override {}
        } nobody;
        shutdown(accepts(), SHUT_RDWR);
        ending_ = true;
        for (std::uint32_t i = 0; i < count(); ++i)
            if (is_open(i) && !at(i).dropped) drop(i);
        for (int turns = 0; under_way_ != 0 && turns < 100; ++turns) turn(10, nobody);
        io_uring_queue_exit(&ring_);
    }
    UringSockets(const UringSockets&) = delete;
    UringSockets& operator=(const UringSockets&) = delete;

    [[nodiscard]] bool good() const { return good_; }
    [[nodiscard]] bool by_io_uring() const override { return true; }
    void turn(int wait_ms, GatewayListener& listener) override {
        if (!accepting_ && !ending_) begin_accept();
        __kernel_timespec wait{wait_ms / 1'000, std::int64_t{wait_ms % 1'000} * 1'000'000};
        io_uring_cqe* first = nullptr;
        static_cast<void>(io_uring_submit_and_wait_timeout(&ring_, &first, 1, &wait, nullptr));
        constexpr unsigned kAtOnce = 64;
        std::array<io_uring_cqe*, kAtOnce> ready{};
        for (unsigned n = 0; (n = io_uring_peek_batch_cqe(&ring_, ready.data(), kAtOnce)) != 0;) {
            for (unsigned i = 0; i < n; ++i) take(*ready[i], listener);
            io_uring_cq_advance(&ring_, n);
        }
    }

  private:
    static constexpr unsigned kEntries = 1'024;  // more than all connections ask for between two turns
    enum class Kind : std::uint8_t { accept, receive, send };

    template <class Prepare>
    void ask(Kind kind, std::uint32_t number, Prepare&& prepare) {
        io_uring_sqe* entry = io_uring_get_sqe(&ring_);
        MILLRACE_VERIFY(entry != nullptr);
        prepare(entry);
        io_uring_sqe_set_data64(entry, std::uint64_t{number} << 8 | static_cast<std::uint8_t>(kind));
        ++under_way_;
    }
    void begin_accept() {
        accepting_ = true;
        ask(Kind::accept, 0, [&](io_uring_sqe* entry) {
            io_uring_prep_accept(entry, accepts(), nullptr, nullptr, SOCK_CLOEXEC);
        });
    }
    void begin_send(std::uint32_t number) override {
        const Connection& connection = at(number);
        ask(Kind::send, number, [&](io_uring_sqe* entry) {
            io_uring_prep_send(entry, connection.socket.fd(), &connection.out[connection.out_at],
                               connection.out.size() - connection.out_at, MSG_NOSIGNAL);
        });
    }
    void begin_receive(std::uint32_t number) override {
        Connection& connection = at(number);
        ask(Kind::receive, number, [&](io_uring_sqe* entry) {
            io_uring_prep_recv(entry, connection.socket.fd(), connection.in.data(), connection.in.size(), 0);
        });
    }
    [[nodiscard]] bool is_busy(const Connection& connection) const override {
        return connection.sending || connection.receiving;
    }

    void take(const io_uring_cqe& done, GatewayListener& listener) {
        --under_way_;
        const auto number = static_cast<std::uint32_t>(done.user_data >> 8);
        switch (static_cast<Kind>(done.user_data & 0xff)) {
            case Kind::accept:
                accepting_ = false;
                if (done.res >= 0) listener.on_accept(add(net::Socket(done.res)));
                return;
            case Kind::receive: return take_received(number, done.res, listener);
            case Kind::send: return take_sent(number, done.res, listener);
        }
    }
    void take_received(std::uint32_t number, int result, GatewayListener& listener) {
        if (!at(number).dropped) return received(number, result, listener);
        at(number).receiving = false;
        release(number);
    }
    void take_sent(std::uint32_t number, int result, GatewayListener& listener) {
        Connection& connection = at(number);
        const bool failed = result < 0 && !passes(-result);
        if (connection.dropped || failed) {
            connection.sending = false;
            return connection.dropped ? release(number) : listener.on_hang_up(number);
        }
        sent(number, static_cast<std::size_t>(std::max(result, 0)));
        if (connection.sending) begin_send(number);
    }

    io_uring ring_{};
    bool good_ = false;
    bool ending_ = false;
    bool accepting_ = false;
    std::size_t under_way_ = 0;  // requests that the kernel has not answered
};

}  // namespace

std::unique_ptr<GatewaySockets> make_gateway_sockets(const net::Socket& accepts, GatewayBackend backend) {
    if (backend != GatewayBackend::poll) {
        auto ring = std::make_unique<UringSockets>(accepts);
        if (ring->good()) return ring;
        if (backend == GatewayBackend::io_uring) return nullptr;
    }
    return std::make_unique<PollSockets>(accepts);
}

}  // namespace millrace::streams
