"""Speaks TLS: tls.py CA [CERTIFICATE KEY] [external]. Says what came of it."""

import os
import ssl
import sys

import pika
from broker import say

arguments = sys.argv[1:]
external = arguments[-1] == "external"
if external:
    arguments.pop()

context = ssl.create_default_context(cafile=arguments[0])
if len(arguments) == 3:
    context.load_cert_chain(arguments[1], arguments[2])
parameters = pika.ConnectionParameters(
    host="localhost",
    port=int(os.environ["BROKER_PORT"]),
    ssl_options=pika.SSLOptions(context, "localhost"),
    credentials=pika.credentials.ExternalCredentials()
    if external
    else pika.PlainCredentials("guest", "guest"),
)
try:
    connection = pika.BlockingConnection(parameters)
except (pika.exceptions.AMQPError, ssl.SSLError, OSError) as error:
    say("refused %r" % error)
    sys.exit()
channel = connection.channel()
queue = channel.queue_declare(queue="", exclusive=True).method.queue
for body in (b"small", os.urandom(3_000_000)):
    channel.basic_publish(exchange="", routing_key=queue, body=body)
    method, properties, got = channel.basic_get(queue=queue, auto_ack=True)
    assert got == body, len(got)
say("got both")
# Stays for as long as it is told to.
marker = os.environ.get("STAY_WHILE")
while marker and os.path.exists(marker):
    channel.basic_publish(exchange="", routing_key=queue, body=b"again")
    assert channel.basic_get(queue=queue, auto_ack=True)[2] == b"again"
    say("turn")
    connection.sleep(0.05)
connection.close()
say("closed")
