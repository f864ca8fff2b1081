#include "schema_names.hpp"

#include <fmt/format.h>

#include "millrace/core/error.hpp"

namespace millrace::tools {

namespace {

std::string made_names() {
    std::string names;
    for (const dbn::SchemaInfo& info : dbn::schemas()) {
        if (!dbn::kMadeSchemas.has(info.schema)) continue;
        if (!names.empty()) names += ", ";
        names += info.name;
    }
    return names;
}

}  // namespace

dbn::SchemaSet schema_set(const std::vector<std::string>& names) {
    dbn::SchemaSet set;
    for (const std::string& name : names) {
        const dbn::SchemaInfo* info = dbn::schema_named(name);
        if (info == nullptr) {
            throw Error(ExitCode::usage, fmt::format("no schema is called {}; there are {}", name, made_names()));
        }
        set.add(info->schema);
    }
    return set;
}

void check_made(dbn::SchemaSet schemas) {
    for (const dbn::SchemaInfo& info : dbn::schemas()) {
        if (schemas.has(info.schema) && !dbn::kMadeSchemas.has(info.schema)) {
            throw Error(ExitCode::usage, fmt::format("{} is not made of captures; there are {}", info.name, made_names()));
        }
    }
}

}  // namespace millrace::tools
