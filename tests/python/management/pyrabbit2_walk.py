"""What programs do with pyrabbit2: make things, look at them, publish, get, remove."""

import json
import os
import time

from pyrabbit2.api import Client, PermissionError

PATIENCE = 30

ADDRESS = os.environ["BROKER_HOST"] + ":" + os.environ["BROKER_PORT"]


def until(what, is_so):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


client = Client(ADDRESS, "guest", "guest", timeout=60)

assert client.is_alive()
assert client.get_whoami()["name"] == "guest"
assert client.get_overview()["management_version"]
assert client.get_cluster_name()["name"]
nodes = client.get_nodes()
assert all(node["running"] for node in nodes), nodes

assert client.create_vhost("py/rabbit")
assert "py/rabbit" in client.get_vhost_names()
assert client.get_vhost("py/rabbit")["name"] == "py/rabbit"
client.create_user("bob", "secret", tags="monitoring")
assert "bob" in [user["name"] for user in client.get_users()]
client.set_vhost_permissions("py/rabbit", "bob", "^b.*", ".*", ".*")
client.set_vhost_permissions("py/rabbit", "guest", ".*", ".*", ".*")
assert client.get_permission("py/rabbit", "bob")["configure"] == "^b.*"
assert [row["vhost"] for row in client.get_user_permissions("bob")] == ["py/rabbit"]
assert {row["user"] for row in client.get_vhost_permissions("py/rabbit")} == {"bob", "guest"}
try:
    Client(ADDRESS, "bob", "wrong").get_whoami()
    raise AssertionError("a wrong password was taken")
except PermissionError:
    pass

client.create_exchange("py/rabbit", "x", "topic", durable=True)
client.create_queue("py/rabbit", "q", durable=True, arguments={"x-queue-type": "quorum"})
client.create_binding("py/rabbit", "x", "q", "a.b")
assert client.get_exchange("py/rabbit", "x")["type"] == "topic"
assert "amq.topic" in [row["name"] for row in client.get_exchanges("py/rabbit")]
assert [row["routing_key"] for row in client.get_queue_bindings("py/rabbit", "q")] == ["q", "a.b"]

client.create_policy(
    "py/rabbit",
    "limit",
    pattern="^q$",
    definition={"max-length": 5},
    priority=0,
    **{"apply-to": "queues"},
)
assert client.get_policy("py/rabbit", "limit")["definition"] == {"max-length": 5}
assert "limit" in [row["name"] for row in client.get_all_policies()]

assert client.publish("py/rabbit", "x", "a.b", "one", properties={"delivery_mode": 2})
assert client.publish("py/rabbit", "x", "a.b", "dHdv", payload_enc="base64")
assert not client.publish("py/rabbit", "x", "b", "nowhere")
until("two wait", lambda: client.get_queue_depth("py/rabbit", "q") == 2)
assert [row["name"] for row in client.get_queues("py/rabbit", pattern="^q$", regex=True)] == ["q"]
peeked = client.get_messages("py/rabbit", "q", count=1, requeue=True)
assert [row["payload"] for row in peeked] == ["one"], peeked
taken = client.get_messages("py/rabbit", "q", count=5)
assert [row["payload"] for row in taken] == ["one", "two"], taken
client.purge_queue("py/rabbit", "q")

definitions = client.get_definitions()
assert "py/rabbit" in [row["name"] for row in definitions["vhosts"]]
assert isinstance(client.get_connections(), list)
assert isinstance(client.get_channels(), list)
assert client.get_extensions() is not None

client.delete_binding("py/rabbit", "x", "q", "a.b")
client.delete_policy("py/rabbit", "limit")
client.delete_queue("py/rabbit", "q")
client.delete_exchange("py/rabbit", "x")
client.delete_permission("py/rabbit", "bob")
client.delete_user("bob")
client.delete_vhost("py/rabbit")
assert "py/rabbit" not in client.get_vhost_names()
print(json.dumps({"nodes": len(nodes)}))
