"""Publish/subscribe, the sender: emit_log.py EXCHANGE MESSAGE."""

import sys

from broker import connect, say

exchange, message = sys.argv[1:3]

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange=exchange, exchange_type="fanout")
channel.basic_publish(exchange=exchange, routing_key="", body=message)
say("sent " + message)
connection.close()
