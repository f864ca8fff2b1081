// The Python face of what research needs beyond a feed: bars, and DBN files.
#include <nanobind/stl/string.h>

#include "batch.hpp"
#include "millrace/core/error.hpp"
#include "millrace/feed/streams/bars.hpp"
#include "millrace/feed/streams/dbn/codec.hpp"
#include "record_output.hpp"

namespace millrace::python {

namespace {

void add_trades(streams::BarBuilder& bars, const Batch& batch) {
    if (batch.record_type != static_cast<std::uint8_t>(dbn::Rtype::mbp_0)) {
        throw nb::value_error("bars are made of trades");
    }
    const std::uint8_t* at = batch.rows.data();
    for (std::uint32_t i = 0; i < batch.rows.rows(); ++i, at += sizeof(dbn::Trade)) {
        bars.add(*reinterpret_cast<const dbn::Trade*>(at), batch.rows.first_row() + i);
    }
}

nb::bytes bars_raw(const streams::BarBuilder& builder) {
    static_assert(sizeof(streams::Bar) == 64);
    const std::vector<streams::Bar> bars = builder.bars();
    return nb::bytes(reinterpret_cast<const char*>(bars.data()),
                     bars.size() * sizeof(streams::Bar));
}

// A file of records, as `millrace convert` writes it.
class RecordFile {
  public:
    RecordFile(const std::string& path, const std::string& schema, const std::string& dataset)
        : output_(path, schema_of(schema), dataset, dbn::TimeText::rfc3339) {}

    void write(const Batch& batch) {
        const std::uint8_t* at = batch.rows.data();
        for (std::uint32_t i = 0; i < batch.rows.rows(); ++i) {
            const dbn::RecordView record({at, at[0] * std::size_t{4}});
            output_.put(record, batch.symbols->text(record.header().instrument_id.value()));
            at += record.bytes().size();
        }
    }
    void close() { output_.close(); }

  private:
    static dbn::Schema schema_of(const std::string& name) {
        const dbn::SchemaInfo* info = dbn::schema_named(name);
        if (info == nullptr) throw Error(ExitCode::usage, "no schema is called " + name);
        return info->schema;
    }

    tools::RecordOutput output_;
};

}  // namespace

void bind_research(nb::module_& module) {
    nb::class_<streams::BarBuilder>(module, "Bars")
        .def(nb::init<Nanoseconds>())
        .def("add", add_trades)
        .def_prop_ro("passed_over", &streams::BarBuilder::passed_over)
        .def("raw", bars_raw);
    nb::class_<RecordFile>(module, "RecordFile")
        .def(nb::init<const std::string&, const std::string&, const std::string&>())
        .def("write", &RecordFile::write)
        .def("close", &RecordFile::close);
}

}  // namespace millrace::python
