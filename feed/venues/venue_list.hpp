// Every venue, once. The command, the conformance suite, the fuzzers and the docs iterate this list.
#pragma once

#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "millrace/feed/venues/dbn_mbo/venue.hpp"
#include "millrace/feed/venues/iex/venue.hpp"
#include "millrace/feed/venues/nasdaq_itch50/venue.hpp"

namespace millrace::venues {

using VenueList =
    std::tuple<NasdaqItch50, NasdaqBxItch50, NasdaqPsxItch50, IexTops, IexDeep, IexDeepPlus, DbnMbo>;

// Calls `use.template operator()<Venue>()` for the venue of that id; false when there is none.
template <class Use>
bool with_venue(std::string_view id, Use&& use) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
        return ((std::tuple_element_t<I, VenueList>::kId == id
                     ? (use.template operator()<std::tuple_element_t<I, VenueList>>(), true)
                     : false) ||
                ...);
    }(std::make_index_sequence<std::tuple_size_v<VenueList>>{});
}

// Calls it for every venue, in order.
template <class Use>
void for_each_venue(Use&& use) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (use.template operator()<std::tuple_element_t<I, VenueList>>(), ...);
    }(std::make_index_sequence<std::tuple_size_v<VenueList>>{});
}

}  // namespace millrace::venues
