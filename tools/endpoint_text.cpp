#include "endpoint_text.hpp"

#include <arpa/inet.h>

#include <charconv>

#include "millrace/core/error.hpp"

namespace millrace::tools {

Endpoint parse_endpoint(const std::string& text) {
    Endpoint endpoint;
    const std::size_t colon = text.rfind(':');
    const auto bad = [&] {
        return Error(ExitCode::usage,
                     text + ": not an address and port; write 239.1.1.1:5000 or [ff02::1]:5000");
    };
    if (colon == std::string::npos) throw bad();
    std::string address = text.substr(0, colon);
    endpoint.is_v6 = address.size() > 2 && address.front() == '[' && address.back() == ']';
    if (endpoint.is_v6) address = address.substr(1, address.size() - 2);
    if (inet_pton(endpoint.is_v6 ? AF_INET6 : AF_INET, address.c_str(), endpoint.address.data()) !=
        1)
        throw bad();
    const char* end = text.data() + text.size();
    const auto [last, problem] = std::from_chars(text.data() + colon + 1, end, endpoint.port);
    if (problem != std::errc{} || last != end) throw bad();
    return endpoint;
}

}  // namespace millrace::tools
