// Any bytes as a DBN file: read, brought to version 3, written out as text, and encoded again.
#include <cstdint>
#include <cstdlib>

#include "millrace/core/error.hpp"
#include "millrace/feed/streams/dbn/text.hpp"
#include "millrace/replay/dbn_file.hpp"

using namespace millrace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        replay::DbnFileReader reader({data, size}, "input");
        const std::vector<std::uint8_t> again = dbn::encode(reader.metadata());
        dbn::Metadata metadata;
        if (dbn::parse_metadata(again, metadata).status != dbn::Parse::ok) std::abort();
        if (metadata.dataset != reader.metadata().dataset) std::abort();
        if (metadata.mappings.size() != reader.metadata().mappings.size()) std::abort();
        dbn::RecordView record;
        fmt::memory_buffer text;
        while (reader.next_upgraded(record)) {
            dbn::append_json(text, record, "S");
            const wire::MessageLayout* layout = dbn::layout_of(record.rtype());
            if (layout != nullptr && record.bytes().size() >= layout->size) {
                dbn::append_csv(text, *layout, record, "S");
            }
            text.clear();
        }
    } catch (const Error&) {
        // A file that is no DBN is refused, which is what it is for.
    }
    return 0;
}
