"""Publish/subscribe, the receiver: receive_logs.py EXCHANGE, on a queue named by the broker."""

import sys

from broker import connect, say
from kinds import kind

exchange = sys.argv[1]

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange=exchange, **kind("fanout"))
result = channel.queue_declare(exclusive=True)
queue = result.method.queue
channel.queue_bind(exchange=exchange, queue=queue)
say("queue " + queue)


def callback(ch, method, properties, body):
    say("received " + body.decode())


channel.basic_consume(callback, queue=queue, no_ack=True)
say("waiting")
channel.start_consuming()
