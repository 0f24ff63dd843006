"""Hello world, the receiver: receive.py QUEUE."""

import sys

from broker import connect, say

queue = sys.argv[1]

connection = connect()
channel = connection.channel()
channel.queue_declare(queue=queue)


def callback(ch, method, properties, body):
    say("received " + body.decode())


channel.basic_consume(callback, queue=queue, no_ack=True)
say("waiting")
channel.start_consuming()
