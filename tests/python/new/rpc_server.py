"""RPC, the server: rpc_server.py QUEUE, answers numbers with their Fibonacci numbers."""

import sys

import broker
from broker import connect, say

pika = broker.pika
queue = sys.argv[1]

connection = connect()
channel = connection.channel()
channel.queue_declare(queue=queue)


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def on_request(ch, method, properties, body):
    response = fib(int(body))
    ch.basic_publish(
        exchange="",
        routing_key=properties.reply_to,
        properties=pika.BasicProperties(correlation_id=properties.correlation_id),
        body=str(response),
    )
    ch.basic_ack(delivery_tag=method.delivery_tag)


channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue=queue, on_message_callback=on_request)
say("waiting")
channel.start_consuming()
