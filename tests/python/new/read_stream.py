"""A stream: read_stream.py QUEUE publish TEXT... | QUEUE read OFFSET."""

import sys

import broker
from broker import connect, say

queue, task, *words = sys.argv[1:]

connection = connect()
channel = connection.channel()
channel.confirm_delivery()
keeps = {"x-queue-type": "stream", "x-max-age": "7D", "x-max-length-bytes": 20_000_000_000}
channel.queue_declare(queue, durable=True, arguments=keeps)


def publish(text):
    value = {"x-stream-filter-value": text[0]}
    properties = broker.pika.BasicProperties(delivery_mode=2, headers=value)
    channel.basic_publish("", queue, text, properties)
    say("published " + text)


def read(ch, method, properties, body):
    offset = properties.headers["x-stream-offset"]
    say(f"{'again' if method.redelivered else 'read'} {offset} {body.decode()}")
    ch.basic_ack(method.delivery_tag)


if task == "publish":
    for word in words:
        publish(word)
else:
    offset, *filters = words
    arguments = {"x-stream-offset": int(offset) if offset.lstrip("-").isdigit() else offset}
    if filters:
        arguments["x-stream-filter"] = filters
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume(queue, read, arguments=arguments)
    say("waiting")
    channel.start_consuming()
