"""Publish/subscribe, the receiver: receive_logs.py EXCHANGE, on a queue named by the broker."""

import sys

from broker import connect, say

exchange = sys.argv[1]

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange=exchange, exchange_type="fanout")
result = channel.queue_declare(queue="", exclusive=True)
queue = result.method.queue
channel.queue_bind(exchange=exchange, queue=queue)
say("queue " + queue)


def callback(ch, method, properties, body):
    say("received " + body.decode())


channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
say("waiting")
channel.start_consuming()
