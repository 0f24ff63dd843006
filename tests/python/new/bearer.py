"""A token as the password, and another one while connected.

The first argument is a queue, the others are tokens.
"""

import os
import sys

import broker
import pika

queue, first, second, lesser = sys.argv[1:]

parameters = pika.ConnectionParameters(
    host=os.environ["BROKER_HOST"],
    port=int(os.environ["BROKER_PORT"]),
    credentials=pika.PlainCredentials("", first),
)
connection = pika.BlockingConnection(parameters)
channel = connection.channel()
channel.queue_declare(queue=queue, durable=True)
channel.basic_publish(exchange="", routing_key=queue, body=b"with a token")
connection.update_secret(second, "the first one ends")
method, _, body = channel.basic_get(queue=queue, auto_ack=True)
broker.say("got " + body.decode())
connection.update_secret(lesser, "less will do")
try:
    channel.basic_get(queue=queue, auto_ack=True)
    broker.say("got more")
except pika.exceptions.ChannelClosedByBroker as error:
    broker.say("refused {}".format(error.reply_code))
connection.close()
