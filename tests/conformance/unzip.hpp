// Reads the files of a zip archive (stored or deflated) into memory.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "tests/support/catch.hpp"

namespace millrace::test {

// By name. Fails the test on an archive it cannot read.
inline std::map<std::string, std::string> unzip(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string zip{std::istreambuf_iterator<char>(file), {}};
    const auto number = [&](std::size_t at, int bytes) {
        std::size_t value = 0;
        for (int i = bytes; i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(zip.at(at + static_cast<std::size_t>(i)));
        return value;
    };
    const std::size_t end = zip.rfind("PK\5\6");
    REQUIRE(end != std::string::npos);
    std::map<std::string, std::string> files;
    std::size_t entry = number(end + 16, 4);
    for (std::size_t left = number(end + 10, 2); left > 0; --left) {
        REQUIRE(zip.substr(entry, 4) == "PK\1\2");
        const std::size_t packed = number(entry + 20, 4);
        const std::size_t name_bytes = number(entry + 28, 2);
        const std::size_t local = number(entry + 42, 4);
        const std::size_t data = local + 30 + number(local + 26, 2) + number(local + 28, 2);
        std::string out(number(entry + 24, 4), '\0');
        if (number(entry + 10, 2) == 0) {
            out = zip.substr(data, packed);
        } else {
            z_stream stream{};
            REQUIRE(inflateInit2(&stream, -MAX_WBITS) == Z_OK);
            std::string in = zip.substr(data, packed);
            stream.next_in = reinterpret_cast<Bytef*>(in.data());
            stream.avail_in = static_cast<uInt>(in.size());
            stream.next_out = reinterpret_cast<Bytef*>(out.data());
            stream.avail_out = static_cast<uInt>(out.size());
            REQUIRE(inflate(&stream, Z_FINISH) == Z_STREAM_END);
            inflateEnd(&stream);
        }
        files[zip.substr(entry + 46, name_bytes)] = std::move(out);
        entry += 46 + name_bytes + number(entry + 30, 2) + number(entry + 32, 2);
    }
    return files;
}

}  // namespace millrace::test
