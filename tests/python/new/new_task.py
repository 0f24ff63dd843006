"""Work queues, the sender: new_task.py QUEUE TASK..., one persistent message per task."""

import sys

import broker
from broker import connect, say

pika = broker.pika
queue, tasks = sys.argv[1], sys.argv[2:]

connection = connect()
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare(queue=queue, durable=True)
for task in tasks:
    channel.basic_publish(
        exchange="",
        routing_key=queue,
        body=task,
        properties=pika.BasicProperties(delivery_mode=2),
    )
    say("sent " + task)
connection.close()
