// The Python face of a CSV file: its rows as dicts, converted by the schema.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "batch.hpp"
#include "csv_file.hpp"
#include "millrace/core/clock.hpp"
#include "millrace/core/error.hpp"
#include "waiting.hpp"

namespace millrace::python {

namespace {

// A reader that stops when Python lets go of it, and the rows in hand.
class Csv {
  public:
    Csv(const std::string& path, char separator, std::uint64_t rows_ahead, std::uint64_t skip) {
        const GilReleased release;
        file_ = std::make_unique<CsvFile>(CsvConfig{path, separator, rows_ahead, skip});
    }
    ~Csv() {
        if (file_ == nullptr) return;
        if (file_->foreign()) {
            static_cast<void>(file_.release());  // its thread stayed in the parent
            return;
        }
        const GilReleased release;
        file_.reset();
    }
    Csv(const Csv&) = delete;
    Csv& operator=(const Csv&) = delete;

    [[nodiscard]] CsvFile& file() { return *file_; }

    void start(const nb::tuple& converters) {
        std::vector<CsvKind> kinds;
        for (const nb::handle converter : converters) {
            const bool whole = converter.ptr() == reinterpret_cast<PyObject*>(&PyLong_Type);
            const bool real = converter.ptr() == reinterpret_cast<PyObject*>(&PyFloat_Type);
            kinds.push_back(whole ? CsvKind::integer : real ? CsvKind::real : CsvKind::text);
        }
        names_ = nb::cast<nb::list>(nb::cast(file_->columns()));
        file_->start(std::move(kinds));
    }

    // (rows that fit, what is wrong with the one behind them or None); None when nothing is there.
    [[nodiscard]] nb::object take(const nb::tuple& converters) {
        // A converter may let another thread run, or be one that comes back here.
        if (std::exchange(busy_, true)) throw Error(ExitCode::usage, "these rows are being taken already");
        const std::unique_ptr<bool, void (*)(bool*)> done(&busy_, [](bool* busy) { *busy = false; });
        if (at_ == chunk_.rows.size()) {
            at_ = 0;
            chunk_ = {};
            if (!file_->take(chunk_)) return nb::none();
        }
        return take_run(converters);
    }

  private:
    [[nodiscard]] nb::object take_run(const nb::tuple& converters) {
        constexpr Nanoseconds kTurn = 400'000;  // the event loop may be waiting for this to return
        constexpr std::size_t kLookEvery = 32;
        const Timestamp until = MonotonicClock::now() + kTurn;
        nb::list rows;
        nb::object bad = nb::none();
        for (; at_ < chunk_.rows.size() && bad.is_none(); ++at_) {
            if (at_ % kLookEvery == 0 && nb::len(rows) > 0 && MonotonicClock::now() > until) break;
            const CsvRow& row = chunk_.rows[at_];
            bad = misfit(row);
            if (!bad.is_none()) continue;
            const nb::object object = convert(row, converters, bad);
            if (object.is_valid()) {
                rows.append(object);
            } else if (bad.is_none()) {
                // No matter of the row's; told when those before it are out.
                if (nb::len(rows) == 0) nb::raise_python_error();
                PyErr_Clear();
                break;
            }
        }
        return nb::make_tuple(rows, bad);
    }
    [[nodiscard]] nb::object misfit(const CsvRow& row) const {
        const std::size_t columns = file_->columns().size();
        if (!row.quotes_match) return bad_row(row, "quotes that do not match");
        if (row.cells == columns) return nb::none();
        return bad_row(row, std::to_string(row.cells) + " fields instead of " + std::to_string(columns));
    }

    // Null where a cell does not convert: `bad` then says why, or a Python error is set that is no
    // matter of the row.
    [[nodiscard]] nb::object convert(const CsvRow& row, const nb::tuple& converters,
                                     nb::object& bad) const {
        nb::object out = nb::steal(PyDict_New());
        for (std::size_t i = 0; i < row.cells; ++i) {
            const CsvCell& cell = chunk_.cells[row.first_cell + i];
            const nb::object value = nb::steal(value_of(cell, converters[i]));
            if (!value.is_valid()) {
                if (PyErr_ExceptionMatches(PyExc_ValueError) ||
                    PyErr_ExceptionMatches(PyExc_ArithmeticError)) {
                    bad = bad_row(row, "column " + file_->columns()[i] + ": \"" +
                                           std::string(chunk_.text_of(cell).substr(0, 40)) +
                                           "\" does not fit: " + error_text());
                }
                return {};
            }
            if (PyDict_SetItem(out.ptr(), nb::object(names_[i]).ptr(), value.ptr()) != 0)
                nb::raise_python_error();
        }
        return out;
    }

    [[nodiscard]] PyObject* value_of(const CsvCell& cell, nb::handle converter) const {
        if (const auto* whole = std::get_if<std::int64_t>(&cell.number))
            return PyLong_FromLongLong(*whole);
        if (const auto* real = std::get_if<double>(&cell.number)) return PyFloat_FromDouble(*real);
        const std::string_view text = chunk_.text_of(cell);
        const nb::object string =
            nb::steal(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
        if (!string.is_valid()) return nullptr;
        if (converter.is_none()) return nb::object(string).release().ptr();
        return PyObject_CallOneArg(converter.ptr(), string.ptr());
    }

    // (line, why, its cells as far as they could be told apart)
    [[nodiscard]] nb::object bad_row(const CsvRow& row, const std::string& why) const {
        nb::list cells;
        for (std::size_t i = 0; i < row.cells; ++i) {
            cells.append(readable(chunk_.text_of(chunk_.cells[row.first_cell + i])));
        }
        return nb::make_tuple(row.line, readable(why), cells);
    }
    [[nodiscard]] static nb::object readable(std::string_view text) {
        return nb::steal(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()),
                                              "replace"));
    }
    // Takes the present Python error, and says what it says.
    [[nodiscard]] static std::string error_text() {
        const nb::python_error error;
        return nb::cast<std::string>(nb::str(error.value()));
    }

    std::unique_ptr<CsvFile> file_;
    nb::list names_;
    CsvChunk chunk_;
    std::size_t at_ = 0;  // the next of its rows
    bool busy_ = false;
};

}  // namespace

void bind_csv(nb::module_& module) {
    nb::class_<Csv>(module, "CsvFile")
        .def(nb::init<const std::string&, char, std::uint64_t, std::uint64_t>())
        .def_prop_ro("columns", [](Csv& self) { return self.file().columns(); })
        .def_prop_ro("event", [](Csv& self) { return self.file().event(); })
        .def("start", &Csv::start)
        .def("take", &Csv::take)
        .def("ready", [](Csv& self) { return self.file().ready(); })
        .def("read_count", [](Csv& self) { return self.file().read_count(); })
        .def("ended", [](Csv& self) { return self.file().ended(); })
        .def("damage", [](Csv& self) { return self.file().damage(); })
        .def("foreign", [](Csv& self) { return self.file().foreign(); })
        .def("arm", [](Csv& self, std::uint64_t rows) { return self.file().arm(rows); })
        .def("disarm", [](Csv& self) { self.file().disarm(); })
        .def("wait", [](Csv& self, std::uint64_t rows,
                        double seconds) { return wait_for(self.file(), rows, seconds); })
        .def(
            "close", [](Csv& self) { self.file().close(); },
            nb::call_guard<GilReleased>());
}

}  // namespace millrace::python
