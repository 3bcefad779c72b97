"""The primary's whole node sleeps while clients write, and wakes believing that it still is the primary: whatever was acknowledged is
there, and it acknowledges nothing by itself any more.

Who writes: clients of the other nodes' listeners; clients of the sleeping node's own listener, whose commands lie in its kernel when it
wakes; and clients that reach its instance past every listener, who are never answered at all.

HOLDFAST_ROUNDS=N: N times 22 s; else once 5 s.
"""
import os
import random
import signal
import socket
import threading
import time

import pytest
from cluster import now
from holdfast import PATIENCE
from roles import Client, Roles

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "0"))
SLEEP_S = 22 if ROUNDS else 5
OUTAGE_MS = 20000       # with the node the coordinator may lose its leader, and what was asked of it then waits for its time to be over
INSTANCE = 6379


@pytest.fixture
def cluster(site):
    with Roles(site, "abc", sync=1, more="flaps = 0") as made:
        yield made.begin()


class Past(threading.Thread):
    """Writes to the instance of a node, past its listener, for as long as it is there; notes who is answered with anything but an error."""

    def __init__(self, cluster, name):
        super().__init__(daemon=True)
        self.cluster, self.address, self.ending = cluster, (cluster.addresses[name], INSTANCE), False
        self.refused, self.taken, self.n = 0, [], 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.ending = True
        self.join(10)

    def run(self):
        while not self.ending:
            client = Client(self.cluster, "a")
            try:
                client.sock = self.cluster.clients.socket(socket.SOCK_STREAM)
                client.sock.settimeout(2)
                client.sock.connect(self.address)
                while not self.ending:
                    self.write(client)
            except OSError:
                time.sleep(0.01)
            client.close()

    def write(self, client):
        self.n += 1
        answer = client.ask(b"SET", b"past", b"%d" % self.n)
        if answer.startswith(b"-"):
            self.refused += 1
        else:
            self.taken.append((now(), self.n, answer))
        time.sleep(0.005)


def sleep(cluster, name):
    """All its processes stop, go on after a while, each at its own moment: who wakes first is nobody's choice."""
    pids = cluster.everything(name)
    at = cluster.signal(pids, signal.SIGSTOP)
    time.sleep(SLEEP_S)
    random.shuffle(pids)
    woke = now()
    for pid in pids:
        cluster.signal([pid], signal.SIGCONT)   # who woke before may have ended it
        time.sleep(random.choice((0, 0, 0.002, 0.02)))
    return at, woke


def test_a_node_that_sleeps_acknowledges_nothing_when_it_wakes(cluster, site):
    acked, outages = 0, []
    for turn in range(max(1, ROUNDS)):
        was = cluster.primary()
        others = cluster.backups(was)
        with cluster.writer(*others) as far, cluster.writer(was) as near, cluster.writer(was) as near_too, Past(cluster, was) as past:
            time.sleep(0.5)
            at, woke = sleep(cluster, was)
            outages.append(far.outage(at, OUTAGE_MS / 1000))
            near.outage(woke, 20)       # its front leads to the new primary
            cluster.settle()
        assert cluster.primary() != was, cluster.story(at)
        acked += sum(writer.check() for writer in (far, near, near_too))
        assert past.refused and not past.taken, f"round {turn}: {len(past.taken)} writes past the listener: {past.taken[:3]}"
        told = cluster.await_events(1, "role-promoted", since=at)
        assert len(told) == 1 and told[0][1]["boot_ns"] < woke, cluster.story(at)
        assert outages[-1] < OUTAGE_MS * PATIENCE, cluster.story(at)
    outages.sort()
    site.report(f"{len(outages)} sleeps of {SLEEP_S} s: {acked} acknowledged writes, 0 lost, 0 taken by who woke; writes of others accepted after "
                f"{outages[len(outages) // 2]:.0f} ms (median), {outages[-1]:.0f} at most")
