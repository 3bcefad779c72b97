"""Real nodes know each other: a cluster forms, a lost node is known to all, and back at once when it returns.

"Lost" is silent: frames are dropped at the bridge, and nobody is told. HOLDFAST_ROUNDS scales the number of losses (20: fifty of each
kind; 2 if not set: five cuts and two kills). Times are those of the nodes' own events, from the moment in which the bridge was told.
"""

import os
import signal
import statistics
import time

import pytest
from cluster import Cluster, answered, now
from holdfast import PATIENCE, until
from losing import Losses, ms

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "2"))
RUNS = max(4, ROUNDS * 5 // 2)
MEDIAN_MS, WORST_MS = 300, 500


@pytest.mark.quiet
@pytest.mark.parametrize("names", ["abc", "abcde"], ids=["three nodes", "five nodes"])
def test_a_lost_node_is_known_to_all(site, names):
    with Cluster(site, names) as cluster:
        began = now()
        cluster.start()
        formed = max(e["boot_ns"] for _, e in cluster.events("node-alive", since=began))
        site.report(f"{len(names)} nodes: agreed {ms(formed - began):.0f} ms after the start of the first")
        for how in ("cut", "kill"):
            losses = Losses(cluster)
            for run in range(RUNS if how == "cut" or ROUNDS > 2 else 2):
                time.sleep(losses.random.uniform(0.3, 0.6))  # a loss may meet heartbeats in any phase
                getattr(losses, how)(names[run % len(names)])
            site.report(f"{len(names)} nodes, {how}: {losses.line()}")
            assert how == "kill" or statistics.median(losses.agreed) < MEDIAN_MS * PATIENCE, losses.agreed
            assert max(losses.agreed) < WORST_MS * PATIENCE, losses.agreed


def test_a_node_that_is_killed_returns_as_itself(site):
    """The same member, with a higher incarnation; nobody sees two of it."""
    with Cluster(site, "abc") as cluster:
        cluster.start()
        before = {o: cluster[o].members()["c"]["incarnation"] for o in "ab"}
        at = now()
        cluster["c"].kill()
        cluster.await_event("node-failed", "c", "ab", at)
        cluster["c"].start()
        cluster.await_agreement()
        for observer in "ab":
            members = cluster[observer].ask("/v1/members")["members"]
            assert sorted(m["name"] for m in members) == ["a", "b", "c"]
            assert [m["incarnation"] for m in members if m["name"] == "c"] > [before[observer]]


def test_a_node_that_leaves_is_not_said_to_have_failed(site):
    with Cluster(site, "abc") as cluster:
        cluster.start()
        load = cluster.load("a")
        at = now()
        cluster["c"].command("leave")
        cluster.await_event("node-left", "c", "ab", at)
        cluster.await_agreement({"a": "alive", "b": "alive", "c": "left"}, by="ab")
        cluster["c"].terminate()
        load.carry(100)
        assert not cluster.events("node-failed", "node-suspect", since=at, by="ab")
        cluster["c"].start()
        cluster.await_agreement()
        answered(load)


def seen_of(cluster, subject, since):
    """What the others said about it, in order: "b: node-suspect 210 ms"."""
    return [f"{o}: {e['code']} {ms(e['boot_ns'] - since):.0f} ms" for o, e in cluster.events(since=since) if e["subject"] == subject and o != subject]


def test_control_may_die_and_hang_while_the_proxy_serves(site):
    """Killed, it is started again at once: others may suspect the node, and believe in it again. Stopped, it is failed for
    the others until it goes on: whoever cannot take part is not there. The node's proxy serves all the time."""
    with Cluster(site, "abc") as cluster:
        cluster.start()
        load = cluster.load("c")
        for _ in range(max(2, ROUNDS)):
            at = now()
            pid = cluster["c"].pid("control")
            os.kill(pid, signal.SIGKILL)
            until(lambda: cluster["c"].status(check=False) and cluster["c"].pid("control") != pid, 20, "another control")
            cluster.await_agreement()
            site.report(f"control killed: {'; '.join(seen_of(cluster, 'c', at)) or 'nobody noticed'}")
        at, pid = now(), cluster["c"].pid("control")
        os.kill(pid, signal.SIGSTOP)
        cluster.await_event("node-failed", "c", "ab", at)
        load.carry(100)
        os.kill(pid, signal.SIGCONT)
        cluster.await_agreement()
        site.report(f"control stopped: {'; '.join(seen_of(cluster, 'c', at))}")
        answered(load)
        assert {e["subject"] for _, e in cluster.events("node-failed")} <= {"c"}


def test_an_upgrade_is_no_failure(site):
    """All of the node's processes are replaced one after the other: whoever suspects it believes in it again at once."""
    with Cluster(site, "abc") as cluster:
        cluster.start()
        load = cluster.load("c")
        for _ in range(max(2, ROUNDS // 4)):
            at = now()
            cluster["c"].command("upgrade", seconds=60)
            cluster.await_agreement()
            site.report(f"upgraded: {'; '.join(seen_of(cluster, 'c', at)) or 'nobody noticed'}")
        answered(load)
        assert not cluster.events("node-failed")


def test_a_reload_brings_a_node_and_takes_it_away(site):
    with Cluster(site, "abc", spare="d") as cluster:
        cluster.start()
        loads = [cluster.load(name) for name in "abc"]
        at = now()
        cluster.configure("abcd")
        cluster["d"].start()
        for name in "abc":
            cluster[name].command("reload")
        cluster.await_agreement()
        assert not cluster.events("node-failed", since=at)
        cluster.configure("abc")
        for name in "abc":
            cluster[name].command("reload")
        cluster.await_agreement()
        assert cluster["d"].terminate() == 0
        cluster.await_agreement()
        assert not cluster.events("node-failed", since=at)
        for load in loads:
            answered(load)
