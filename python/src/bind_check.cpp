// The Python face of the checker of streams.
#include <nanobind/stl/string_view.h>

#include <array>

#include "batch.hpp"
#include "millrace/feed/streams/checker.hpp"
#include "stream_intake.hpp"

namespace millrace::python {

namespace {

using streams::CheckedTotals;
using streams::StreamChecker;

std::span<const std::uint8_t> bytes_of(const nb::bytes& bytes) {
    return {reinterpret_cast<const std::uint8_t*>(bytes.c_str()), bytes.size()};
}

std::string_view add(StreamChecker& self, std::uint64_t stream, std::uint32_t epoch,
                     std::uint64_t first_record, std::uint32_t records, std::uint16_t left_out,
                     std::uint8_t why, std::uint32_t crc32c, const nb::object& payload) {
    constexpr std::array<std::string_view, 8> kNames{
        "next", "gap", "late", "duplicate", "overlap", "superseded", "end", "damaged"};
    streams::Envelope envelope{};
    envelope.stream.set(stream);
    envelope.epoch.set(epoch);
    envelope.first_record.set(first_record);
    envelope.records.set(records);
    envelope.left_out.set(left_out);
    envelope.why.set(why);
    envelope.crc32c.set(crc32c);
    const auto verdict = [&] {
        if (payload.is_none()) return self.on_envelope(envelope);
        const auto bytes = bytes_of(nb::cast<nb::bytes>(payload));
        // Text does not tell how many records it holds; its checksum says that it is whole.
        const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        const bool is_dbn = text.starts_with("DBN");
        return self.on_batch(envelope, bytes, is_dbn ? tools::records_in(bytes) : records);
    }();
    return kNames[static_cast<std::size_t>(verdict)];
}

nb::dict totals(const StreamChecker& self) {
    const CheckedTotals& now = self.totals();
    nb::dict out;
    out["batches"] = now.batches;
    out["records"] = now.records;
    out["missing"] = now.missing;
    out["conflated"] = now.conflated;
    out["left_out"] = now.left_out;
    out["late"] = now.late;
    out["duplicates"] = now.duplicates;
    out["superseded"] = now.superseded;
    out["restarts"] = now.restarts;
    out["damaged"] = now.damaged;
    return out;
}

}  // namespace

void bind_check(nb::module_& module) {
    nb::class_<StreamChecker>(module, "Checker")
        .def(nb::init<bool>())
        .def("add", add, nb::arg("stream"), nb::arg("epoch"), nb::arg("first_record"),
             nb::arg("records"), nb::arg("left_out"), nb::arg("why"), nb::arg("crc32c"),
             nb::arg("payload").none())
        .def("last_record", &StreamChecker::last_record)
        .def("streams", &StreamChecker::streams)
        .def("open", &StreamChecker::open)
        .def("completeness",
             [](const StreamChecker& self) { return name(self.totals().completeness()); })
        .def("totals", totals);
    module.def("crc32c", [](const nb::bytes& bytes) { return streams::crc32c(bytes_of(bytes)); });
}

}  // namespace millrace::python
