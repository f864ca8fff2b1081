"""Reads a gateway with the official client, and compares all that it gets, record for record and
as a data frame, with FILE.dbn, in which convert wrote the same capture.

gateway_reader.py PORT FILE.dbn SCHEMA SYMBOLS RECORDING"""
import sys
import warnings

import databento
import databento_dbn

warnings.filterwarnings("ignore")
STREAM_RECORDS = (databento_dbn.SymbolMappingMsg, databento_dbn.SystemMsg)


def main(port, file, schema, symbols, recording):
    symbols = symbols if symbols == "ALL_SYMBOLS" else symbols.split(",")
    client = databento.Live(key="db-0123456789abcdefghijklmnopqrs", gateway="127.0.0.1",
                            port=int(port))
    client.subscribe(dataset="XNAS.ITCH", schema=schema, stype_in="raw_symbol", symbols=symbols)
    got, names = [], {}

    def on_record(record):
        assert not isinstance(record, databento_dbn.ErrorMsg), record.err
        if isinstance(record, databento_dbn.SymbolMappingMsg):
            names[record.instrument_id] = record.stype_out_symbol
        elif not isinstance(record, STREAM_RECORDS):
            assert record.instrument_id in names, "a record before its symbol"
            got.append(bytes(record))

    client.add_callback(on_record)
    client.add_stream(recording)
    client.start()
    client.block_for_close(timeout=120)

    store = databento.DBNStore.from_file(file)
    of = {int(m["symbol"]): s for s, ms in store.metadata.mappings.items() for m in ms}
    wanted = [r for r in store if symbols == "ALL_SYMBOLS" or of[r.instrument_id] in symbols]
    assert len(got) == len(wanted) > 0, (len(got), len(wanted))
    for i, (found, expected) in enumerate(zip(got, wanted, strict=True)):
        assert found == bytes(expected), (i, found, expected)
    for number, name in names.items():
        assert of[number] == name, (number, name)
    frame = databento.DBNStore.from_file(recording).to_df(schema=schema, price_type="fixed")
    expected = store.to_df(price_type="fixed")
    if symbols != "ALL_SYMBOLS":
        expected = expected[expected["symbol"].isin(symbols)]
    assert len(frame) == len(expected) == len(got)
    assert frame.drop(columns="symbol").equals(expected.drop(columns="symbol"))
    assert list(frame["symbol"]) == list(expected["symbol"])
    print(len(got))


main(*sys.argv[1:])
