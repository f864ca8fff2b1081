// The Python face of a batch: rows as NumPy, Arrow, or objects.
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <cstring>

#include "batch.hpp"
#include "messages.hpp"
#include "millrace/feed/streams/dbn/layouts.hpp"

namespace millrace::python {

namespace {

const wire::MessageLayout& layout_of(const Batch& batch) {
    const wire::MessageLayout* layout = record_layout(batch.record_type);
    if (layout == nullptr) throw nb::value_error("a batch of several record types has no columns");
    return *layout;
}

nb::list messages(const Batch& batch) {
    nb::list out = nb::steal<nb::list>(PyList_New(batch.rows.rows()));
    Py_ssize_t at = 0;
    for_each_record(batch, [&](std::span<const std::uint8_t> record, PyObject* symbol) {
        PyObject* message = make_message(record, symbol);
        if (message == nullptr) nb::raise_python_error();
        PyList_SET_ITEM(out.ptr(), at++, message);
    });
    return out;
}

// The records' bytes; the array holds the slab, so it may outlive batch, iterator and feed.
nb::ndarray<nb::numpy, const std::uint8_t, nb::ndim<1>> bytes_view(const Batch& batch) {
    auto* kept = new SlabView(batch.rows);
    const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<SlabView*>(p); });
    static const std::uint8_t kNothing = 0;
    const std::uint8_t* data = kept->size() == 0 ? &kNothing : kept->data();
    return {data, {kept->size()}, owner};
}

template <class T>
nb::object capsule_of(std::unique_ptr<T> held, const char* name) {
    PyObject* capsule = PyCapsule_New(held.get(), name, [](PyObject* self) {
        auto* own = static_cast<T*>(PyCapsule_GetPointer(self, PyCapsule_GetName(self)));
        if (own->release != nullptr) own->release(own);
        delete own;
    });
    if (capsule == nullptr) nb::raise_python_error();
    static_cast<void>(held.release());
    return nb::steal(capsule);
}

std::unique_ptr<ArrowSchema> schema_of(const Batch& batch, const ArrowOptions& options) {
    auto out = std::make_unique<ArrowSchema>();
    export_schema(layout_of(batch), options, *out);
    return out;
}

std::unique_ptr<ArrowArray> array_of(const Batch& batch, const ArrowOptions& options) {
    auto out = std::make_unique<ArrowArray>();
    export_array(
        layout_of(batch), options, batch.rows,
        [&](std::uint32_t instrument) { return batch.symbols->text(instrument); }, *out);
    return out;
}

nb::object arrow_schema(const Batch& batch, bool float_prices) {
    return capsule_of(schema_of(batch, {float_prices, true}), "arrow_schema");
}

nb::tuple arrow_array(const Batch& batch, bool float_prices) {
    const ArrowOptions options{float_prices, true};
    return nb::make_tuple(capsule_of(schema_of(batch, options), "arrow_schema"),
                          capsule_of(array_of(batch, options), "arrow_array"));
}

nb::object arrow_stream(const Batch& batch, bool float_prices) {
    const ArrowOptions options{float_prices, true};
    auto out = std::make_unique<ArrowArrayStream>();
    export_stream(std::move(*schema_of(batch, options)), std::move(*array_of(batch, options)),
                  *out);
    return capsule_of(std::move(out), "arrow_array_stream");
}

const char* kind_name(wire::FieldKind kind) {
    switch (kind) {
        case wire::FieldKind::price: return "price";
        case wire::FieldKind::timestamp: return "timestamp";
        case wire::FieldKind::text: return "text";
        default: return "integer";
    }
}

// Fields of a record type as (name, numpy format, offset), reserved ones left out; and its size.
nb::tuple dtype_fields(std::uint8_t record_type) {
    const wire::MessageLayout* layout = record_layout(record_type);
    if (layout == nullptr) throw nb::value_error("no record has this type");
    nb::list out;
    for (const wire::FieldLayout& field : layout->fields) {
        if (field.name.front() == '_') continue;
        std::string format = field.kind == wire::FieldKind::text ? "S"
                             : field.is_signed                   ? "<i"
                                                                 : "<u";
        format += std::to_string(field.size);
        out.append(
            nb::make_tuple(std::string(field.name), format, field.offset, kind_name(field.kind)));
    }
    return nb::make_tuple(out, layout->size);
}

