"""Hello world, the sender: send.py QUEUE."""

import sys

from broker import connect, say

queue = sys.argv[1]

connection = connect()
channel = connection.channel()
channel.queue_declare(queue=queue)
channel.basic_publish(exchange="", routing_key=queue, body="Hello World!")
say("sent Hello World!")
connection.close()
