// A batch of records as Python holds it, and the names of its instruments.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "arrow.hpp"
#include "slab.hpp"
#include "symbol_table.hpp"

namespace millrace::python {

namespace nb = nanobind;

// The symbol table as Python objects, made when they are first asked for. Used with the GIL held.
class Symbols {
  public:
    explicit Symbols(std::shared_ptr<const SymbolTable> table) : table_(std::move(table)) {}

    // A borrowed str, or None.
    [[nodiscard]] PyObject* object(std::uint32_t instrument) {
        refresh();
        const auto found = names_.find(instrument);
        return found == names_.end() ? Py_None : found->second.ptr();
    }
    [[nodiscard]] std::string_view text(std::uint32_t instrument) {
        PyObject* name = object(instrument);
        Py_ssize_t size = 0;
        const char* utf8 = name == Py_None ? nullptr : PyUnicode_AsUTF8AndSize(name, &size);
        return utf8 == nullptr ? std::string_view{}
                               : std::string_view(utf8, static_cast<std::size_t>(size));
    }
    [[nodiscard]] nb::dict dict() {
        refresh();
        nb::dict out;
        for (const auto& [instrument, name] : names_) out[nb::int_(instrument)] = name;
        return out;
    }
    void set(std::uint32_t instrument, nb::str name) { names_[instrument] = std::move(name); }

  private:
    void refresh() {
        if (table_ == nullptr) return;
        for (const std::size_t size = table_->size(); seen_ < size; ++seen_) {
            const SymbolTable::Entry& entry = (*table_)[seen_];
            const std::string_view text = entry.symbol.view();
            PyObject* name =
                PyUnicode_DecodeLatin1(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
            if (name == nullptr) nb::raise_python_error();
            PyUnicode_InternInPlace(&name);
            names_[entry.instrument] = nb::steal<nb::str>(name);
        }
    }

    std::shared_ptr<const SymbolTable> table_;
    std::size_t seen_ = 0;
    std::unordered_map<std::uint32_t, nb::str> names_;
};

struct Batch {
    SlabView rows;
    std::uint8_t record_type = 0;  // of all rows, where they are of one type
    std::uint64_t lost_before = 0;
    std::shared_ptr<Symbols> symbols;
    std::uint64_t up_to = 0;  // as Taken has it
};

// Calls `see(record, symbol)` for each row, with a borrowed symbol.
template <class See>
void for_each_record(const Batch& batch, See&& see) {
    const std::uint8_t* at = batch.rows.data();
    std::uint32_t last = 0;
    PyObject* name = nullptr;
    for (std::uint32_t i = 0; i < batch.rows.rows(); ++i) {
        const std::size_t size = at[0] * std::size_t{4};
        std::uint32_t instrument = 0;
        std::memcpy(&instrument, at + 4, sizeof(instrument));
        if (name == nullptr || instrument != last) name = batch.symbols->object(instrument);
        last = instrument;
        see(std::span<const std::uint8_t>(at, size), name);
        at += size;
    }
}

void bind_batch(nb::module_& module);
void bind_check(nb::module_& module);
void bind_csv(nb::module_& module);
void bind_feed(nb::module_& module);
void bind_research(nb::module_& module);

}  // namespace millrace::python
