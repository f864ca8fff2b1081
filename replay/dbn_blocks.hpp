// A DBN file as a venue's messages: records of version 3 behind 16-bit lengths, with the metadata's
// symbols among them as symbol-mapping records.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "millrace/replay/dbn_file.hpp"

namespace millrace::replay {

class DbnBlocks {
  public:
    explicit DbnBlocks(DbnFileReader reader);

    // The next messages and how many they are; 0 at the end. Valid until the next call.
    [[nodiscard]] std::uint32_t next(std::span<const std::uint8_t>& blocks);

    [[nodiscard]] const dbn::Metadata& metadata() const { return reader_.metadata(); }
    [[nodiscard]] const std::string& damage() const { return reader_.damage(); }
    [[nodiscard]] std::uint64_t bytes_read() const { return reader_.bytes_read(); }
    [[nodiscard]] std::uint64_t bytes_total() const { return reader_.bytes_total(); }

  private:
    struct Name {
        std::uint32_t begin = 0;  // YYYYMMDD
        std::uint32_t end = 0;
        std::uint32_t id = 0;
        std::string symbol;
    };
    void put(std::span<const std::uint8_t> message);
    void put_names(std::uint64_t at);

    DbnFileReader reader_;
    std::vector<Name> names_;
    std::uint64_t names_until_ = 0;  // ns UTC: until then the names put last hold
    std::vector<std::uint8_t> blocks_;
    std::uint32_t count_ = 0;
};

}  // namespace millrace::replay
