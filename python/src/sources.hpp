// The sources a feed can be made from. Each call throws Error when its arguments cannot be right;
// what only shows while running ends the producer with a problem.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "millrace/core/types.hpp"
#include "producer.hpp"

namespace millrace::python {

// What all sources have in common.
struct SourceOptions {
    std::string venue;  // empty: found out where the source tells
    std::vector<std::string> symbols;
    Timestamp start = std::numeric_limits<Timestamp>::min();  // records before are left out
    Timestamp end =
        std::numeric_limits<Timestamp>::max();  // the first packet from then on ends it
    std::uint32_t date = 0;                     // YYYYMMDD, for sources without receive times
    std::uint32_t instruments = 0;              // 0: the default of the session
    std::uint32_t orders = 0;
    std::uint32_t levels = 0;
};

struct CaptureOptions : SourceOptions {
    std::vector<std::string> files;
    std::vector<std::string> groups;
    double pace = 0;
    bool sequential = false;
};
[[nodiscard]] std::unique_ptr<Producer> capture_source(const CaptureOptions& options);

struct DbnOptions : SourceOptions {
    std::string file;
};
[[nodiscard]] std::unique_ptr<Producer> dbn_source(const DbnOptions& options);

// Rows of a CSV file, as `millrace convert` writes them.
struct CsvOptions : SourceOptions {
    std::string file;
    bool skip_bad = false;  // rows that are no records are counted and passed over
};
[[nodiscard]] std::unique_ptr<Producer> csv_source(const CsvOptions& options);

// Batches of DBN from a broker.
struct StreamOptions : SourceOptions {
    std::string url;
};
[[nodiscard]] std::unique_ptr<Producer> stream_source(const StreamOptions& options);

struct LiveOptions : SourceOptions {
    std::string config;  // TOML
    std::string title;   // what errors call it
    std::string feed;    // its name, where the config has several
    bool until_end = true;
};
[[nodiscard]] std::unique_ptr<Producer> live_source(const LiveOptions& options);

struct SimulatedOptions : SourceOptions {
    std::uint64_t messages = 200'000;
    std::uint32_t symbols_count = 20;
    std::uint32_t peak_orders = 5'000;
    double rate = 20'000;
    double pace = 0;
    std::uint64_t seed = 1;
    double loss = 0;
    bool lose_on_all = false;
    std::uint32_t lines = 2;
};
[[nodiscard]] std::unique_ptr<Producer> simulated_source(const SimulatedOptions& options);

}  // namespace millrace::python