nb::list schemas() {
    nb::list out;
    for (const dbn::SchemaInfo& info : dbn::schemas()) {
        out.append(nb::make_tuple(std::string(info.name), static_cast<int>(info.rtype)));
    }
    return out;
}

nb::object message_from_bytes(nb::bytes raw, nb::object symbol) {
    const std::span<const std::uint8_t> record(reinterpret_cast<const std::uint8_t*>(raw.c_str()),
                                               raw.size());
    if (record.size() < sizeof(dbn::Header)) throw nb::value_error("too short for a record");
    PyObject* message = make_message(record, symbol.ptr());
    if (message == nullptr) nb::raise_python_error();
    return nb::steal(message);
}

// Records one after the other, as a DBN fragment has them; those of other types are passed over.
Batch batch_from_bytes(nb::bytes raw, std::uint8_t record_type, nb::dict symbols) {
    const wire::MessageLayout* layout = record_layout(record_type);
    if (layout == nullptr) throw nb::value_error("no record has this type");
    const std::span<const std::uint8_t> all(reinterpret_cast<const std::uint8_t*>(raw.c_str()),
                                            raw.size());
    auto pool = std::make_shared<SlabPool>(std::max<std::size_t>(all.size(), 4096));
    Slab* slab = pool->take();
    if (slab == nullptr) throw std::bad_alloc();
    slab->references.store(1, std::memory_order_relaxed);
    Extent to;
    for (std::size_t at = 0; at + sizeof(dbn::Header) <= all.size();) {
        const std::size_t size = all[at] * std::size_t{4};
        if (size < sizeof(dbn::Header) || size > all.size() - at) break;
        if (all[at + 1] == record_type && size >= layout->size) {
            std::memcpy(slab->bytes + to.bytes, all.data() + at, layout->size);
            slab->bytes[to.bytes] = static_cast<std::uint8_t>(layout->size / 4);
            to.bytes += layout->size;
            ++to.rows;
        }
        at += size;
    }
    Batch batch{SlabView(*slab, pool, {}, to), record_type, 0, std::make_shared<Symbols>(nullptr)};
    let_go(slab);
    for (const auto& [instrument, name] : symbols) {
        batch.symbols->set(nb::cast<std::uint32_t>(instrument), nb::cast<nb::str>(name));
    }
    return batch;
}

}  // namespace

void bind_batch(nb::module_& module) {
    nb::class_<Batch>(module, "RawBatch")
        .def("__len__", [](const Batch& batch) { return batch.rows.rows(); })
        .def_prop_ro("first_row", [](const Batch& batch) { return batch.rows.first_row(); })
        .def_prop_ro("up_to", [](const Batch& batch) { return batch.up_to; })
        .def_prop_ro("lost_before", [](const Batch& batch) { return batch.lost_before; })
        .def_prop_ro("record_type", [](const Batch& batch) { return batch.record_type; })
        .def_prop_ro("nbytes", [](const Batch& batch) { return batch.rows.size(); })
        .def("bytes_view", bytes_view)
        .def("raw",
             [](const Batch& batch) { return nb::bytes(batch.rows.data(), batch.rows.size()); })
        .def("messages", messages)
        .def("symbols", [](const Batch& batch) { return batch.symbols->dict(); })
        .def("arrow_schema", arrow_schema)
        .def("arrow_array", arrow_array)
        .def("arrow_stream", arrow_stream);
    module.def("dtype_fields", dtype_fields);
    module.def("schemas", schemas);
    module.def("message_from_bytes", message_from_bytes, nb::arg("raw"), nb::arg("symbol").none());
    module.def("batch_from_bytes", batch_from_bytes);
    if (!add_message_types(module.ptr())) nb::raise_python_error();
}

}  // namespace millrace::python
