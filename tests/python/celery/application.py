"""The Celery application that workers and clients share.

Everything that is not set here is Celery's default: gossip, mingle, remote control, prefetching.
"""

import os
import time

from celery import Celery
from settings import QUEUE, TYPE, URL, say

app = Celery(QUEUE, broker=URL, backend="rpc://")
app.conf.update(
    task_default_queue=QUEUE,
    task_default_exchange=QUEUE,
    # Celery has the broker do the waiting only behind an exchange of this type.
    task_default_exchange_type="topic" if TYPE == "quorum" else "direct",
    task_default_routing_key=QUEUE,
    task_default_queue_type=TYPE,
    # Workers of one exchange are neighbours: those of another test are none.
    control_exchange=QUEUE + ".control",
    event_exchange=QUEUE + ".events",
    task_acks_late=True,
    task_track_started=True,
    task_send_sent_event=True,
    worker_send_task_events=True,
    worker_redirect_stdouts=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # A publish is done when the broker confirms it.
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)
if TYPE == "classic":
    # A quorum queue has priorities without asking, and refuses the argument.
    app.conf.task_queue_max_priority = 10


@app.task(name="add")
def add(one, other):
    return one + other


@app.task(name="note")
def note(text):
    say("did " + text)


@app.task(name="flaky", bind=True, max_retries=3)
def flaky(self, failures, pause):
    """Fails so often, then tells how often it was tried and at what distance."""
    say("try {}".format(self.request.retries))
    if self.request.retries < failures:
        raise self.retry(countdown=pause, exc=RuntimeError("not yet"))
    return self.request.retries


@app.task(name="when")
def when():
    return time.time()


@app.task(name="hang", bind=True)
def hang(self):
    """Is never finished by the worker that gets it first."""
    if self.request.delivery_info["redelivered"]:
        say("again")
        return "finished elsewhere"
    say("hanging")
    # The process of the pool outlives its worker, and has nobody left to end it.
    worker = os.getppid()
    while os.getppid() == worker:
        time.sleep(0.1)
    return "finished by nobody"
