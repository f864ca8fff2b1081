#include "exit_codes.hpp"

#include <fstream>
#include <sstream>

#include "tests/support/catch.hpp"

using namespace millrace;

TEST_CASE("exit codes: docs/exit-codes.md says what the command's help says") {
    std::ostringstream docs;
    docs << std::ifstream(std::string(MILLRACE_SOURCE_DIR) + "/docs/exit-codes.md").rdbuf();
    for (const tools::ExitCodeInfo& info : tools::kExitCodes) {
        const std::string row = "| " + std::to_string(static_cast<int>(info.code)) + " | " +
                                std::string(info.meaning) + " |";
        INFO(row);
        CHECK(docs.str().find(row) != std::string::npos);
    }
}
