// A file name of this test's own in the temporary folder; the file goes with the object.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

namespace millrace::test {

class TempFile {
  public:
    explicit TempFile(const std::string& name)
        : path_(std::filesystem::temp_directory_path() /
                ("millrace-" + std::to_string(getpid()) + "-" + name)) {}
    ~TempFile() {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace millrace::test
