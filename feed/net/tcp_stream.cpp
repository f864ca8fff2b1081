#include "millrace/feed/net/tcp_stream.hpp"

#include <liburing.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace millrace::net {

namespace {
constexpr std::size_t kBufferBytes = 65'536;
}

// One receive under way at a time, into one buffer.
class UringReader {
  public:
    UringReader() {
        io_uring_params params{};
        params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
        made_ = io_uring_queue_init_params(4, &ring_, &params) == 0;
    }
    ~UringReader() {
        if (made_) io_uring_queue_exit(&ring_);
    }
    UringReader(const UringReader&) = delete;
    UringReader& operator=(const UringReader&) = delete;

    [[nodiscard]] bool made() const { return made_; }
    // Bytes received into `buffer`, 0 at the end of the stream, or a negative errno.
    [[nodiscard]] long receive(int fd, std::span<std::uint8_t> buffer) {
        if (!prepared_) {
            io_uring_prep_recv(io_uring_get_sqe(&ring_), fd, buffer.data(), buffer.size(), 0);
            prepared_ = true;
        }
        // What the kernel did not take stays in the ring, and is not to be put there once more.
        if (!armed_) {
            if (const int result = io_uring_submit(&ring_); result < 0) return result;
            armed_ = true;
        }
        io_uring_cqe* cqe = nullptr;
        if (io_uring_cq_ready(&ring_) == 0) io_uring_get_events(&ring_);
        if (io_uring_peek_cqe(&ring_, &cqe) != 0) return -EAGAIN;
        const long result = cqe->res;
        io_uring_cqe_seen(&ring_, cqe);
        prepared_ = armed_ = false;
        return result;
    }

  private:
    io_uring ring_{};
    bool made_ = false;
    bool prepared_ = false;  // a receive is in the ring ...
    bool armed_ = false;     // ... and in the kernel's hands
};

TcpStream::TcpStream(const GroupConfig& to, Backend backend)
    : socket_(connect_to(to, SOCK_STREAM)), buffer_(kBufferBytes), wants_reader_(backend == Backend::io_uring) {
    if (socket_.fd() < 0) state_ = State::closed;
}

TcpStream::~TcpStream() {
    // A receive that is armed holds on to the socket: hanging up ends it.
    if (socket_.fd() >= 0) shutdown(socket_.fd(), SHUT_RDWR);
}

TcpStream::State TcpStream::state() {
    if (state_ != State::connecting) return state_;
    pollfd ready{socket_.fd(), POLLOUT, 0};
    if (::poll(&ready, 1, 0) <= 0) return state_;
    int problem = 0;
    socklen_t size = sizeof(problem);
    getsockopt(socket_.fd(), SOL_SOCKET, SO_ERROR, &problem, &size);
    state_ = problem == 0 ? State::open : State::closed;
    if (state_ == State::open && wants_reader_) {
        // On the thread that will receive: the ring belongs to it.
        reader_ = std::make_unique<UringReader>();
        if (!reader_->made()) reader_.reset();
    }
    return state_;
}

std::span<const std::uint8_t> TcpStream::receive() {
    if (state_ != State::open) return {};
    if (reader_ != nullptr) {
        const long result = reader_->receive(socket_.fd(), buffer_);
        if (result != -EPERM && result != -ENOSYS) return taken(result);
        reader_.reset();  // a filter that came later than the ring: goes on without
    }
    const long result = recv(socket_.fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    return taken(result < 0 ? -errno : result);
}

std::span<const std::uint8_t> TcpStream::taken(long result) {
    if (result > 0) return std::span(buffer_).first(static_cast<std::size_t>(result));
    if (result != -EAGAIN && result != -EINTR) state_ = State::closed;
    return {};
}

std::size_t TcpStream::send(std::span<const std::uint8_t> bytes) {
    if (state_ != State::open || bytes.empty()) return 0;
    const long result = ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    // A peer that has closed may have sent much before it: receive() gives that, and then the end.
    return result < 0 ? 0 : static_cast<std::size_t>(result);
}

}  // namespace millrace::net
