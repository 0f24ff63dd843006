"""Where the broker is, and pika itself, whatever its age.

The programs beside this file have the shape of RabbitMQ's tutorials for Python. They differ in
two things: the address comes from the environment (BROKER_HOST, BROKER_PORT), and names come from
the command line, so that runs side by side do not meet. `new` speaks pika 1.x, `old` what came
before it.
"""

import collections
import collections.abc
import os
import sys

# pika 0.10 and 0.13 come from a time when these were the right names.
if not hasattr(collections, "Callable"):
    collections.Callable = collections.abc.Callable

# pika 0.10 has one module, for an event loop that is not used here, that names an attribute
# `async`, which became a keyword. It is optional for pika; this says that it is not installed.
if os.environ.get("PIKA_WITHOUT_LIBEV"):
    sys.modules["pika.adapters.libev_connection"] = None

import pika  # noqa: E402


def connect(**more):
    """A blocking connection to the broker under test, as guest."""
    parameters = pika.ConnectionParameters(
        host=os.environ.get("BROKER_HOST", "127.0.0.1"),
        port=int(os.environ.get("BROKER_PORT", "5672")),
        credentials=pika.PlainCredentials("guest", "guest"),
        **more
    )
    return pika.BlockingConnection(parameters)


def say(text):
    """Prints a line that is seen at once by whoever started us."""
    print(text, flush=True)
