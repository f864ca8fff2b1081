// Which files a command may write.
#pragma once

#include <string>
#include <vector>

namespace millrace::tools {

// Throws Error(usage) when a file would be written that the same command reads, or two outputs are one file, also
// by another name of it. Empty names are passed over.
void check_apart(std::vector<std::string> read, const std::vector<std::string>& written);

// Throws Error(file) when something stands in this file already: a recording cannot be made again.
void check_unused(const std::string& file);

}  // namespace millrace::tools
