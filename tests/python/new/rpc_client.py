"""RPC, the client: rpc_client.py QUEUE NUMBER..., on a reply queue of its own."""

import sys
import uuid

import broker
from broker import connect, say

pika = broker.pika


class FibonacciClient:
    def __init__(self, queue):
        self.queue = queue
        self.connection = connect()
        self.channel = self.connection.channel()
        result = self.channel.queue_declare(queue="", exclusive=True)
        self.callback_queue = result.method.queue
        self.channel.basic_consume(
            queue=self.callback_queue,
            on_message_callback=self.on_response,
            auto_ack=True,
        )
        self.response = None
        self.correlation_id = None

    def on_response(self, ch, method, properties, body):
        if self.correlation_id == properties.correlation_id:
            self.response = body

    def call(self, n):
        self.response = None
        self.correlation_id = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange="",
            routing_key=self.queue,
            properties=pika.BasicProperties(
                reply_to=self.callback_queue,
                correlation_id=self.correlation_id,
            ),
            body=str(n),
        )
        while self.response is None:
            self.connection.process_data_events(time_limit=None)
        return int(self.response)


client = FibonacciClient(sys.argv[1])
for number in sys.argv[2:]:
    say("fib(%s) = %d" % (number, client.call(int(number))))
client.connection.close()
