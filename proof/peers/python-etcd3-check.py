"""Talks to a server with python3-etcd3 and verifies the answers: python-etcd3-check.py HOST PORT.

One line per claim, "ok - ..." or "not ok - ...", and exit code 1 when one does not hold.
"""

import sys
import threading
import time

import etcd3

PREFIX = "python-etcd3/%d/" % time.time_ns()


def expect(what, got, want):
    if got != want:
        raise AssertionError("%s is %r, want %r" % (what, got, want))


def check_put_and_get(client):
    client.put(PREFIX + "a", "one")
    value, meta = client.get(PREFIX + "a")
    expect("value", value, b"one")
    expect("version", meta.version, 1)
    client.put(PREFIX + "a", "two")
    value, changed = client.get(PREFIX + "a")
    expect("value", value, b"two")
    expect("version", changed.version, 2)
    expect("create revision", changed.create_revision, meta.create_revision)
    expect("absent key", client.get(PREFIX + "absent"), (None, None))


def check_prefix(client):
    for name in "cab":
        client.put(PREFIX + "p/" + name, name)
    found = [value for value, _ in client.get_prefix(PREFIX + "p/", sort_order="descend", sort_target="key")]
    expect("values in descending order of keys", found, [b"c", b"b", b"a"])
    expect("deleted", client.delete_prefix(PREFIX + "p/").deleted, 3)
    expect("rest", list(client.get_prefix(PREFIX + "p/")), [])


def check_large_value(client):
    value = bytes(range(256)) * 4096
    client.put(PREFIX + "large", value)
    expect("a value of 1 MiB comes back the same", client.get(PREFIX + "large")[0] == value, True)


def check_transaction(client):
    key = PREFIX + "t"
    tx = client.transactions
    create = {"compare": [tx.version(key) == 0], "success": [tx.put(key, "1")], "failure": [tx.get(key)]}
    succeeded, _ = client.transaction(**create)
    expect("first succeeded", succeeded, True)
    succeeded, answers = client.transaction(**create)
    expect("second succeeded", succeeded, False)
    expect("value in the failure branch", answers[0][0][0], b"1")
    expect("replace of a wrong value", client.replace(key, "0", "2"), False)
    expect("replace of the right value", client.replace(key, "1", "2"), True)


def check_watch(client):
    seen = []
    complete = threading.Event()

    def on_event(response):
        for event in response.events:
            seen.append((type(event).__name__, event.key.decode(), event.value))
        if len(seen) >= 3:
            complete.set()

    watch_id = client.add_watch_prefix_callback(PREFIX + "w/", on_event)
    client.put(PREFIX + "w/a", "1")
    client.put(PREFIX + "w/b", "2")
    client.delete(PREFIX + "w/a")
    in_time = complete.wait(10)
    client.cancel_watch(watch_id)
    expect("three events within 10 seconds", in_time, True)
    wanted = [
        ("PutEvent", PREFIX + "w/a", b"1"),
        ("PutEvent", PREFIX + "w/b", b"2"),
        ("DeleteEvent", PREFIX + "w/a", b""),
    ]
    expect("events", seen, wanted)


def check_lease(client):
    lease = client.lease(30)
    client.put(PREFIX + "l", "leased", lease=lease)
    expect("granted ttl", lease.granted_ttl, 30)
    expect("attached keys", [key.decode() for key in lease.keys], [PREFIX + "l"])
    expect("ttl after keep-alive", [answer.TTL for answer in lease.refresh()], [30])
    lease.revoke()
    expect("value after revoke", client.get(PREFIX + "l")[0], None)


def check_lock(client):
    held = client.lock(PREFIX + "lock", ttl=10)
    rival = client.lock(PREFIX + "lock", ttl=10)
    expect("acquired", held.acquire(timeout=5), True)
    expect("rival acquired", rival.acquire(timeout=0), False)
    expect("released", held.release(), True)
    expect("rival acquired after release", rival.acquire(timeout=5), True)
    rival.release()


def check_status(client):
    status = client.status()
    ids = [member.id for member in client.members]
    expect("the leader is a member", status.leader.id in ids, True)
    expect("version begins with", status.version[:2], "3.")


CHECKS = [
    ("put and get, versions and revisions", check_put_and_get),
    ("prefix, order and delete", check_prefix),
    ("a value of 1 MiB", check_large_value),
    ("transaction and replace", check_transaction),
    ("watch in order", check_watch),
    ("lease with keep-alive and revoke", check_lease),
    ("lock excludes a rival", check_lock),
    ("status and members", check_status),
]


def main():
    client = etcd3.client(host=sys.argv[1], port=int(sys.argv[2]), timeout=10)
    failed = 0
    for name, check in CHECKS:
        try:
            check(client)
            print("ok - " + name, flush=True)
        except Exception as error:  # Whatever it is, it is why the claim does not hold.
            failed += 1
            print("not ok - %s: %s: %s" % (name, type(error).__name__, error), flush=True)
    client.delete_prefix(PREFIX)
    client.close()
    sys.exit(1 if failed else 0)


main()
