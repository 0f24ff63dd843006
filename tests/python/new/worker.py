"""Work queues, the worker: worker.py QUEUE, one task at a time.

A task called `hang` is never finished: whoever wants to see a worker die in mid-work sends it.
"""

import sys
import threading

from broker import connect, say

queue = sys.argv[1]

connection = connect()
channel = connection.channel()
channel.queue_declare(queue=queue, durable=True)


def callback(ch, method, properties, body):
    task = body.decode()
    say(("again " if method.redelivered else "received ") + task)
    if task == "hang" and not method.redelivered:
        threading.Event().wait()
    ch.basic_ack(delivery_tag=method.delivery_tag)
    say("done " + task)


channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue=queue, on_message_callback=callback)
say("waiting")
channel.start_consuming()
