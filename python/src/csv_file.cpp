#include "csv_file.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "millrace/core/cpu.hpp"
#include "millrace/core/error.hpp"

namespace millrace::python {

namespace {

template <class T>
[[nodiscard]] bool parse_whole(std::string_view text, T& number) {
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    return problem == std::errc{} && end == text.data() + text.size();
}

// What std::from_chars and Python read alike. Both know more spellings than these.
[[nodiscard]] bool is_plain_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789.eE+-") == std::string_view::npos;
}

void convert(std::string_view text, CsvKind kind, CsvCell& cell) {
    if (kind == CsvKind::text || !is_plain_number(text)) return;
    if (kind == CsvKind::integer) {
        std::int64_t number = 0;
        if (parse_whole(text, number)) cell.number = number;
    } else {
        double number = 0;
        if (parse_whole(text, number)) cell.number = number;
    }
}

}  // namespace

CsvFile::CsvFile(const CsvConfig& config) : config_(config), rows_(config.path, config.separator) {
    read_header();
    event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_ < 0) {
        throw_errno(ExitCode::resource, "cannot make an event descriptor", errno,
                    "close some files or raise the limit (ulimit -n)");
    }
}

void CsvFile::read_header() {
    bool good = true;
    if (!rows_.next(good)) return;
    columns_ = rows_.cells();
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (columns_.front().starts_with(kByteOrderMark)) columns_.front().erase(0, kByteOrderMark.size());
    if (!good) {
        throw Error(ExitCode::format, config_.path + ": quotes that do not match in the first row, "
                                                     "which has to name the columns");
    }
    line_ += static_cast<std::uint64_t>(std::ranges::count(rows_.text(), '\n'));
}

CsvFile::~CsvFile() {
    close();
    ::close(event_);
}

void CsvFile::start(std::vector<CsvKind> kinds) {
    const std::lock_guard lock(mutex_);
    if (thread_ != nullptr || closed_) return;
    kinds_ = std::move(kinds);
    thread_ = new std::thread(start_thread("millrace-csv", kNotPinned, [this] { read(); }));
}

bool CsvFile::foreign() const { return process_ != getpid(); }

void CsvFile::close() {
    std::thread* thread = nullptr;
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        thread = std::exchange(thread_, nullptr);
        chunks_.clear();
        waiting_ = 0;
        room_.notify_all();
    }
    if (thread != nullptr) thread->join();
    delete thread;
    const std::lock_guard lock(mutex_);
    ended_ = true;
    wake();
}

// ---- the reading thread ----

void CsvFile::read() {
    const std::uint64_t rows_most = std::clamp<std::uint64_t>(config_.rows_ahead / 4, 1, kChunkRows);
    CsvChunk chunk;
    bool good = false;
    bool wanted = true;
    while (wanted && rows_.next(good)) {
        if (rows_.number() > config_.skip + 1) add_row(chunk, good);  // 1: the header
        line_ += static_cast<std::uint64_t>(std::ranges::count(rows_.text(), '\n'));
        if (chunk.rows.size() == rows_most || chunk.text.size() > kChunkBytes) wanted = put(chunk);
    }
    if (wanted && !chunk.rows.empty()) static_cast<void>(put(chunk));
    const std::lock_guard lock(mutex_);
    damage_ = rows_.source().damage();
    ended_ = true;
    wake();
}

void CsvFile::add_row(CsvChunk& chunk, bool quotes_match) {
    const std::vector<std::string>& texts = rows_.cells();
    chunk.rows.push_back({line_, chunk.cells.size(), texts.size(), quotes_match});
    for (std::size_t i = 0; i < texts.size(); ++i) {
        CsvCell& cell = chunk.cells.emplace_back();
        cell.at = chunk.text.size();
        cell.size = texts[i].size();
        chunk.text += texts[i];
        if (i < kinds_.size()) convert(texts[i], kinds_[i], cell);
    }
}

bool CsvFile::put(CsvChunk& chunk) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] {
        return closed_ || waiting_ + chunk.rows.size() <= config_.rows_ahead;
    });
    if (closed_) return false;
    waiting_ += chunk.rows.size();
    count_ += chunk.rows.size();
    chunks_.push_back(std::exchange(chunk, {}));
    wake();
    return true;
}

void CsvFile::wake() {
    if (!std::exchange(armed_, false)) return;
    const std::uint64_t one = 1;
    static_cast<void>(::write(event_, &one, sizeof(one)));
}

// ---- whoever takes the rows ----

std::uint64_t CsvFile::ready() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
}

std::uint64_t CsvFile::read_count() const {
    const std::lock_guard lock(mutex_);
    return count_;
}

bool CsvFile::ended() const {
    const std::lock_guard lock(mutex_);
    return ended_;
}

std::string CsvFile::damage() const {
    const std::lock_guard lock(mutex_);
    return damage_;
}

bool CsvFile::take(CsvChunk& chunk) {
    const std::lock_guard lock(mutex_);
    if (closed_ || chunks_.empty()) return false;
    chunk = std::move(chunks_.front());
    chunks_.pop_front();
    waiting_ -= chunk.rows.size();
    room_.notify_one();
    return true;
}

bool CsvFile::arm(std::uint64_t) {
    const std::lock_guard lock(mutex_);
    std::uint64_t count = 0;
    static_cast<void>(::read(event_, &count, sizeof(count)));  // of a wake-up nobody waited for
    armed_ = chunks_.empty() && !ended_;
    return armed_;
}

void CsvFile::disarm() {
    const std::lock_guard lock(mutex_);
    armed_ = false;
}

}  // namespace millrace::python
