#include "millrace/feed/net/io_uring_receiver.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "millrace/core/error.hpp"

namespace millrace::net {

namespace {

constexpr std::string_view kTry =
    "allow io_uring (kernel.io_uring_disabled, the container's seccomp profile), or set receive.backend = \"recvmmsg\"";

// Rings from the best to the plainest that can keep a multishot receive armed. All start disabled, so that
// the thread that polls, and not the one that sets up, becomes their owner.
constexpr unsigned kFlags[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,
};

// Returns 0 or a negative errno. `completions` must hold a completion for every buffer at once.
int make_ring(io_uring& ring, unsigned submissions, unsigned completions) {
    int result = -EINVAL;
    for (const unsigned flags : kFlags) {
        io_uring_params params{};
        params.flags = flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
        params.cq_entries = completions;
        result = io_uring_queue_init_params(submissions, &ring, &params);
        if (result != -EINVAL) return result;
    }
    return result;
}

int enable(io_uring& ring) {
    // liburing 2.3 does not export io_uring_enable_rings.
    const long result = syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    return result < 0 ? -errno : 0;
}

}  // namespace

IoUringReceiver::IoUringReceiver(const PacketArena& arena, std::vector<ReceivingSocket> sockets, std::size_t lines)
    : arena_(arena), sockets_(std::move(sockets)), counters_(lines), asked_(sockets_.size()) {
    spare_.reserve(sockets_.size());
    shape_.msg_controllen = kBufferHead - sizeof(io_uring_recvmsg_out);
    MILLRACE_VERIFY(std::has_single_bit(arena.buffers()));
    // With work deferred, a poll leaves a few completions a socket; a ring that overflows goes on, but slower.
    constexpr unsigned kCompletionsMax = 16'384;
    const auto submissions = static_cast<unsigned>(std::bit_ceil(std::max<std::size_t>(sockets_.size() * 2, 8)));
    const unsigned completions = std::clamp(2 * arena.buffers(), 2 * submissions, kCompletionsMax);
    if (const int result = make_ring(ring_, submissions, completions); result < 0) {
        throw_errno(ExitCode::backend, "io_uring", -result, kTry);
    }
    buffers_bytes_ = arena.buffers() * sizeof(io_uring_buf);
    void* memory = mmap(nullptr, buffers_bytes_, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) {
        io_uring_queue_exit(&ring_);
        throw_errno(ExitCode::memory, "io_uring buffer ring", errno, "lower receive.buffers");
    }
    buffers_ = static_cast<io_uring_buf_ring*>(memory);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
    registration.ring_entries = arena.buffers();
    registration.bgid = kGroup;
    if (const int result = io_uring_register_buf_ring(&ring_, &registration, 0); result < 0) {
        munmap(memory, buffers_bytes_);
        io_uring_queue_exit(&ring_);
        throw_errno(ExitCode::backend, "io_uring buffer ring", -result, kTry);
    }
    io_uring_buf_ring_init(buffers_);
    for (std::uint32_t i = 0; i < arena.usable(); ++i) release(i);
}

IoUringReceiver::~IoUringReceiver() {
    io_uring_queue_exit(&ring_);
    munmap(buffers_, buffers_bytes_);
}

void IoUringReceiver::start() {
    if (const int result = enable(ring_); result < 0) throw_errno(ExitCode::backend, "io_uring start", -result, kTry);
    io_uring_register_ring_fd(&ring_);  // saves a look-up a call; goes without where the kernel will not
    if (!asks()) arm_all(Armed::on);
    if (const int result = io_uring_submit(&ring_); result < 0) {
        throw_errno(ExitCode::backend, "io_uring receive", -result, kTry);
    }
}

void IoUringReceiver::look() {
    arm_all(asks() ? Armed::now : Armed::on);
    note_submitted(io_uring_submit_and_get_events(&ring_));
}

void IoUringReceiver::arm_all(Armed how) {
    if (available_ == 0) return;  // would end at once; tried again when buffers have come back
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
        if (!asked_[i].armed) arm(i, how);
    }
}

void IoUringReceiver::arm(std::size_t index, Armed how) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return;  // stays to be armed
    Asked& asked = asked_[index];
    asked.armed = true;
    const unsigned flags = how == Armed::now ? MSG_DONTWAIT : 0;
    const bool more = std::exchange(asked.had_some, false);
    if (how == Armed::now && !more && !spare_.empty()) {
        asked.lay_out(spare_.back(), arena_);
        spare_.pop_back();
        io_uring_prep_recvmsg(sqe, sockets_[index].fd, &asked.message, flags);
        io_uring_sqe_set_data64(sqe, index | kSingle);
        return;
    }
    io_uring_prep_recvmsg_multishot(sqe, sockets_[index].fd, &shape_, flags);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kGroup;
    io_uring_sqe_set_data64(sqe, index);
}

void IoUringReceiver::Asked::lay_out(std::uint32_t into, const PacketArena& arena) {
    buffer = into;
    part = {arena[into] + kBufferHead, arena.buffer_bytes() - kBufferHead};
    message = {nullptr, 0, &part, 1, arena[into], kBufferHead, 0};
}

// What the kernel did not take it is given again by the next call.
void IoUringReceiver::note_submitted(int result) {
    if (result >= 0) return;
    for (ReceivingSocket& socket : sockets_) ++counters_[socket.line][ReceiveCounter::socket_errors];
}

void IoUringReceiver::wait() {
    arm_all(Armed::on);
    note_submitted(io_uring_submit(&ring_));
    __kernel_timespec timeout{0, 1'000'000};
    io_uring_cqe* cqe = nullptr;
    io_uring_wait_cqe_timeout(&ring_, &cqe, &timeout);
}

std::string io_uring_refusal(std::uint32_t buffers) {
    try {
        const PacketArena arena(2, buffers, 4096, HugePages::off);
        IoUringReceiver probe(arena, {}, 1);
        probe.start();
        return {};
    } catch (const Error& error) {
        return error.what();
    }
}

}  // namespace millrace::net
