#include "millrace/replay/dbn_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "millrace/core/error.hpp"

namespace millrace::replay {

DbnFileReader::DbnFileReader(const std::filesystem::path& path)
    : source_(path), title_(path.string()) {
    read_metadata();
}

DbnFileReader::DbnFileReader(const std::filesystem::path& path, Fragment fragment)
    : source_(path), title_(path.string()) {
    metadata_.version = fragment.version;
    metadata_.ts_out = fragment.ts_out;
}

DbnFileReader::DbnFileReader(ByteSource&& source, std::string title)
    : source_(std::move(source)), title_(std::move(title)) {
    read_metadata();
}

DbnFileReader::DbnFileReader(std::span<const std::uint8_t> memory, std::string title)
    : source_(memory), title_(std::move(title)) {
    read_metadata();
}

void DbnFileReader::read_metadata() {
    dbn::MetadataResult result{dbn::Parse::need_more, 8, ""};
    while (result.status == dbn::Parse::need_more) {
        const auto seen = source_.peek(result.size);
        if (seen.size() < result.size) {
            throw Error(ExitCode::format,
                        fmt::format("{}: ends inside its DBN metadata; fetch the file again", title_));
        }
        result = dbn::parse_metadata(seen, metadata_);
    }
    if (result.status == dbn::Parse::malformed) {
        throw Error(ExitCode::format,
                    fmt::format("{}: {}; give a .dbn or .dbn.zst file", title_, result.problem));
    }
    source_.consume(result.size);
}

bool DbnFileReader::next(dbn::RecordView& record) {
    source_.consume(std::exchange(consume_next_, 0));
    if (ended_) return false;
    const auto seen = source_.peek(dbn::kRecordMax);
    const dbn::Step step = dbn::next_record(seen, record);
    if (step == dbn::Step::record) {
        consume_next_ = record.bytes().size();
        ++records_;
        return true;
    }
    ended_ = true;
    std::string_view why = source_.damage();
    if (why.empty() && step == dbn::Step::malformed) why = "a record's length is damaged";
    if (why.empty() && !seen.empty()) why = "ends inside a record";
    if (!why.empty()) damage_ = fmt::format("{} (at byte {} of the content)", why, source_.position());
    return false;
}

DbnFileWriter::DbnFileWriter(std::filesystem::path path) : path_(std::move(path)) {
    part_ = path_;
    // The extension stays last, since it says how the records are packed.
    part_.replace_filename("." + path_.filename().string() + ".part" + path_.extension().string());
    records_ = std::make_unique<ByteSink>(part_, path_);
}

DbnFileWriter::~DbnFileWriter() {
    records_.reset();
    std::error_code ignored;
    std::filesystem::remove(part_, ignored);
}

namespace {

void append_file(const std::filesystem::path& from, const std::filesystem::path& to) {
    const auto fail = [&] { throw_errno(ExitCode::file, to.string(), errno, "make room, or write elsewhere"); };
    const int in = open(from.c_str(), O_RDONLY | O_CLOEXEC);
    if (in < 0) fail();
    const int out = open(to.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    std::vector<std::uint8_t> buffer(std::size_t{1} << 20);
    bool good = out >= 0;
    for (ssize_t n = 1; good && n > 0;) {
        n = read(in, buffer.data(), buffer.size());
        good = n >= 0;
        for (ssize_t done = 0; good && done < n;) {
            const ssize_t wrote = ::write(out, buffer.data() + done, static_cast<std::size_t>(n - done));
            good = wrote >= 0;
            if (good) done += wrote;
        }
    }
    const int problem = errno;
    ::close(in);
    if (out >= 0) good = ::close(out) == 0 && good;
    errno = problem;
    if (!good) fail();
}

}  // namespace

void DbnFileWriter::close(const dbn::Metadata& metadata) {
    records_->close();
    ByteSink head(path_);
    static_cast<void>(head.write(dbn::encode(metadata)));  // a failure shows at close()
    head.close();
    append_file(part_, path_);
}

}  // namespace millrace::replay
