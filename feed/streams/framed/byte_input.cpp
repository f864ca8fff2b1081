#include "millrace/feed/streams/framed/byte_input.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"
#include "millrace/core/random.hpp"

namespace millrace::streams {

namespace {

constexpr std::size_t kReadMost = std::size_t{1} << 18;
constexpr Nanoseconds kMillisecond = 1'000'000;
constexpr Nanoseconds kBackoffMin = 50 * kMillisecond;
constexpr Nanoseconds kBackoffMax = 10'000 * kMillisecond;

void sleep_ms(Nanoseconds ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Reads what there is; as read(2) returns.
ssize_t read_some(int fd, std::string& to) {
    const std::size_t before = to.size();
    to.resize(before + kReadMost);
    ssize_t n = 0;
    do n = read(fd, to.data() + before, kReadMost);
    while (n < 0 && errno == EINTR);
    to.resize(before + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return n;
}

class TcpInput final : public ByteInput {
  public:
    explicit TcpInput(Url& url)
        : at_(first_host(url, 0)), where_(url.text()), hello_(url.take("hello", "")),
          attempts_(url.take_number("attempts", 10, 1'000'000)),
          timeout_(static_cast<int>(url.take_number("timeout_ms", 2'000, 600'000))) {}

    [[nodiscard]] Step read(int wait_ms, std::string& to, std::string& problem) override {
        if (socket_.fd() < 0) {
            const Step step = connect(wait_ms, problem);
            if (step != Step::bytes) return step;
        }
        pollfd wait{socket_.fd(), POLLIN, 0};
        if (poll(&wait, 1, wait_ms) == 0) return Step::none;
        const ssize_t n = read_some(socket_.fd(), to);
        if (n < 0 && errno == EAGAIN) return Step::none;
        if (n < 0) return lost(std::strerror(errno), problem);
        if (n == 0) {
            socket_ = {};
            return Step::end;
        }
        failures_ = 0;
        return Step::bytes;
    }
    void taken(std::uint64_t frames) override { frames_ = frames; }
    [[nodiscard]] bool resumes() const override {
        return hello_.find(kFrames) != std::string::npos;
    }

  private:
    static constexpr std::string_view kFrames = "{frames}";

    Step lost(std::string_view why, std::string& problem) {
        socket_ = {};
        problem = fmt::format("{}: {}", where_, why);
        ++failures_;
        const Nanoseconds pause =
            std::min(kBackoffMin << std::min<std::uint64_t>(failures_ - 1, 10), kBackoffMax);
        retry_at_ = MonotonicClock::now() + pause / 2 +
                    static_cast<Nanoseconds>(random_.below(static_cast<std::uint64_t>(pause / 2)));
        return failures_ >= attempts_ ? Step::failed : Step::broken;
    }

    // bytes: connected, and said hello.
    Step connect(int wait_ms, std::string& problem) {
        const Nanoseconds left = retry_at_ - MonotonicClock::now();
        if (left > 0) {
            sleep_ms(std::min<Nanoseconds>(left / kMillisecond + 1, wait_ms));
            if (left > wait_ms * kMillisecond) return Step::none;
        }
        socket_ = net::connect_to({at_.host, static_cast<std::uint16_t>(at_.port)}, SOCK_STREAM);
        if (socket_.fd() < 0) {
            return lost(errno == EINVAL ? "write the address in numbers" : std::strerror(errno), problem);
        }
        pollfd wait{socket_.fd(), POLLOUT, 0};
        if (poll(&wait, 1, timeout_) != 1) return lost("no answer", problem);
        int error = 0;
        socklen_t size = sizeof(error);
        getsockopt(socket_.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) return lost(fmt::format("{}; does a server listen there?", std::strerror(error)), problem);
        std::string hello = hello_;
        const std::size_t place = hello.find(kFrames);
        if (place != std::string::npos) hello.replace(place, kFrames.size(), std::to_string(frames_));
        const ssize_t sent = send(socket_.fd(), hello.data(), hello.size(), MSG_NOSIGNAL);
        if (sent != static_cast<ssize_t>(hello.size())) return lost("the greeting is not taken", problem);
        return Step::bytes;
    }

    HostPort at_;
    std::string where_;
    std::string hello_;
    std::uint64_t attempts_;
    int timeout_;
    net::Socket socket_;
    std::uint64_t frames_ = 0;
    std::uint64_t failures_ = 0;  // in a row
    Timestamp retry_at_ = 0;
    Random random_{static_cast<std::uint64_t>(MonotonicClock::now())};
};

class FileInput final : public ByteInput {
  public:
    FileInput(const Url& url, bool follow) : path_("/" + url.path), follow_(follow) {
        std::string problem;
        if (!url.hosts.empty()) {
            throw Error(ExitCode::usage, fmt::format("{}: write it as file:///folder/file", url.text()));
        }
        if (!open_it(problem)) throw Error(ExitCode::file, problem);
    }

    [[nodiscard]] Step read(int wait_ms, std::string& to, std::string& problem) override {
        const ssize_t n = read_some(file_.fd(), to);
        if (n > 0) {
            position_ += static_cast<std::uint64_t>(n);
            return Step::bytes;
        }
        if (n < 0) {
            problem = fmt::format("{}: {}", path_, std::strerror(errno));
            return Step::failed;
        }
        if (!follow_) return Step::end;
        struct stat now {};
        if (stat(path_.c_str(), &now) == 0 && (now.st_ino != inode_ || now.st_dev != device_ ||
                                               static_cast<std::uint64_t>(now.st_size) < position_)) {
            problem = fmt::format("{}: another file has taken its place", path_);
            std::string ignored;
            return open_it(ignored) ? Step::broken : Step::none;
        }
        sleep_ms(std::min(wait_ms, 10));
        return Step::none;
    }

  private:
    [[nodiscard]] bool open_it(std::string& problem) {
        net::Socket file(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat about {};
        const bool good = file.fd() >= 0 && fstat(file.fd(), &about) == 0;
        if (good && S_ISDIR(about.st_mode)) errno = EISDIR;
        if (!good || S_ISDIR(about.st_mode)) {
            problem = fmt::format("{}: {}; write it as file:///folder/file", path_, std::strerror(errno));
            return false;
        }
        file_ = std::move(file);
        inode_ = about.st_ino;
        device_ = about.st_dev;
        position_ = 0;
        return true;
    }

    std::string path_;
    bool follow_;
    net::Socket file_;
    ino_t inode_ = 0;
    dev_t device_ = 0;
    std::uint64_t position_ = 0;
};

}  // namespace

std::unique_ptr<ByteInput> make_tcp_input(Url& url) { return std::make_unique<TcpInput>(url); }

std::unique_ptr<ByteInput> make_file_input(const Url& url, bool follow) {
    return std::make_unique<FileInput>(url, follow);
}

}  // namespace millrace::streams
