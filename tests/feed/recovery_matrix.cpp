// Each test that the matrix of docs/recovery.md names is there.
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "tests/support/catch.hpp"

namespace {

std::string text_of(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

// All tests' sources, one after the other.
std::string all_tests() {
    std::string text;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(MILLRACE_SOURCE_DIR "/tests")) {
        if (entry.path().extension() == ".cpp") text += text_of(entry.path());
    }
    return text;
}

// The last cells of the table's rows, cut at semicolons; "..." stands for how a name goes on.
std::set<std::string> named_tests(const std::string& document) {
    std::set<std::string> names;
    std::istringstream lines(document.substr(document.find("\n## Matrix\n")));
    bool in_table = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("|---")) in_table = true;
        if (!in_table || line.starts_with("|---")) continue;
        if (!line.starts_with("|")) break;
        const std::size_t end = line.rfind(" |");
        const std::size_t begin = line.rfind("| ", end - 1) + 2;
        std::istringstream cell(line.substr(begin, end - begin));
        for (std::string name; std::getline(cell, name, ';');) {
            name.erase(0, name.find_first_not_of(' '));
            names.insert(name.ends_with(" ...") ? name.substr(0, name.size() - 4) : name + '"');
        }
    }
    return names;
}

}  // namespace

TEST_CASE("recovery.md: every test that the matrix names is there") {
    const std::string tests = all_tests();
    const std::set<std::string> names = named_tests(text_of(MILLRACE_SOURCE_DIR "/docs/recovery.md"));
    CHECK(names.size() > 40);
    for (const std::string& name : names) {
        INFO(name);
        CHECK(tests.find('"' + name) != std::string::npos);
    }
}
