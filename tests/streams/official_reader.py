"""Reads FILE.dbn.zst with the official packages, and compares every record with those of FILE.csv,
which the command wrote with times in nanoseconds; then asks the same of the data frame."""
import csv
import sys
import warnings

import databento

warnings.filterwarnings("ignore")
UNDEF_PRICE = 2**63 - 1
UNDEF_TIME = 2**64 - 1


def text(record, column):
    """The value as our CSV writes it."""
    name, level = column, None
    if len(column) > 3 and column[-3] == "_" and column[-2:].isdigit():
        name, level = column[:-3], int(column[-2:])
    value = getattr(record if level is None else record.levels[level], name)
    if name in ("ts_event", "ts_recv", "ts_ref", "auction_time", "expiration", "activation"):
        return "" if value is None or value == UNDEF_TIME else str(int(value))
    if name in PRICES:
        if value == UNDEF_PRICE:
            return ""
        whole, part = divmod(abs(value), 10**9)
        out = f"{'-' if value < 0 else ''}{whole}.{part:09}".rstrip("0").rstrip(".")
        return out
    if isinstance(value, bool):
        return {True: "Y", False: "N"}[value]
    if value is None:
        return "~"
    value = getattr(value, "value", value)
    return str(value).rstrip("\0") if isinstance(value, str) else str(int(value))


PRICES = {
    "price", "bid_px", "ask_px", "ref_price", "cont_book_clr_price", "auct_interest_clr_price",
    "ssr_filling_price", "ind_match_price", "upper_collar", "lower_collar", "min_price_increment",
    "display_factor", "high_limit_price", "low_limit_price", "max_price_variation",
    "unit_of_measure_qty", "min_price_increment_amount", "price_ratio", "strike_price",
    "leg_price", "leg_delta",
}
# What the packages give as an object of their own that says less than the byte.
SKIP = {"symbol", "security_update_action", "user_defined_instrument", "leg_instrument_class"}


def main(dbn_file, csv_file):
    store = databento.DBNStore.from_file(dbn_file)
    assert store.metadata.version == 3 and store.metadata.dataset == "XNAS.ITCH", store.metadata
    symbols = {int(m["symbol"]): s for s, ms in store.metadata.mappings.items() for m in ms}
    rows = csv.DictReader(open(csv_file))
    count = 0
    for record in store:
        row = next(rows)
        for column, expected in row.items():
            if column in SKIP:
                continue
            found = text(record, column)
            assert found == expected, (count, column, found, expected)
        assert symbols[record.instrument_id] == row["symbol"], (count, row["symbol"])
        count += 1
    assert next(rows, None) is None, "the CSV has more records"
    assert count > 0, "no records"
    frame = store.to_df(price_type="fixed", pretty_ts=False)
    assert len(frame) == count
    assert list(frame["symbol"]) == [r["symbol"] for r in csv.DictReader(open(csv_file))]
    print(count)


main(*sys.argv[1:])
