"""Names and bodies in any script: names.py QUEUE."""

import sys

from broker import connect, say

queue = sys.argv[1]

connection = connect()
channel = connection.channel()
result = channel.queue_declare(queue=queue, exclusive=True)
assert result.method.queue == queue, result.method.queue
channel.basic_publish(exchange="", routing_key=queue, body="тело 体".encode())
method, properties, body = channel.basic_get(queue=queue, auto_ack=True)
say("%s got %s" % (method.routing_key, body.decode()))
assert channel.basic_get(queue=queue, auto_ack=True) == (None, None, None)
connection.close()
