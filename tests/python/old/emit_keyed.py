"""Routing and topics, the sender: emit_keyed.py EXCHANGE TYPE KEY MESSAGE."""

import sys

from broker import connect, say
from kinds import kind

exchange, type_name, key, message = sys.argv[1:5]

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange=exchange, **kind(type_name))
channel.basic_publish(exchange=exchange, routing_key=key, body=message)
say("sent %s:%s" % (key, message))
connection.close()
