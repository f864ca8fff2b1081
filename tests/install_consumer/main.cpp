// Two orders of one stock in a MoldUDP64 packet, written byte by byte.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "strategy.hpp"

namespace {

void put(std::vector<std::uint8_t>& out, std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i)
        out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
void put(std::vector<std::uint8_t>& out, const std::string& text) {
    out.insert(out.end(), text.begin(), text.end());
}

void put_add(std::vector<std::uint8_t>& out, std::uint64_t reference, char side,
             std::uint32_t price) {
    put(out, 36, 2);  // length
    put(out, "A");
    put(out, 1, 2);  // locate
    put(out, 0, 2);  // tracking number
    put(out, 34'200'000'000'000, 6);
    put(out, reference, 8);
    out.push_back(static_cast<std::uint8_t>(side));
    put(out, 100, 4);
    put(out, "AAPL    ");
    put(out, price, 4);
}

void put_directory(std::vector<std::uint8_t>& out) {
    put(out, 39, 2);
    put(out, "R");
    put(out, 1, 2);
    put(out, 0, 2);
    put(out, 34'200'000'000'000, 6);
    put(out, "AAPL    Q ");
    put(out, 100, 4);
    put(out, "NCZ PN 1N");
    put(out, 0, 4);
    put(out, "N");
}

}  // namespace

int main() {
    std::vector<std::uint8_t> packet;
    put(packet, "STRANGER01");
    put(packet, 1, 8);
    put(packet, 3, 2);
    put_directory(packet);
    put_add(packet, 7, 'B', 1'000'000);
    put_add(packet, 8, 'S', 1'000'100);
    const std::int64_t product = best_prices_of(packet);
    std::printf("%lld\n", static_cast<long long>(product));
    return product == 1'000'000LL * 1'000'100LL ? EXIT_SUCCESS : EXIT_FAILURE;
}
