"""A worker: worker.py QUEUE classic|quorum NAME POOL CONCURRENCY PREFETCH."""

import logging
import sys

from application import app
from celery.signals import after_setup_logger, worker_ready
from settings import QUEUE, say

name, pool, concurrency, prefetch = sys.argv[3:7]

app.conf.worker_prefetch_multiplier = int(prefetch)


@worker_ready.connect
def ready(**_):
    say("ready")


class Neighbours(logging.Handler):
    """Says of whom the worker hears: Celery tells that to its log alone."""

    def emit(self, record):
        text = record.getMessage()
        if text.startswith("mingle: sync with "):
            say(text)
        if text.endswith(" joined the party"):
            say("gossip " + text.split("@")[0])


@after_setup_logger.connect
def listen(logger, **_):
    for module in ["mingle", "gossip"]:
        source = logging.getLogger("celery.worker.consumer." + module)
        source.setLevel(logging.DEBUG)
        source.addHandler(Neighbours())


app.worker_main(
    [
        "worker",
        "--hostname=" + name + "@" + QUEUE,
        "--pool=" + pool,
        "--concurrency=" + concurrency,
        "--loglevel=INFO",
        "--task-events",
    ]
)
