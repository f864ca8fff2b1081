"""A reader as asyncio's users write it, of the gateway: asyncio_reader.py PORT DATASET prints the sequence of
each record."""
import asyncio
import hashlib
import sys

import databento_dbn


async def connect(port):
    for _ in range(300):
        try:
            return await asyncio.open_connection("127.0.0.1", int(port))
        except ConnectionRefusedError:
            await asyncio.sleep(0.1)
    raise SystemExit("nobody listens")


async def main(port, dataset):
    reader, writer = await connect(port)
    while not (line := await reader.readline()).startswith(b"cram="):
        pass
    key = "db-any-key-of-32-characters-0000"
    proof = hashlib.sha256(line.strip().removeprefix(b"cram=") + f"|{key}".encode()).hexdigest()
    writer.write(f"auth={proof}-{key[-5:]}|dataset={dataset}|encoding=dbn|ts_out=0\n".encode())
    assert (await reader.readline()).startswith(b"success=1")
    writer.write(b"schema=mbo|stype_in=raw_symbol|symbols=ALL_SYMBOLS|is_last=1\nstart_session=0\n")
    decoder = databento_dbn.DBNDecoder()
    while data := await reader.read(1024):
        decoder.write(data)
        for record in decoder.decode():
            if isinstance(record, databento_dbn.MBOMsg):
                print(record.sequence)


asyncio.run(main(*sys.argv[1:]))
