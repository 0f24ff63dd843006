"""Asks workers for work: client.py QUEUE classic|quorum SCENARIO."""

import sys
import threading
import time
from datetime import datetime, timedelta, timezone

from application import add, app, flaky, hang, note, when
from settings import QUEUE, TYPE, say

# How long a result may take.
PATIENCE = 50

# What clocks and rounding may make of a time.
SLACK = 0.05


def results():
    """Results come back, one by one, together, and from a chain."""
    say("3 + 4 = {}".format(add.delay(3, 4).get(PATIENCE)))
    sums = [add.delay(number, 1) for number in range(20)]
    say("sums {}".format([one.get(PATIENCE) for one in sums] == list(range(1, 21))))
    say("chain {}".format((add.s(1, 2) | add.s(3) | add.s(4)).delay().get(PATIENCE)))


def retries():
    """A task that fails is tried again after a while, and given up when it fails too often."""
    begin = time.time()
    say("retries {}".format(flaky.delay(2, 1).get(PATIENCE)))
    say("in time {}".format(time.time() - begin >= 2 - SLACK))
    try:
        flaky.delay(9, 0).get(PATIENCE)
    except RuntimeError as error:
        say("gave up: {}".format(error))


def later():
    """Tasks with a countdown or a time run then, not before, whatever comes in between."""
    begin = time.time()
    slow = when.apply_async(countdown=3)
    brief = when.apply_async(countdown=1)
    eta = when.apply_async(eta=datetime.now(timezone.utc) + timedelta(seconds=2))
    at_once = when.delay()
    for name, result, least in [
        ("at once", at_once, 0),
        ("countdown 1", brief, 1),
        ("eta 2", eta, 2),
        ("countdown 3", slow, 3),
    ]:
        ran = result.get(PATIENCE) - begin
        # Where the broker waits, Celery asks it for whole seconds, rounded down.
        least -= TYPE == "quorum"
        say("{}: {}".format(name, "in time" if ran >= least - SLACK else "early, %.3f" % ran))
    expired = when.apply_async(countdown=2, expires=1)
    state = expired.get(PATIENCE, propagate=False)
    say("expired: {}".format(type(state).__name__))


def priorities():
    """Fills the queue; the worker comes later."""
    for priority in [0, 9, 3, 6, 1, 9]:
        note.apply_async(["priority {}".format(priority)], priority=priority)


def hangs():
    say("result {}".format(hang.delay().get(PATIENCE)))


def control():
    """What operators ask workers, and tell them."""
    inspect = app.control.inspect(timeout=10, limit=2)
    names = sorted(name.split("@")[0] for name in (inspect.ping() or {}))
    say("ping {}".format(names))
    queues = inspect.active_queues() or {}
    found = {queue["name"] for each in queues.values() for queue in each}
    say("queues {}".format(found == {QUEUE}))
    registered = inspect.registered() or {}
    say("registered {}".format(all("add" in tasks for tasks in registered.values())))
    say("stats {}".format(len(inspect.stats() or {})))
    limits = app.control.rate_limit("add", "1000/s", reply=True, timeout=10, limit=2)
    say("rate limit {}".format(sorted(list(reply.values())[0]["ok"][:8] for reply in limits)))
    found = [list(reply.values())[0] for reply in app.control.broadcast(
        "ping", reply=True, timeout=10, limit=2)]
    say("broadcast {}".format(found))
    unwanted = when.apply_async(countdown=2)
    app.control.revoke(unwanted.id)
    state = unwanted.get(PATIENCE, propagate=False)
    say("revoked {}".format(type(state).__name__ == "TaskRevokedError"))
    app.control.cancel_consumer(QUEUE, reply=True, timeout=10, limit=2)
    queues = inspect.active_queues() or {}
    say("no consumers {}".format(sum(len(each) for each in queues.values())))


def events():
    """What monitors hear."""
    wanted = {"task-sent", "task-received", "task-started", "task-succeeded", "worker-heartbeat"}
    heard, ready, done = set(), threading.Event(), threading.Event()

    class Monitor(app.events.Receiver):
        def on_consume_ready(self, *arguments, **options):
            super().on_consume_ready(*arguments, **options)
            ready.set()

    def hear(event):
        heard.add(event["type"])
        if wanted <= heard:
            done.set()

    def listen():
        with app.connection() as connection:
            Monitor(connection, handlers={"*": hear}, app=app).capture(limit=None)

    threading.Thread(target=listen, daemon=True).start()
    ready.wait(PATIENCE)
    add.delay(1, 2).get(PATIENCE)
    done.wait(PATIENCE)
    say("missing {}".format(sorted(wanted - heard)))


{
    "results": results,
    "retries": retries,
    "later": later,
    "priorities": priorities,
    "hangs": hangs,
    "control": control,
    "events": events,
}[sys.argv[3]]()
