"""A consumer as redis-py's users write it: redis_consumer.py PORT KEY print|decode. With remove,
repeat or alter it changes the third entry of the stream, and prints how many records that has."""
import sys

import databento_dbn
import redis


def main(port, key, how):
    client = redis.Redis(port=int(port))
    entries, last = [], "0"
    while found := client.xread({key: last}, count=1000):
        entries += found[0][1]
        last = entries[-1][0]
    if how == "print":
        for _, fields in entries:
            print(fields[b"data"].decode())
        return
    number, fields = entries[2]
    if how == "decode":
        for _, each in entries:
            decoder = databento_dbn.DBNDecoder()
            decoder.write(each[b"data"])
            metadata, *records = decoder.decode()
            assert metadata.symbols == [each[b"symbol"].decode()], metadata
            assert len(records) == int(each[b"records"]), len(records)
            if records:  # else an end mark
                assert records[0].sequence == int(each[b"first_sequence"])
                assert records[-1].sequence == int(each[b"last_sequence"])
    if how == "remove":
        client.xdel(key, number)
    if how == "repeat":
        client.xadd(key, fields)
    if how == "alter":
        fields[b"data"] = fields[b"data"][:-1] + bytes([fields[b"data"][-1] ^ 1])
        client.delete(key)
        for name, each in entries:
            client.xadd(key, each, id=name)
    print(int(fields[b"records"]))


main(*sys.argv[1:])
