// Records as Arrow columns.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "arrow_c.hpp"
#include "millrace/core/wire.hpp"
#include "slab.hpp"

namespace millrace::python {

struct ArrowOptions {
    bool float_prices = true;  // false: whole numbers of 1e-9
    bool symbols = true;       // a column `symbol` after the instrument's number
};

// Gives the symbol of an instrument; empty where it has none.
using SymbolOf = std::function<std::string_view(std::uint32_t)>;

// Columns of one record type: a struct of all fields but the reserved ones. Timestamps are
// nanoseconds in UTC, and what DBN marks as undefined is null. Both structures belong to the
// caller, who releases them.
void export_schema(const wire::MessageLayout& layout, const ArrowOptions& options,
                   ArrowSchema& out);
void export_array(const wire::MessageLayout& layout, const ArrowOptions& options,
                  const SlabView& rows, const SymbolOf& symbol_of, ArrowArray& out);

// A stream of the one array.
void export_stream(ArrowSchema&& schema, ArrowArray&& array, ArrowArrayStream& out);

}  // namespace millrace::python
