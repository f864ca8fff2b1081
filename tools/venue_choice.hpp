// The venue a subcommand works with: the one named, or the one its files tell of.
#pragma once

#include <string>
#include <vector>

namespace millrace::tools {

// "nasdaq-itch50, nasdaq-bx-itch50, ..."
[[nodiscard]] std::string venue_ids();

// `named` if it is a venue's id; when it is empty, what the first telling file is of, which is
// said on stderr. Throws Error(usage).
[[nodiscard]] std::string choose_venue(const std::string& named,
                                       const std::vector<std::string>& files);

}  // namespace millrace::tools
