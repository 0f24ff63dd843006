"""Long jobs: long_job.py QUEUE SESSION, one job at a time, each on a lease that is extended once.

A job called `hang` is never finished. Whoever comes with the same session gets it again.
"""

import sys
import threading

import broker
from broker import connect, say

pika = broker.pika
queue, session = sys.argv[1:]

connection = connect(client_properties={"session_id": session})
channel = connection.channel()
channel.confirm_delivery()


def extend(tag):
    """Whether the lease of a delivery begins anew."""
    try:
        channel.basic_publish(exchange="", routing_key=f"amq.warren.lease.{tag}", body="")
        return True
    except pika.exceptions.NackError:
        return False


def callback(ch, method, properties, body):
    job, tag = body.decode(), method.delivery_tag
    say(("again " if method.redelivered else "received ") + job)
    say(("extended " if extend(tag) else "lost ") + job)
    if job == "hang":
        threading.Event().wait()
    ch.basic_ack(delivery_tag=tag)
    say(("extended " if extend(tag) else "over ") + job)


leases = {"x-queue-type": "quorum", "x-consumer-timeout-action": "return"}
channel.queue_declare(queue=queue, durable=True, arguments=leases)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue=queue, on_message_callback=callback)
say("waiting")
channel.start_consuming()
