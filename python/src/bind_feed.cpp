// The Python face of a feed: its producer, and the channels that records come by.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "batch.hpp"
#include "disposal.hpp"
#include "gil.hpp"
#include "messages.hpp"
#include "millrace/feed/venues/venue_list.hpp"
#include "sources.hpp"
#include "waiting.hpp"

namespace millrace::python {

namespace {

using WithoutGil = nb::call_guard<GilReleased>;

// A producer that stops when Python lets go of it.
class Core {
  public:
    explicit Core(std::unique_ptr<Producer> producer)
        : producer_(std::move(producer)),
          symbols_(std::make_shared<Symbols>(producer_->share_symbols())) {}
    ~Core() {
        // The thread of a feed that was started before a fork is not in the child, where its
        // memory is left as it is.
        if (producer_->foreign()) {
            static_cast<void>(producer_.release());
            return;
        }
        const GilReleased release;
        producer_.reset();
    }
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    [[nodiscard]] Producer& producer() { return *producer_; }
    [[nodiscard]] const std::shared_ptr<Symbols>& symbols() const { return symbols_; }

  private:
    std::unique_ptr<Producer> producer_;
    std::shared_ptr<Symbols> symbols_;
};

// Keeps its feed alive through `keep_alive` of the binding.
struct Channel {
    std::shared_ptr<RecordChannel> channel;
    Producer* producer = nullptr;
    std::shared_ptr<Symbols> symbols;
    std::uint8_t record_type = 0;  // 0xFF: several
};

Overflow overflow_of(const std::string& name) {
    if (name == "block") return Overflow::block;
    if (name == "drop_oldest") return Overflow::drop_oldest;
    if (name == "conflate") return Overflow::conflate;
    throw nb::value_error("overflow is 'block', 'drop_oldest' or 'conflate'");
}

Channel open_channel(Core& core, const std::vector<std::string>& schemas,
                     const std::vector<std::uint8_t>& record_types, const std::string& overflow,
                     std::size_t slab_bytes, std::uint32_t slabs_max, std::uint64_t skip_rows,
                     bool lockstep, std::uint32_t instruments, double quiet_seconds) {
    ChannelConfig config;
    for (const std::uint8_t type : record_types) config.record_types.set(type);
    config.overflow = overflow_of(overflow);
    config.slab_bytes = slab_bytes;
    config.slabs_max = slabs_max;
    config.skip_rows = skip_rows;
    config.lockstep = lockstep;
    config.instruments = instruments;
    config.quiet = static_cast<Nanoseconds>(quiet_seconds * 1e9);
    if (record_types.size() == 1) config.record_bytes = record_layout(record_types.front())->size;
    for (const std::string& schema : schemas) core.producer().want(schema);
    Channel out;
    out.channel = core.producer().open(config);
    out.producer = &core.producer();
    out.symbols = core.symbols();
    out.record_type = record_types.size() == 1 ? record_types.front() : std::uint8_t{0xFF};
    return out;
}

std::optional<Batch> take(Channel& self, std::uint32_t rows) {
    Taken taken;
    {
        const GilReleased release;
        taken = self.channel->take(rows);
    }
    if (taken.view.rows() == 0) return std::nullopt;
    return Batch{std::move(taken.view), self.record_type, taken.lost_before, self.symbols,
                 taken.up_to};
}

bool wait(Channel& self, std::uint64_t rows, double seconds) {
    return wait_for(*self.channel, rows, seconds);
}

nb::dict counters(const Channel& self) {
    const ChannelCounters c = self.channel->counters();
    nb::dict out;
    out["produced"] = c.produced;
    out["delivered"] = c.delivered;
    out["dropped"] = c.dropped;
    out["conflated"] = c.conflated;
    out["discarded"] = c.discarded;
    out["skipped"] = c.skipped;
    out["waiting"] = self.channel->ready();
    out["buffer_bytes"] = c.slabs * self.channel->config().slab_bytes;
    out["grows"] = c.grows;
    out["shrinks"] = c.shrinks;
    return out;
}

// Prices of a venue in units of 1e-9, as records have them.
std::int64_t price9(Price price, PriceScale scale) {
    std::int64_t out = value(price);
    for (int i = static_cast<int>(scale); i < 9; ++i) out *= 10;
    return out;
}

nb::object book_object(const std::optional<BookImage>& image) {
    if (!image) return nb::none();
    nb::dict out;
    out["symbol"] = image->symbol.view();
    out["sequence"] = image->sequence;
    out["quality"] = name(image->quality);
    out["state"] = name(image->state);
    out["digest"] = image->digest.text();
    if (image->last_trade.quantity != 0) {
        out["last_trade"] = nb::make_tuple(price9(image->last_trade.price, image->scale),
                                           image->last_trade.quantity);
    } else {
        out["last_trade"] = nb::none();
    }
    const char* names[] = {"bids", "asks"};
    const char* order_names[] = {"bid_orders", "ask_orders"};
    for (const Side side : {Side::bid, Side::ask}) {
        const auto at = static_cast<std::size_t>(side);
        nb::list levels;
        for (const Level& level : image->levels[at]) {
            levels.append(
                nb::make_tuple(price9(level.price, image->scale), level.quantity, level.orders));
        }
        out[names[at]] = levels;
        nb::list queues;
        for (const auto& queue : image->orders[at]) {
            nb::list orders;
            for (const Order& order : queue)
                orders.append(nb::make_tuple(value(order.id), order.quantity));
            queues.append(orders);
        }
        out[order_names[at]] = queues;
    }
    return out;
}

nb::object book(Core& core, const std::string& symbol, bool orders) {
    std::optional<BookImage> image;
    {
        const GilReleased release;
        image = core.producer().book(Symbol(symbol), orders);
    }
    return book_object(image);
}

nb::list books(Core& core) {
    std::vector<BookImage> images;
    {
        const GilReleased release;
        images = core.producer().books();
    }
    nb::list out;
    for (BookImage& image : images) out.append(book_object(std::move(image)));
    return out;
}

nb::list snapshots(Core& core) {
    std::vector<std::vector<std::optional<BookImage>>> at_times;
    {
        const GilReleased release;
        at_times = core.producer().snapshots();
    }
    nb::list out;
    for (const auto& images : at_times) {
        nb::list books;
        for (const auto& image : images) books.append(book_object(image));
        out.append(books);
    }
    return out;
}

nb::object problem(Core& core) {
    if (!core.producer().finished() || !core.producer().problem()) return nb::none();
    return nb::make_tuple(static_cast<int>(core.producer().problem()->code()),
                          std::string(core.producer().problem()->what()));
}

nb::tuple progress(Core& core) {
    const Progress now = core.producer().progress();
    return nb::make_tuple(now.packets, now.last_received_at, now.bytes_read, now.bytes_total);
}

template <class Options>
void read_common(Options& options, const nb::dict& from) {
    const auto get = [&](const char* key, auto& to) {
        if (from.contains(key)) to = nb::cast<std::remove_reference_t<decltype(to)>>(from[key]);
    };
    get("venue", options.venue);
    get("symbols", options.symbols);
    get("start", options.start);
    get("end", options.end);
    get("date", options.date);
    get("instruments", options.instruments);
    get("orders", options.orders);
    get("levels", options.levels);
}

std::unique_ptr<Core> capture(const nb::dict& from) {
    CaptureOptions options;
    read_common(options, from);
    options.files = nb::cast<std::vector<std::string>>(from["files"]);
    options.groups = nb::cast<std::vector<std::string>>(from["groups"]);
    options.pace = nb::cast<double>(from["pace"]);
    options.sequential = nb::cast<bool>(from["sequential"]);
    const GilReleased release;
    return std::make_unique<Core>(capture_source(options));
}

std::unique_ptr<Core> dbn_file(const nb::dict& from) {
    DbnOptions options;
    read_common(options, from);
    options.file = nb::cast<std::string>(from["file"]);
    const GilReleased release;
    return std::make_unique<Core>(dbn_source(options));
}

std::unique_ptr<Core> csv_records(const nb::dict& from) {
    CsvOptions options;
    read_common(options, from);
    options.file = nb::cast<std::string>(from["file"]);
    options.skip_bad = nb::cast<bool>(from["skip_bad"]);
    const GilReleased release;
    return std::make_unique<Core>(csv_source(options));
}

std::unique_ptr<Core> stream(const nb::dict& from) {
    StreamOptions options;
    read_common(options, from);
    options.url = nb::cast<std::string>(from["url"]);
    const GilReleased release;
    return std::make_unique<Core>(stream_source(options));
}

std::unique_ptr<Core> live(const nb::dict& from) {
    LiveOptions options;
    read_common(options, from);
    options.config = nb::cast<std::string>(from["config"]);
    options.title = nb::cast<std::string>(from["title"]);
    options.feed = nb::cast<std::string>(from["feed"]);
    options.until_end = nb::cast<bool>(from["until_end"]);
    const GilReleased release;
    return std::make_unique<Core>(live_source(options));
}

std::unique_ptr<Core> simulated(const nb::dict& from) {
    SimulatedOptions options;
    read_common(options, from);
    options.messages = nb::cast<std::uint64_t>(from["messages"]);
    options.symbols_count = nb::cast<std::uint32_t>(from["symbols_count"]);
    options.peak_orders = nb::cast<std::uint32_t>(from["peak_orders"]);
    options.rate = nb::cast<double>(from["rate"]);
    options.pace = nb::cast<double>(from["pace"]);
    options.seed = nb::cast<std::uint64_t>(from["seed"]);
    options.loss = nb::cast<double>(from["loss"]);
    options.lose_on_all = nb::cast<bool>(from["lose_on_all"]);
    options.lines = nb::cast<std::uint32_t>(from["lines"]);
    const GilReleased release;
    return std::make_unique<Core>(simulated_source(options));
}

void bind_channel(nb::module_& module) {
    nb::class_<Channel>(module, "Channel")
        .def("take", take)
        .def("ready", [](const Channel& self) { return self.channel->ready(); })
        .def("ended", [](const Channel& self) { return self.channel->ended(); })
        .def("arm", [](Channel& self, std::uint64_t rows) { return self.channel->arm(rows); })
        .def("disarm", [](Channel& self) { self.channel->disarm(); })
        .def("ask", [](Channel& self,
                       std::uint32_t rows) { self.channel->ask(rows, self.producer->bell()); })
        .def("wait", wait)
        .def(
            "close", [](Channel& self) { self.channel->close(); }, WithoutGil())
        .def("counters", counters)
        .def_prop_ro("event", [](const Channel& self) { return self.channel->event(); });
}

}  // namespace

void bind_feed(nb::module_& module) {
    // (code, message): the Python side makes its own exception of it.
    static nb::object error_type =
        nb::steal(PyErr_NewException("millrace._core.CoreError", nullptr, nullptr));
    module.attr("CoreError") = error_type;
    nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
        try {
            std::rethrow_exception(thrown);
        } catch (const Error& error) {
            nb::object what =
                nb::make_tuple(static_cast<int>(error.code()), std::string(error.what()));
            PyErr_SetObject(error_type.ptr(), what.ptr());
        }
    });
    nb::class_<Core>(module, "Core")
        .def(
            "start", [](Core& self) { self.producer().start(); }, WithoutGil())
        .def(
            "stop", [](Core& self) { self.producer().stop(); }, WithoutGil())
        .def("open", open_channel, nb::keep_alive<0, 1>(), nb::arg("schemas"),
             nb::arg("record_types"), nb::arg("overflow"), nb::arg("slab_bytes"),
             nb::arg("slabs_max"), nb::arg("skip_rows"), nb::arg("lockstep"),
             nb::arg("instruments"), nb::arg("quiet_seconds"))
        .def("started", [](Core& self) { return self.producer().started(); })
        .def("finished", [](Core& self) { return self.producer().finished(); })
        .def("foreign", [](Core& self) { return self.producer().foreign(); })
        .def("problem", problem)
        .def("dataset", [](Core& self) { return self.producer().dataset(); })
        .def("progress", progress)
        .def(
            "digest", [](Core& self) { return self.producer().digest(); }, WithoutGil())
        .def(
            "stats_json", [](Core& self) { return self.producer().stats_json(); }, WithoutGil())
        .def(
            "remarks",
            [](Core& self, const std::string& where) { return self.producer().remarks(where); },
            WithoutGil())
        .def("book", book)
        .def("snap_at",
             [](Core& self, const std::vector<Timestamp>& times,
                const std::vector<std::string>& symbols) {
                 self.producer().snap_at(times, {symbols.begin(), symbols.end()});
             })
        .def("snapshots", snapshots)
        .def("books", books)
        .def("processed",
             [](Core& self, const std::vector<std::optional<std::uint64_t>>& rows, bool commit) {
                 const GilReleased release;
                 return self.producer().processed(rows, commit);
             })
        .def("symbols", [](Core& self) { return self.symbols()->dict(); })
        .def(
            "symbols_missing",
            [](Core& self, const std::vector<std::string>& asked) {
                return self.producer().symbols_missing(asked);
            },
            WithoutGil());
    nb::module_::import_("atexit").attr("register")(nb::cpp_function(finish_disposals, WithoutGil()));
    bind_channel(module);
    module.def("venues", [] {
        std::vector<std::string> ids;
        venues::for_each_venue([&]<class Venue>() { ids.emplace_back(Venue::kId); });
        return ids;
    });
    module.def("capture", capture);
    module.def("dbn_file", dbn_file);
    module.def("live", live);
    module.def("csv_records", csv_records);
    module.def("stream", stream);
    module.def("simulated", simulated);
}

}  // namespace millrace::python
