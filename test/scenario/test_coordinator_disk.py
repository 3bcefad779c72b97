"""The managed coordinator on disks that take half a second to sync: slower, and nothing else.

Every sync of every process of a node waits (slowdisk.c), etcd's and those by which its disk is measured alike.
With HOLDFAST_ROUNDS (any) all disks become slow after one, too, and well again: five minutes more.
"""

import os
import time

from cluster import answered, now
from coordinated import KILL, Coordinated
from holdfast import PATIENCE, until
from metrics import metrics

SLOW_MS = 500
LONG = "HOLDFAST_ROUNDS" in os.environ


class Applies:
    """Versions that are applied by one node after the other, each of which must be in force on all."""

    def __init__(self, cluster):
        self.cluster, self.number, self.took = cluster, 0, []

    def versions(self):
        return [((self.cluster.nodes[n].ask("/v1/config") or {}).get("used") or {}).get("version") for n in self.cluster.names]

    def one(self):
        self.number += 1
        file = self.cluster.site.path("next.conf")
        with open(self.cluster.file) as was, open(file, "w") as following:
            following.write(was.read() + f"# {self.number}\n")
        began, by = time.monotonic(), self.cluster.names[self.number % len(self.cluster.names)]
        done = self.cluster.apply(by, file)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.cluster.told()}"
        assert f"version {self.number} is applied" in done.stdout
        self.took.append(time.monotonic() - began)
        until(lambda: self.versions() == [self.number] * len(self.cluster.names), 30)

    def until(self, condition, seconds, what):
        """Applies all the time until it is so."""
        end = time.monotonic() + seconds * PATIENCE
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what}\n{self.cluster.told()}"
            self.one()

    def report(self, what):
        took = sorted(self.took)
        self.cluster.site.report(f"{what}: {len(took)} applied, {took[len(took) // 2]:.1f} s (median), {took[-1]:.1f} s at most")
        self.took = []


def restarts(cluster, since):
    return [e["subject"] for _, e in cluster.events("coordinator", since=since) if "its member starts again" in e["text"]]


def elections(cluster, since):
    return [name for name, e in cluster.events("coordinator", since=since) if "its member here leads" in e["text"]]


def test_slow_disks_make_it_slower_and_nothing_else(site):
    with Coordinated(site, "abc").on_slow_disks() as cluster:
        cluster.start()
        cluster.await_members("abc")
        cluster.await_timers(50)
        load, applies, [was] = cluster.load("b"), Applies(cluster), cluster.ids()
        for _ in range(3):
            applies.one()
        applies.report("good disks")

        # one, which is the leader's
        slow = cluster.leader()
        at = cluster.slow(slow, SLOW_MS)
        applies.until(lambda: cluster.timers() == {400}, 240, "the timers to be relaxed")
        told = cluster.await_told("asks for a heartbeat of 400 ms", slow, since=at)
        site.report(f"the leader's disk: known after {(told['boot_ns'] - at) / 1e9:.0f} s, all relaxed after {(now() - at) / 1e9:.0f} s, "
                    f"{len(elections(cluster, at))} elections, {restarts(cluster, at)} started again")
        assert set(restarts(cluster, at)) == set("abc")
        seen = metrics(cluster[slow])
        assert seen["holdfast_coordinator_heartbeat_seconds"] == 0.4
        assert seen["holdfast_coordinator_disk_sync_seconds"] >= SLOW_MS / 1000
        applies.until(lambda: cluster.leader() not in (None, slow), 150, "a leader with a better disk")
        applies.took = []
        quiet = now()
        for _ in range(6):
            applies.one()
        applies.report("one slow disk, timers relaxed")
        assert not elections(cluster, quiet), cluster.told(quiet)
        if not LONG:
            answered(load)
            return

        # all
        at = cluster.slow("abc", SLOW_MS)
        for name in set("abc") - {slow}:
            cluster.await_told("asks for a heartbeat of 400 ms", name, since=at, seconds=120)
        quiet = now()
        for _ in range(6):
            applies.one()
        applies.report("all disks slow, timers relaxed")
        assert not elections(cluster, quiet) and cluster.timers() == {400}, cluster.told(quiet)

        # and well again
        at = cluster.slow("abc", 0)
        applies.until(lambda: cluster.timers() == {50}, 300, "the timers to be as usual")
        site.report(f"all well: timers as usual after {(now() - at) / 1e9:.0f} s, {len(elections(cluster, at))} elections")
        cluster.await_members("abc")
        assert cluster.ids() == {was} and applies.versions() == [applies.number] * 3
        applies.took = []
        for _ in range(3):
            applies.one()
        applies.report("good disks again")
        answered(load)


def test_all_disks_become_slow_and_the_leader_is_lost(site):
    """With the usual timers no election would ever end: members relax by themselves, and then one does."""
    with Coordinated(site, "abc").on_slow_disks() as cluster:
        cluster.start()
        cluster.await_members("abc")
        cluster.await_timers(50)
        load, applies, [was] = cluster.load("b"), Applies(cluster), cluster.ids()
        at = cluster.slow("abc", SLOW_MS)
        cluster.etcd(cluster.leader()).send(KILL)
        cluster.await_timers(400, seconds=240)
        cluster.await_members("abc", seconds=120)
        site.report(f"all relaxed after {(now() - at) / 1e9:.0f} s, {len(elections(cluster, at))} elections")
        for _ in range(3):
            applies.one()
        applies.report("all disks slow, timers relaxed")
        assert cluster.ids() == {was}
        answered(load)
