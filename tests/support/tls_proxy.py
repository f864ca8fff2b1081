"""Ends TLS in front of a server of loopback that has none: tls_proxy.py CERTIFICATE KEY PORT TO_PORT"""
import asyncio
import ssl
import sys


async def carry(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def main(certificate, key, port, to):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def meet(reader, writer):
        onward, back = await asyncio.open_connection("127.0.0.1", int(to))
        await asyncio.gather(carry(reader, back), carry(onward, writer))

    server = await asyncio.start_server(meet, "127.0.0.1", int(port), ssl=context)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
