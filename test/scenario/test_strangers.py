"""Who does not have the cluster's key learns nothing and changes nothing: datagrams that are forged, replayed, cut short or of another
version, and whole nodes with another key.

All of it is made from what really passes between three nodes, recorded on the wire. Refused is: no member changes, at any node; the
refusal is counted by its reason, and told once for each source and reason.
"""

import random
import re
import time

import pytest
from cluster import Cluster, ClusterNode, now
from holdfast import until
from metrics import metrics
from wiretap import Stranger, Tap

# docs/mesh.md, "Sessions and sealing"
VERSION, KIND, TAG, KEY, FROM, SESSION, COUNTER, SEALED_HEAD, HANDSHAKE_FROM = 2, 3, 4, 8, 8, 16, 20, 24, 12
HELLO, WELCOME, SEALED = 1, 2, 3
REASONS = 10        # that there are
SUSPICION_S = 0.6   # three times the silence after which a node is suspected


@pytest.fixture
def wired(site):
    """(a cluster of three, a Tap that heard it from its first datagram on)"""
    with Cluster(site, "abc") as cluster:
        tap = Tap(cluster.net)
        cluster.start()
        yield cluster, tap
        tap.close()


@pytest.fixture
def stranger(wired):
    s = Stranger(wired[0].stranger())
    yield s
    s.close()


def refused(node):
    """{reason: count}"""
    found = metrics(node)
    return {m[1]: int(n) for name, n in found.items() if (m := re.match(r'holdfast_mesh_refused_total\{reason="([^"]*)"\}', name))}


def more_refused(node, before):
    return {reason: n - before.get(reason, 0) for reason, n in refused(node).items() if n > before.get(reason, 0)}


class Untouched:
    """What must be as before, however much is said: members, their incarnations, and that nothing happened to them."""

    def __init__(self, cluster):
        self.cluster, self.at, self.before = cluster, now(), self.look(cluster)

    @staticmethod
    def look(cluster):
        return {o: {m["name"]: (m["state"], m["reason"], m["incarnation"]) for m in cluster[o].members().values()} for o in cluster.names}

    def check(self):
        time.sleep(SUSPICION_S)  # whoever was harmed is suspected by then
        assert self.look(self.cluster) == self.before, self.cluster.picture()
        assert not self.cluster.events(since=self.at), self.cluster.picture()


def changed(payload, at, value):
    return payload[:at] + bytes([value & 255]) + payload[at + 1:]


def of_kind(payloads, kind):
    return [d for d in payloads if d[KIND] == kind]


def attacks(there, back, rng):
    """{what: (reasons of which one must be counted for each, datagrams)}: what b told a, and a told b, made into what nobody told a."""
    some = rng.sample(of_kind(there, SEALED), 40)
    hands = of_kind(there, HELLO) + of_kind(there, WELCOME)
    flip = lambda d, at: changed(d, at, d[at] ^ 1 << rng.randrange(8))
    return {
        "replayed": ({"replayed", "session"}, some),
        "reflected": ({"stranger", "session"}, rng.sample(of_kind(back, SEALED), 40)),
        "with another tag": ({"forged", "replayed"}, [flip(d, rng.randrange(len(d) - 16, len(d))) for d in some]),
        "with a later counter": ({"forged"}, [changed(d, COUNTER + 1, d[COUNTER + 1] + 1) for d in some]),
        "with another text": ({"forged", "replayed"}, [flip(d, rng.randrange(SEALED_HEAD, len(d) - 16)) for d in some if len(d) > SEALED_HEAD + 16]),
        "of another session": ({"session"}, [changed(d, SESSION + 3, d[SESSION + 3] ^ 255) for d in some]),
        "of a node that is not": ({"stranger"}, [changed(d, FROM + 3, d[FROM + 3] ^ 255) for d in some]),
        "of another version": ({"version"}, [changed(d, VERSION, v) for d in some for v in (0, 2, 255)]),
        "of a kind to come": ({"version"}, [changed(d, KIND, v) for d in some for v in (0, 4, 255)]),
        "of another cluster": ({"cluster"}, [changed(d, TAG, d[TAG] ^ 255) for d in some]),
        "cut short": ({"short", "forged", "replayed", "version", "cluster"}, [d[:n] for d in some[:4] for n in range(len(d))]),
        "too long": ({"short", "forged", "replayed"}, [d + bytes(n) for d in some[:10] for n in (1, 100, 1200)]),
        "handshakes with another code": ({"forged"}, [flip(d, len(d) - 1 - rng.randrange(16)) for d in hands]),
        "handshakes of another key": ({"key"}, [changed(d, KEY, d[KEY] ^ 255) for d in hands]),
        "handshakes of somebody else": ({"stranger", "forged"}, [flip(d, HANDSHAKE_FROM + rng.randrange(8)) for d in hands]),
        "noise": ({"short", "version"}, [rng.randbytes(rng.randrange(1201)) for _ in range(200)]),
        "noise of the right form": ({"short", "version", "stranger", "session", "key", "forged"},
                                    [d[:KEY] + rng.randbytes(len(d) - KEY) for d in some + hands]),
    }


