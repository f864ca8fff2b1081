#include "tests/failures/inject.hpp"

#include "tests/support/other_allocator.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <ifaddrs.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <new>

namespace millrace::test {

namespace {

std::atomic<Failing> kind{Failing::call};
std::atomic<std::int64_t> left{0};  // events until the one that fails; 0 or less: none does
std::atomic<std::int64_t> allocations{0};
std::atomic<std::int64_t> mapped{0};
thread_local bool counted = false;

// Whether this event is the one.
bool strikes(Failing what) {
    return counted && kind.load(std::memory_order_relaxed) == what && left.load() > 0 && left.fetch_sub(1) == 1;
}
bool call_strikes(int error_number) {
    if (!strikes(Failing::call)) return false;
    errno = error_number;
    return true;
}

// The function of this name behind the one that this program defines.
template <class F>
F* real(const char* name) {
    return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

// Spoils a completion among those that have come since the last look at this thread's ring.
void look_at_completions(io_uring* ring) {
    thread_local io_uring* seen_ring = nullptr;
    thread_local unsigned seen = 0;
    const unsigned tail = io_uring_smp_load_acquire(ring->cq.ktail);
    // Another ring may lie where one was before.
    if (seen_ring != ring || tail - seen > *ring->cq.kring_mask + 1) seen = *ring->cq.khead;
    seen_ring = ring;
    for (; seen != tail; ++seen) {
        io_uring_cqe& cqe = ring->cq.cqes[seen & *ring->cq.kring_mask];
        if (strikes(Failing::completion)) cqe.res = -EIO;
    }
}

struct Start {
    void* (*run)(void*);
    void* argument;
};
void* run_counted(void* start) {
    const Start s = *static_cast<Start*>(start);
    std::free(start);
    counted = true;
    return s.run(s.argument);
}

}  // namespace

void arm_threads(Failing what, std::uint64_t nth) {
    kind = what;
    left = static_cast<std::int64_t>(nth);
}

void arm(Failing what, std::uint64_t nth) {
    counted = true;
    arm_threads(what, nth);
}

bool disarm() {
    counted = false;
    return left.exchange(0) <= 0;
}

Holdings holdings() {
    Holdings now{allocations.load(), mapped.load(), 0};
    DIR* folder = opendir("/proc/self/fd");
    while (folder != nullptr && readdir(folder) != nullptr) ++now.descriptors;
    if (folder != nullptr) closedir(folder);
    return now;
}

}  // namespace millrace::test

using namespace millrace::test;

// ---- allocations ----

#ifndef MILLRACE_OTHER_ALLOCATOR  // all tests here are tagged [no-sanitizer]

void* operator new(std::size_t bytes) {
    void* at = strikes(Failing::allocation) ? nullptr : std::malloc(bytes);
    if (at == nullptr) throw std::bad_alloc();
    ++allocations;
    return at;
}
void* operator new(std::size_t bytes, std::align_val_t align) {
    void* at = nullptr;
    if (!strikes(Failing::allocation)) at = std::aligned_alloc(static_cast<std::size_t>(align), bytes);
    if (at == nullptr) throw std::bad_alloc();
    ++allocations;
    return at;
}
void operator delete(void* at) noexcept {
    if (at != nullptr) --allocations;
    std::free(at);
}
void operator delete(void* at, std::size_t) noexcept { operator delete(at); }
void operator delete(void* at, std::align_val_t) noexcept { operator delete(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { operator delete(at); }
#endif

// ---- system calls ----

extern "C" {

void* mmap(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
    if (call_strikes(ENOMEM)) return MAP_FAILED;
    void* result = real<decltype(mmap)>("mmap")(at, bytes, protection, flags, fd, offset);
    if (result != MAP_FAILED) mapped += static_cast<std::int64_t>(bytes);
    return result;
}
int munmap(void* at, std::size_t bytes) noexcept {
    const int result = real<decltype(munmap)>("munmap")(at, bytes);
    if (result == 0) mapped -= static_cast<std::int64_t>(bytes);
    return result;
}
int madvise(void* at, std::size_t bytes, int advice) noexcept {
    return call_strikes(ENOMEM) ? -1 : real<decltype(madvise)>("madvise")(at, bytes, advice);
}
int socket(int domain, int type, int protocol) noexcept {
    return call_strikes(EMFILE) ? -1 : real<decltype(socket)>("socket")(domain, type, protocol);
}
int setsockopt(int fd, int level, int option, const void* value, socklen_t size) noexcept {
    return call_strikes(ENOBUFS) ? -1 : real<decltype(setsockopt)>("setsockopt")(fd, level, option, value, size);
}
int getsockopt(int fd, int level, int option, void* value, socklen_t* size) noexcept {
    return call_strikes(ENOBUFS) ? -1 : real<decltype(getsockopt)>("getsockopt")(fd, level, option, value, size);
}
int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
    return call_strikes(EADDRINUSE) ? -1 : real<decltype(bind)>("bind")(fd, address, size);
}
int connect(int fd, const sockaddr* address, socklen_t size) {
    return call_strikes(ENETUNREACH) ? -1 : real<decltype(connect)>("connect")(fd, address, size);
}
ssize_t recv(int fd, void* buffer, std::size_t bytes, int flags) {
    return call_strikes(EIO) ? -1 : real<decltype(recv)>("recv")(fd, buffer, bytes, flags);
}
ssize_t send(int fd, const void* buffer, std::size_t bytes, int flags) {
    return call_strikes(ENOBUFS) ? -1 : real<decltype(send)>("send")(fd, buffer, bytes, flags);
}
int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
    return call_strikes(EIO) ? -1 : real<decltype(recvmmsg)>("recvmmsg")(fd, messages, count, flags, timeout);
}
int poll(pollfd* polled, nfds_t count, int timeout) {
    return call_strikes(EINTR) ? -1 : real<decltype(poll)>("poll")(polled, count, timeout);
}
int getifaddrs(ifaddrs** first) noexcept {
    return call_strikes(ENOMEM) ? -1 : real<decltype(getifaddrs)>("getifaddrs")(first);
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) noexcept {
    const auto create = real<decltype(pthread_create)>("pthread_create");
    if (!counted) return create(thread, attributes, run, argument);
    if (strikes(Failing::call)) return EAGAIN;
    auto* start = static_cast<Start*>(std::malloc(sizeof(Start)));
    *start = {run, argument};
    return create(thread, attributes, run_counted, start);
}
long syscall(long number, ...) noexcept {
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (long& argument : arguments) argument = va_arg(list, long);
    va_end(list);
    // Of the project's own; the standard library waits by this function too.
    if (number == __NR_io_uring_register && call_strikes(ENOMEM)) return -1;
    return real<decltype(syscall)>("syscall")(number, arguments[0], arguments[1], arguments[2], arguments[3],
                                              arguments[4], arguments[5]);
}

// ---- liburing, which makes its calls itself ----

int io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* params) {
    if (strikes(Failing::call)) return -ENOMEM;
    return real<decltype(io_uring_queue_init_params)>("io_uring_queue_init_params")(entries, ring, params);
}
int io_uring_register_buf_ring(io_uring* ring, io_uring_buf_reg* reg, unsigned flags) {
    if (strikes(Failing::call)) return -ENOMEM;
    return real<decltype(io_uring_register_buf_ring)>("io_uring_register_buf_ring")(ring, reg, flags);
}
int io_uring_submit(io_uring* ring) {
    if (strikes(Failing::call)) return -EBUSY;
    return real<decltype(io_uring_submit)>("io_uring_submit")(ring);
}
int io_uring_get_events(io_uring* ring) {
    if (strikes(Failing::call)) return -EBUSY;
    const int result = real<decltype(io_uring_get_events)>("io_uring_get_events")(ring);
    look_at_completions(ring);
    return result;
}
int io_uring_wait_cqe_timeout(io_uring* ring, io_uring_cqe** cqe, __kernel_timespec* timeout) {
    if (strikes(Failing::call)) return -EINTR;
    const int result = real<decltype(io_uring_wait_cqe_timeout)>("io_uring_wait_cqe_timeout")(ring, cqe, timeout);
    look_at_completions(ring);
    return result;
}

}  // extern "C"
