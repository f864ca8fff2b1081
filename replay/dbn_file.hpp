// DBN files: reading them record by record, and writing them, plain or zstd by their name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "millrace/feed/streams/dbn/codec.hpp"
#include "millrace/feed/streams/dbn/metadata.hpp"
#include "millrace/replay/byte_source.hpp"
#include "millrace/replay/capture_writer.hpp"

namespace millrace::replay {

// After construction nothing throws: a damaged file ends early, and damage() says where and why.
class DbnFileReader {
  public:
    // What a file without metadata (a "fragment") cannot tell.
    struct Fragment {
        std::uint8_t version = dbn::kVersion;
        bool ts_out = false;
    };

    // Throws Error(file) when it cannot be read, Error(format) when it is no DBN.
    explicit DbnFileReader(const std::filesystem::path& path);
    DbnFileReader(const std::filesystem::path& path, Fragment fragment);
    DbnFileReader(ByteSource&& source, std::string title);
    // The same from bytes that outlive the reader.
    DbnFileReader(std::span<const std::uint8_t> memory, std::string title);

    [[nodiscard]] const dbn::Metadata& metadata() const { return metadata_; }
    [[nodiscard]] const std::string& title() const { return title_; }

    // The next record as it lies in the file; false at the end. Valid until the next call.
    [[nodiscard]] bool next(dbn::RecordView& record);
    // The same, brought to version 3.
    [[nodiscard]] bool next_upgraded(dbn::RecordView& record) {
        if (!next(record)) return false;
        record = dbn::upgrade(record, metadata_.version, metadata_.ts_out, upgraded_);
        return true;
    }

    [[nodiscard]] std::uint64_t records() const { return records_; }
    [[nodiscard]] const std::string& damage() const { return damage_; }
    [[nodiscard]] std::uint64_t bytes_read() const { return source_.file_position(); }
    [[nodiscard]] std::uint64_t bytes_total() const { return source_.file_size(); }

  private:
    void read_metadata();

    ByteSource source_;
    std::string title_;
    dbn::Metadata metadata_;
    std::size_t consume_next_ = 0;  // of what the last call handed out
    bool ended_ = false;
    std::uint64_t records_ = 0;
    std::string damage_;
    dbn::UpgradeBuffer upgraded_{};
};

// Writes a file whose metadata (symbols, times) is known only at the end: the records first go to
// a file beside it, "NAME.part", which goes when the file is whole. A name that ends in .zst gives
// two zstd frames, the metadata and the records, which DBN's readers take for one stream.
class DbnFileWriter {
  public:
    // Throws Error(file).
    explicit DbnFileWriter(std::filesystem::path path);
    ~DbnFileWriter();
    DbnFileWriter(const DbnFileWriter&) = delete;
    DbnFileWriter& operator=(const DbnFileWriter&) = delete;

    // False when the file can take no more; close() then says why.
    [[nodiscard]] bool write(std::span<const std::uint8_t> records) { return records_->write(records); }
    // Puts the metadata before the records. Throws Error(file) when not everything could be written.
    void close(const dbn::Metadata& metadata);

  private:
    std::filesystem::path path_;
    std::filesystem::path part_;
    std::unique_ptr<ByteSink> records_;
};

}  // namespace millrace::replay
