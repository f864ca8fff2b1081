"""A consumer as pika's users write it: rabbitmq_consumer.py PORT QUEUE HOW, with print, decode,
remove, repeat or alter. print prints the queue's messages; decode checks them with the official
decoder. The last four put the queue's messages back, the third one changed as they say, and print
how many records it has."""
import sys

import databento_dbn
import pika


def check(properties, body):
    fields = properties.headers
    decoder = databento_dbn.DBNDecoder()
    decoder.write(body)
    metadata, *records = decoder.decode()
    assert metadata.symbols == [fields["symbol"]], metadata
    assert len(records) == int(fields["records"]), len(records)
    if records:  # else an end mark
        assert records[0].sequence == int(fields["first_sequence"])
        assert records[-1].sequence == int(fields["last_sequence"])
    assert properties.message_id == "-".join(fields[k] for k in ("stream", "epoch", "first_record"))


def main(port, queue, how):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(port)))
    channel = connection.channel()
    messages = []
    for method, properties, body in channel.consume(queue, inactivity_timeout=2):
        if method is None:
            break
        messages.append((properties, body))
        channel.basic_ack(method.delivery_tag)
    channel.cancel()
    if how == "print":
        for _, body in messages:
            print(body.decode())
        return
    for i, (properties, body) in enumerate(messages):
        if how == "decode":
            check(properties, body)
        if i == 2 and how == "remove":
            continue
        if i == 2 and how == "alter":
            body = body[:-1] + bytes([body[-1] ^ 1])
        for _ in range(2 if i == 2 and how == "repeat" else 1):
            channel.basic_publish("", queue, body, properties)
    connection.close()
    print(messages[2][0].headers["records"])


main(*sys.argv[1:])