def say(stranger, datagrams, target, source=None):
    for i, d in enumerate(datagrams):
        if source:
            stranger.send_as(source, target, d)
        else:
            stranger.send(target, d)
        if i % 50 == 49:
            time.sleep(0.01)  # the node's socket takes what it is given, at this pace


def test_what_is_not_sealed_by_the_key_changes_nothing(site, wired, stranger):
    cluster, tap = wired
    a, b = cluster["a"], cluster["b"]
    here, there = a.machine.address, b.machine.address
    recorded = tap.await_between(there, here, 60), tap.await_between(here, there, 60)
    untouched, rng = Untouched(cluster), random.Random(1)
    for source in (None, there):
        for what, (reasons, datagrams) in attacks(*recorded, rng).items():
            before = refused(a)
            say(stranger, datagrams, here, source)
            try:
                until(lambda: sum(more_refused(a, before).values()) >= len(datagrams), 5)
            except AssertionError:
                raise AssertionError(f"{len(datagrams)} {what}: refused are only {more_refused(a, before)}") from None
            more = more_refused(a, before)
            site.report(f"{len(datagrams)} {what}, {'as b' if source else 'as itself'}: {more}")
            assert sum(more.values()) == len(datagrams) and more.keys() <= reasons, f"{what}: {more}"
    untouched.check()
    assert stranger.heard() == []
    told = a.events("mesh-refused", since=untouched.at)
    texts = [(e["subject"], e["text"]) for e in told]
    assert 2 <= len(texts) <= 2 * REASONS and len(set(texts)) == len(texts), texts
    logged = [line for line in a.said().splitlines() if stranger.address in line]
    assert 0 < len(logged) <= REASONS, logged


def test_a_whole_conversation_said_again_changes_nothing(wired, stranger):
    """The start of a node, from its HELLO to its heartbeats: said again when it has started anew, from its own address."""
    cluster, tap = wired
    a, b = cluster["a"], cluster["b"]
    here, there = a.machine.address, b.machine.address
    old = tap.await_between(there, here, 50)
    assert {HELLO, WELCOME} & {d[KIND] for d in old}
    b.kill()
    b.start()
    cluster.await_agreement()
    untouched, before = Untouched(cluster), refused(a)
    for _ in range(3):
        say(stranger, old, here, there)
        say(stranger, old, here)
    until(lambda: sum(more_refused(a, before).values()) >= 6 * len(of_kind(old, SEALED)), what="old datagrams to be refused")
    untouched.check()


def test_a_node_with_another_key_learns_nothing(site, wired):
    """It has the place of a node that is lost: its name, machine and address, a file that differs in the key alone."""
    cluster, _ = wired
    other, at = site.path("other.key"), now()
    cluster.new_key(other)
    cluster["c"].kill()
    cluster.await_event("node-failed", "c", "ab", at)
    cluster.await_agreement({"a": "alive", "b": "alive", "c": "failed"}, by="ab")
    intruder = ClusterNode(cluster, "c", cluster["c"].machine)
    intruder.state, intruder.file, intruder.errors = (site.path(f"intruder.{what}") for what in ("state", "conf", "err"))
    with open(intruder.file, "w") as f:
        f.write(cluster.config(key=other))
    site.nodes.append(intruder)
    cluster.names = ["a", "b"]
    untouched, before = Untouched(cluster), {o: refused(cluster[o]) for o in "ab"}
    intruder.start()
    until(lambda: all(more_refused(cluster[o], before[o]).get("key") for o in "ab"), 20, "the intruder to be refused by all")
    untouched.check()
    members = intruder.members()
    assert {m["state"] for name, m in members.items() if name != "c"} == {"suspect"}, members
    assert not any(m["incarnation"] or m["rtt_us"] for name, m in members.items() if name != "c"), members
    assert not intruder.events("node-alive")
    site.report(f"a node with another key: refused as {more_refused(cluster['a'], before['a'])}")
    intruder.follower.ending = True
    intruder.process.end()
