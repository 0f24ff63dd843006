"""kombu by itself: mixins.py QUEUE classic|quorum SCENARIO."""

import socket
import sys
import threading
import time

from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.mixins import ConsumerProducerMixin
from settings import QUEUE, TYPE, URL, say

ARGUMENTS = {"x-queue-type": TYPE}


def simple():
    """SimpleQueue, with acknowledgements and messages that are put back."""
    with Connection(URL) as connection:
        name = Queue(QUEUE, Exchange(QUEUE, type="direct"), QUEUE, queue_arguments=ARGUMENTS)
        with connection.SimpleQueue(name) as queue:
            for number in range(3):
                queue.put({"number": number})
            first = queue.get(timeout=10)
            first.requeue()
            numbers = []
            for _ in range(3):
                message = queue.get(timeout=10)
                numbers.append(message.payload["number"])
                message.ack()
            say("simple {}".format(sorted(numbers)))
            say("left {}".format(queue.qsize()))
            try:
                queue.get_nowait()
            except queue.Empty:
                say("empty")


class Echo(ConsumerProducerMixin):
    """Answers what it is asked."""

    def __init__(self, connection, ready):
        self.connection = connection
        self.ready = ready
        self.queue = Queue(QUEUE, Exchange(QUEUE), QUEUE, queue_arguments=ARGUMENTS)

    def get_consumers(self, consumer, channel):
        return [consumer([self.queue], callbacks=[self.answer], prefetch_count=1)]

    def on_consume_ready(self, *arguments, **options):
        self.ready.set()

    def answer(self, body, message):
        self.producer.publish(
            {"echo": body},
            exchange="",
            routing_key=message.properties["reply_to"],
            correlation_id=message.properties["correlation_id"],
            retry=True,
        )
        message.ack()


def mixin():
    """A service that consumes and publishes, and a client with a queue for replies."""
    ready = threading.Event()
    echo = Echo(Connection(URL), ready)
    service = threading.Thread(target=echo.run)
    service.start()
    ready.wait(30)
    answers = []

    def hear(body, message):
        answers.append((message.properties["correlation_id"], body["echo"]))
        message.ack()

    with Connection(URL) as connection:
        replies = Queue("", exclusive=True, auto_delete=True)
        with Consumer(connection, [replies], callbacks=[hear]) as consumer:
            producer = Producer(connection)
            for number in range(3):
                producer.publish(
                    number,
                    exchange=QUEUE,
                    routing_key=QUEUE,
                    reply_to=consumer.queues[0].name,
                    correlation_id=str(number),
                )
            while len(answers) < 3:
                connection.drain_events(timeout=30)
    say("answers {}".format(answers))
    echo.should_stop = True
    service.join(30)


def fanout():
    """Every queue of a fanout gets a copy; queues go with their consumers."""
    exchange = Exchange(QUEUE + ".fanout", type="fanout", durable=False, auto_delete=True)
    heard = []
    with Connection(URL) as connection:
        queues = [
            Queue("{}.{}".format(QUEUE, at), exchange, durable=False, auto_delete=True)
            for at in range(3)
        ]

        def hear(body, message):
            heard.append((message.delivery_info["consumer_tag"], body))
            message.ack()

        with Consumer(connection, queues, callbacks=[hear]):
            Producer(connection).publish("news", exchange=exchange)
            while len(heard) < 3:
                connection.drain_events(timeout=30)
        say("copies {} {}".format(len(set(heard)), {body for _, body in heard}))
        gone = 0
        for queue in queues:
            try:
                queue(connection.channel()).queue_declare(passive=True)
            except connection.channel_errors:
                gone += 1
        say("gone {}".format(gone))


def again():
    """A connection that is cut is made again, and what was declared is declared again."""
    queue = Queue(QUEUE, Exchange(QUEUE), QUEUE, queue_arguments=ARGUMENTS)
    with Connection(URL) as connection:
        connection.ensure_connection(max_retries=3)
        producer = Producer(connection)
        producer.publish("before", exchange=queue.exchange, routing_key=QUEUE, declare=[queue])
        connection.connection.transport.sock.shutdown(socket.SHUT_RDWR)
        producer.publish(
            "after",
            exchange=queue.exchange,
            routing_key=QUEUE,
            declare=[queue],
            retry=True,
            retry_policy={"max_retries": 5, "interval_start": 0},
        )
        with connection.SimpleQueue(queue) as simple:
            bodies = []
            for _ in range(2):
                message = simple.get(timeout=10)
                bodies.append(message.payload)
                message.ack()
        say("bodies {}".format(bodies))


def heartbeats():
    """A connection that only beats lives; its broker beats as well."""
    with Connection(URL, heartbeat=2) as connection:
        connection.connect()
        say("every {} s".format(connection.get_heartbeat_interval()))
        end = time.time() + 5
        while time.time() < end:
            connection.heartbeat_check(rate=2)
            try:
                connection.drain_events(timeout=0.5)
            except TimeoutError:
                pass
        with connection.SimpleQueue(
            Queue(QUEUE, Exchange(QUEUE), QUEUE, queue_arguments=ARGUMENTS)
        ) as queue:
            queue.put("alive")
            message = queue.get(timeout=10)
            message.ack()
            say(message.payload)


{
    "simple": simple,
    "mixin": mixin,
    "fanout": fanout,
    "again": again,
    "heartbeats": heartbeats,
}[sys.argv[3]]()
