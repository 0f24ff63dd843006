"""Publisher confirms: confirms.py QUEUE, whose only place is taken by the first message."""

import sys

import broker
from broker import connect, say

pika = broker.pika
queue = sys.argv[1]

connection = connect()
channel = connection.channel()
channel.confirm_delivery()
limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
channel.queue_declare(queue=queue, exclusive=True, arguments=limits)


def publish(routing_key, body):
    # In this pika `publish` tells why, by an exception; `basic_publish` says True or False.
    try:
        channel.publish(exchange="", routing_key=routing_key, body=body, mandatory=True)
        say("confirmed " + body)
    except pika.exceptions.UnroutableError:
        say("returned " + body)
    except pika.exceptions.NackError:
        say("refused " + body)


publish(queue, "first")
publish("no.such." + queue, "second")
publish(queue, "third")
say("basic_publish says %s" % channel.basic_publish("", queue, "fourth"))
connection.close()
