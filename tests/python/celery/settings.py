"""Where the broker is, and what the programs here are started with.

The address comes from the environment (BROKER_HOST, BROKER_PORT); the queue to use and its type
from the command line: PROGRAM QUEUE classic|quorum ...
"""

import os
import sys

QUEUE, TYPE = sys.argv[1:3]

URL = "amqp://guest:guest@{}:{}//".format(
    os.environ.get("BROKER_HOST", "127.0.0.1"), os.environ.get("BROKER_PORT", "5672")
)


def say(text):
    """Prints a line that is seen at once by whoever started us."""
    os.write(1, (text + "\n").encode())
