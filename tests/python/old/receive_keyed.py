"""Routing and topics, the receiver: receive_keyed.py EXCHANGE TYPE KEY..."""

import sys

from broker import connect, say
from kinds import kind

exchange, type_name, keys = sys.argv[1], sys.argv[2], sys.argv[3:]

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange=exchange, **kind(type_name))
result = channel.queue_declare(exclusive=True)
queue = result.method.queue
for key in keys:
    channel.queue_bind(exchange=exchange, queue=queue, routing_key=key)


def callback(ch, method, properties, body):
    say("received %s:%s" % (method.routing_key, body.decode()))


channel.basic_consume(callback, queue=queue, no_ack=True)
say("waiting")
channel.start_consuming()
