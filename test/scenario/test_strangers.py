"""Who does not have the cluster's key learns nothing and changes nothing: datagrams that are forged, replayed, cut short or of another
version, and whole nodes with another key.

All of it is made from what really passes between three nodes, recorded on the wire. Refused is: no member changes, at any node; the
refusal is counted by its reason, and logged once for each source and reason.
"""

import random
import re
import time

import pytest
from cluster import Cluster, ClusterNode, now
from holdfast import until
from metrics import metrics
from wiretap import Stranger, Tap

MAGIC, VERSION_AT, TAG_AT, BODY_AT = b"HF", 2, 4, 8


@pytest.fixture
def cluster(site):
    with Cluster(site, "abc") as c:
        c.start()
        yield c


@pytest.fixture
def tap(cluster):
    t = Tap(cluster.net)
    yield t
    t.close()


@pytest.fixture
def stranger(cluster):
    s = Stranger(cluster.stranger())
    yield s
    s.close()


def refused(node):
    """{reason: count}"""
    return {m[1]: n for name, n in metrics(node).items() if (m := re.match(r'holdfast_mesh_refused_total\{reason="([^"]*)"\}', name))}


class Untouched:
    """What must be as before, however much is said: members, their incarnations, and that nothing happened to them."""

    def __init__(self, cluster):
        self.cluster, self.at = cluster, now()
        self.before = self.look()

    def look(self):
        return {o: {m["name"]: (m["state"], m["incarnation"]) for m in self.cluster[o].members().values()} for o in self.cluster.names}

    def check(self):
        assert self.look() == self.before, self.cluster.picture()
        assert not self.cluster.events(since=self.at), self.cluster.picture()


def changed(payload, at, value):
    return payload[:at] + bytes([value]) + payload[at + 1:]


def attacks(recorded, seed=1):
    """{what: (the reasons of which one must be counted, datagrams)}, all made of recorded ones."""
    rng = random.Random(seed)
    some = rng.sample(recorded, min(40, len(recorded)))
    return {
        "replayed": ({"replayed", "forged", "key"}, some),
        "forged": ({"forged"}, [changed(d, at := rng.randrange(len(d) - 16, len(d)), d[at] ^ 1 << rng.randrange(8)) for d in some]),
        "changed anywhere": ({"forged"}, [changed(d, at := rng.randrange(len(d)), d[at] ^ 1 << rng.randrange(8)) for d in some]),
        "cut short": ({"short"}, [d[:n] for d in some[:4] for n in range(len(d))]),
        "of another version": ({"version"}, [changed(d, VERSION_AT, v) for d in some for v in (0, 2, 255)]),
        "of another cluster": ({"cluster"}, [changed(d, TAG_AT, d[TAG_AT] ^ 255) for d in some]),
        "noise": ({"short", "version", "cluster", "forged", "key"}, [rng.randbytes(rng.randrange(1201)) for _ in range(200)]),
        "noise of the right form": ({"forged", "key"}, [d[:BODY_AT] + rng.randbytes(len(d) - BODY_AT) for d in some]),
    }


def say(cluster, stranger, datagrams, target, source=None):
    """At a pace at which the node's socket does not overflow."""
    for i, d in enumerate(datagrams):
        if source:
            stranger.send_as(source, target, d)
        else:
            stranger.send(target, d)
        if i % 50 == 49:
            time.sleep(0.01)


def test_what_is_not_sealed_by_the_key_changes_nothing(site, cluster, tap, stranger):
    a, b = cluster["a"], cluster["b"]
    recorded = tap.await_between(b.machine.address, a.machine.address, 60)
    assert all(d.startswith(MAGIC) for d in recorded)
    untouched = Untouched(cluster)
    for source in (None, b.machine.address):
        for what, (reasons, datagrams) in attacks(recorded).items():
            before = refused(a)
            say(cluster, stranger, datagrams, a.machine.address, source)
            until(lambda: sum(refused(a).values()) >= sum(before.values()) + len(datagrams) - 1, 10,
                  f"{len(datagrams)} {what} datagrams to be refused, were {before}, are {refused(a)}")
            more = {reason: int(n - before.get(reason, 0)) for reason, n in refused(a).items() if n > before.get(reason, 0)}
            site.report(f"{len(datagrams)} {what}, {'as b' if source else 'in its own name'}: refused as {more}")
            assert reasons & more.keys(), f"{what}: {more}"
    untouched.check()
    assert stranger.heard() == []
    said = [line for line in a.said().splitlines() if stranger.address in line]
    assert len(said) == len(set(said)) <= 10, said


def test_a_whole_conversation_said_again_changes_nothing(cluster, tap, stranger):
    """From before the start of a node: its HELLO, the answers, its first heartbeats, again after it started anew."""
    a, b = cluster["a"], cluster["b"]
    at = now()
    tap.datagrams.clear()
    b.kill()
    cluster.await_event("node-failed", "b", "ac", at)
    b.start()
    cluster.await_agreement()
    old = tap.await_between(b.machine.address, a.machine.address, 50)
    b.kill()
    b.start()
    cluster.await_agreement()
    untouched = Untouched(cluster)
    before = sum(refused(a).values())
    say(cluster, stranger, old, a.machine.address, b.machine.address)
    until(lambda: sum(refused(a).values()) > before, what="old datagrams to be refused")
    cluster.await_agreement()
    untouched.check()


def test_a_node_with_another_key_learns_nothing(site, cluster, tap):
    """It has the cluster's name, a place in its file, a node's own address, and every datagram that it wants; not the key."""
    machine = cluster.stranger()
    cluster.addresses["d"] = machine.address
    other = site.path("other.key")
    cluster.new_key(other)
    intruder = ClusterNode(cluster, "d", machine)
    intruder.file = site.path("other.conf")
    with open(intruder.file, "w") as f:
        f.write(cluster.config("abcd", key=other))
    site.nodes.append(intruder)
    untouched = Untouched(cluster)
    before = {o: sum(refused(cluster[o]).values()) for o in "abc"}
    intruder.start()
    until(lambda: all(sum(refused(cluster[o]).values()) > before[o] for o in "abc"), 20, "the intruder to be refused by all")
    states = until(intruder.states, what="the intruder's members")
    assert {s for name, s in states.items() if name != "d"} <= {"suspect", "failed"}, states
    untouched.check()
    members = intruder.members()
    assert all(not members[o].get("incarnation") for o in "abc"), members
    intruder.follower.ending = True
    intruder.process.end()
