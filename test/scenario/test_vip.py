"""The address of a service goes with its primary, and never is at two nodes: three nodes with a Redis each, a client on a machine of its own
that writes through the address every 5 ms, and an observer on another that asks each node for it all the time (lib/claims.py).

HOLDFAST_ROUNDS (1 if not set) says how often; the figures are in docs/failover.md.
"""
import contextlib
import os
import signal
import statistics
import time

import pytest
from claims import Claims
from cluster import FLOATING, Moment, address, both_ways, done, mac, now
from holdfast import PATIENCE, until
from prober import Prober
from roles import PORT, Roles

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "1"))
VIP = address(FLOATING)
ISOLATION = 6  # s
LONG = 1000  # ms: what happened is told
BLACK_HOLE = 3e9  # ns: of a machine that does much else; what was measured is told


@pytest.fixture
def cluster(site):
    with Roles(site, "abc", sync=1, more=f"vip = {VIP}/24\n  flaps = 0") as made:
        made.begin()
        made.observer = made.stranger("observer")
        yield made


class Watch:
    """A client's writes through the address, and who answers for it meanwhile."""

    def __init__(self, cluster, site):
        machines = {name: cluster[name].machine for name in cluster.names}
        self.cluster, self.was = cluster, cluster.settle()
        self.claims = Claims(site, cluster.observer, VIP, PORT, machines, mac)
        self.prober = Prober(site, cluster.clients.prefix, VIP, PORT)

    def __enter__(self):
        begin = now()
        until(lambda: self.prober.again(begin) and len(self.claims.lines()) > 100, 20, "writes through the address, and answers for it")
        time.sleep(0.3)
        return self

    def __exit__(self, *exc):
        self.prober.stop()
        self.claims.stop()

    def again(self, at, seconds=20):
        """ms from `at` until a write was accepted that was sent later: after all of it, where that is a Moment."""
        until(lambda: self.prober.again(done(at)), seconds, "writes through the address")
        return (self.prober.again(done(at)) - at) / 1e6

    def judge(self, at):
        """One had it, another has it now, and nobody answered when it was another's. ms between the two."""
        def another():
            name, _, _, kinds = self.claims.owners()[-1]
            return name != self.was and {"arp", "icmp", "tcp"} <= kinds
        until(another, 10, "another's answers of each kind")
        runs = self.claims.owners()
        told = "; ".join(f"{name} {(a - at) / 1e6:.1f} to {(b - at) / 1e6:.1f} ms ({', '.join(sorted(kinds))})" for name, a, b, kinds in runs)
        assert len(runs) == 2 and runs[0][0] == self.was != runs[1][0], f"{told}\n{self.cluster.story(at)}"
        assert all({"arp", "icmp", "tcp"} <= kinds for _, _, _, kinds in runs), told
        until(lambda: self.cluster.primary(self.cluster.backups(self.was)) == runs[1][0], 10, f"the primary to be whose address it is: {told}")
        return (runs[1][1] - runs[0][2]) / 1e6


def lose(cluster, was):
    return cluster.net.alone(was), cluster.net.heal


def kill(cluster, was):
    """All that is holdfast's, at once: nobody says goodbye."""
    pids = cluster.ours(was)
    assert len(pids) >= 4, pids
    at = now()
    cluster.signal(pids, signal.SIGKILL)
    cluster[was].process.end()
    return Moment(at), cluster[was].start


def pause(cluster, was):
    pids = cluster.everything(was)
    return cluster.signal(pids, signal.SIGSTOP), lambda: cluster.signal(pids, signal.SIGCONT)


FAULTS = {"node lost": lose, "every process killed": kill, "every process paused": pause}


def report(site, what, times, gaps):
    site.report(f"{what}: writes again after {statistics.median(times):.0f} ms, at most {max(times):.0f} ms; nobody answered for "
                f"{min(gaps):.0f} to {max(gaps):.0f} ms in between (n = {len(times)})")


def moves(cluster, site, fault):
    """The fault, what follows, and its end, which must bring nobody back to the address."""
    with Watch(cluster, site) as watch:
        at, end = fault(cluster, watch.was)
        took = watch.again(at)
        watch.judge(at)
        healed = now()
        end()
        cluster.settle()
        watch.again(healed)
        gap = watch.judge(at)
        if took > LONG:
            site.report(f"  {took:.0f} ms:\n{cluster.story(at)}")
    return took, gap


def test_the_address_moves_and_is_never_at_two_nodes(cluster, site):
    for what, fault in FAULTS.items():
        figures = [moves(cluster, site, fault) for _ in range(ROUNDS)]
        report(site, what, *zip(*figures))
        assert statistics.median(took for took, _ in figures) < 3000 * PATIENCE
    for _ in range(ROUNDS):
        with Watch(cluster, site) as watch:
            to, at = cluster.backups(watch.was)[0], now()
            cluster[watch.was].command("switchover", "cache", "to", to)
            watch.again(now())
            cluster.settle()
            site.report(f"switchover: nobody answered for {watch.judge(at):.0f} ms")
            assert cluster.primary() == to


def test_after_a_heal_the_address_answers(cluster, site):
    """Cut off from everybody, and, worse, from its peers alone: then the observer and the client hear both sides all the while."""
    took, gaps, silences = [], [], []
    for turn in range(ROUNDS):
        with Watch(cluster, site) as watch:
            at = cluster.net.cut(*both_ways(watch.was, cluster.backups(watch.was))) if turn % 2 == 0 else cluster.net.alone(watch.was)
            took.append(watch.again(at))
            time.sleep(max(0, ISOLATION - (now() - at) / 1e9))
            healed = cluster.net.heal()
            cluster.settle()
            watch.again(healed + 2 * 10**9)
            silence, _ = watch.prober.longest(healed, healed + 2 * 10**9)
            silences.append(silence / 1e6)
            gaps.append(watch.judge(at))
            assert silence < BLACK_HOLE * PATIENCE, cluster.story(at)
    report(site, f"isolated for {ISOLATION} s", took, gaps)
    site.report(f"after the heal: no write was accepted for at most {max(silences):.0f} ms (n = {len(silences)})")
