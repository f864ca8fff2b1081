// Records as Python objects: one type a DBN record, made from the record's declaration. Attributes
// have DBN's names and values; reading one costs no more than reading a slot.
#pragma once

#include <Python.h>

#include <cstdint>
#include <span>
#include <string>

#include "millrace/core/wire.hpp"

namespace millrace::python {

// Makes all types and adds them to the module. False with a Python exception set.
[[nodiscard]] bool add_message_types(PyObject* module);

// A new reference to an object with a copy of `record`; null with an exception set. `symbol` is
// borrowed, a str or None. The record's type must be known and the span long enough for it.
[[nodiscard]] PyObject* make_message(std::span<const std::uint8_t> record, PyObject* symbol);

// The declaration of a record type, the feed's own events included; null where there is none.
[[nodiscard]] const wire::MessageLayout* record_layout(std::uint8_t record_type);

}  // namespace millrace::python
