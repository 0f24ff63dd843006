"""Routing and topics, the receiver: receive_keyed.py EXCHANGE TYPE KEY..."""

import sys

from broker import connect, say

exchange, kind, keys = sys.argv[1], sys.argv[2], sys.argv[3:]

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange=exchange, exchange_type=kind)
result = channel.queue_declare("", exclusive=True)
queue = result.method.queue
for key in keys:
    channel.queue_bind(exchange=exchange, queue=queue, routing_key=key)


def callback(ch, method, properties, body):
    say("received %s:%s" % (method.routing_key, body.decode()))


channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
say("waiting")
channel.start_consuming()
