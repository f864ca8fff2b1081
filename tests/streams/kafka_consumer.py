"""Consumers as their users write them: kafka_consumer.py PORT TOPIC kafka-python|confluent-kafka
prints the topic's messages; decode checks them with the official decoder; remove, repeat or alter
copy the topic to one of that name with its third message changed. The last four print how many
records the third message has."""
import sys
import time

import confluent_kafka
import databento_dbn
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer


def with_kafka_python(server, topic):
    consumer = KafkaConsumer(topic, bootstrap_servers=server, auto_offset_reset="earliest",
                             consumer_timeout_ms=3000)
    for _ in range(10):  # on a busy machine the first one takes longer
        read = [print(message.value.decode()) for message in consumer]
        if read:
            return


def with_confluent(server, topic):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": server, "group.id": f"of-{topic}",
                                         "auto.offset.reset": "earliest",
                                         "enable.auto.commit": False})
    consumer.subscribe([topic])
    messages, quiet = [], 0
    while quiet < (2 if messages else 30):
        message = consumer.poll(1.0)
        quiet = 0 if message else quiet + 1
        if message and not message.error():
            messages.append(message)
    consumer.close()
    return messages


def murmur2(data):
    """Java's hash of a key, as its producer partitions by it."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if len(data) != whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def check(messages):
    for message in messages:
        fields = {name: value.decode() for name, value in message.headers()}
        decoder = databento_dbn.DBNDecoder()
        decoder.write(message.value())
        metadata, *records = decoder.decode()
        assert metadata.symbols == [message.key().decode()], metadata
        assert len(records) == int(fields["records"]), len(records)
        if records:  # else an end mark
            assert records[0].sequence == int(fields["first_sequence"])
            assert records[-1].sequence == int(fields["last_sequence"])
        assert message.partition() == (murmur2(message.key()) & 0x7FFFFFFF) % 4


def copy_changed(server, messages, how):
    admin = AdminClient({"bootstrap.servers": server})
    for future in admin.create_topics([NewTopic(how, 4, 1)]).values():
        future.result()
    time.sleep(0.5)
    producer = confluent_kafka.Producer({"bootstrap.servers": server, "linger.ms": 5})
    for i, message in enumerate(messages):
        value = message.value()
        if i == 2 and how == "remove":
            continue
        if i == 2 and how == "alter":
            value = value[:-1] + bytes([value[-1] ^ 1])
        for _ in range(2 if i == 2 and how == "repeat" else 1):
            producer.produce(how, value, message.key(), message.partition(),
                             headers=message.headers())
    assert producer.flush(30) == 0


def main(port, topic, how):
    server = f"127.0.0.1:{port}"
    if how == "kafka-python":
        return with_kafka_python(server, topic)
    messages = with_confluent(server, topic)
    if how == "confluent-kafka":
        for message in messages:
            print(message.value().decode())
        return
    if how == "decode":
        check(messages)
    else:
        copy_changed(server, messages, how)
    print(dict(messages[2].headers())["records"].decode())


main(*sys.argv[1:])
