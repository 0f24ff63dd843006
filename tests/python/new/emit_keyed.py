"""Routing and topics, the sender: emit_keyed.py EXCHANGE TYPE KEY MESSAGE."""

import sys

from broker import connect, say

exchange, kind, key, message = sys.argv[1:5]

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange=exchange, exchange_type=kind)
channel.basic_publish(exchange=exchange, routing_key=key, body=message)
say("sent %s:%s" % (key, message))
connection.close()
