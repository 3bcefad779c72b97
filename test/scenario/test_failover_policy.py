"""What an operator asks of a service beside that it is there: replies that wait rather than be in one place, primaries on different nodes, a node in
maintenance, a third machine that only votes, failovers that are damped.
"""
import contextlib
import os
import signal
import time

from cluster import now
from coordinated import Coordinated
from holdfast import until
from roles import Roles, comm


class Two(Coordinated):
    """Several services, each a command on one node."""

    def __init__(self, site, names, services, **more):
        blocks = "".join(f"service {name} {{\n  agent = process\n  command = {{/bin/sleep, 100000}}\n  {text}\n}}\n" for name, text in services.items())
        super().__init__(site, names, more=blocks, **more)

    def primary(self, service, by=None):
        said = set()
        for n in by or self.names:
            try:
                r = self[n].ask(f"/v1/roles/{service}")["roles"][0]
            except (OSError, ValueError, KeyError, IndexError):
                return None
            said.add(r["primary"] if r["acts"] else None)
        return said.pop() if len(said) == 1 else None

    def settle(self, service, by=None, seconds=40):
        try:
            return until(lambda: self.primary(service, by), seconds, f"a primary of {service}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n" + "\n".join(f"{o} {e['code']} {e['subject']}: {e['text']}" for o, e in self.events(*ROLES))) from None


ROLES = ("role-taken", "role-promoted", "role-demoted", "role-waits", "role-lost", "role-failed", "switchover", "switchover-began", "node-failed")


def test_strict_waits_rather_than_with_fewer(site):
    with Roles(site, "abc", sync=2, more="strict = yes\n  flaps = 0") as cluster:
        cluster.begin()
        was = cluster.primary()
        with cluster.writer(was) as writer:
            hung = cluster.backups(was)[0]
            pid = cluster.pid(hung)
            at = cluster.signal_instance(hung, signal.SIGSTOP)
            time.sleep(3)      # far longer than a replica may be gone for elsewhere
            late = [n for n, sent, done in writer.acked if sent > at + 500_000_000]
            assert not late, f"{len(late)} writes were acknowledged by fewer than two replicas"
            assert sorted(cluster.role(was)["in_sync"]) == list("abc"), cluster.story(at)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            writer.outage(now())
        cluster.settle()
        assert cluster.primary() == was, cluster.story(at)
        writer.check()


def test_primaries_are_kept_apart_and_leave_a_node_in_maintenance(site):
    with Two(site, "abc", {"one": "flaps = 0", "two": "apart = {one}\n  flaps = 0"}) as cluster:
        cluster.start()
        cluster.await_members("abc")
        one = cluster.settle("one")
        two = until(lambda: (p := cluster.primary("two")) != cluster.primary("one") and p, 30, "two primaries on different nodes")
        third = next(n for n in "abc" if n not in (one, two))

        # Who loses its node goes where the other one is not
        at = cluster.net.alone(two)
        by = [n for n in "abc" if n != two]
        assert until(lambda: (p := cluster.primary("two", by)) != two and p, 30, "another primary") == third
        cluster.net.heal()
        cluster.await_agreement(seconds=30)

        cluster[third].command("maintenance", "on", third)
        moved = until(lambda: (p := cluster.primary("two")) != third and p, 30, "the node in maintenance to be left")
        assert moved == two, (one, two, third, cluster.events(*ROLES, since=at))
        cluster[third].command("maintenance", "off", third)
        assert cluster.settle("one") == one


def test_two_machines_and_one_that_only_votes_are_enough(site):
    with Two(site, "abc", {"job": "on = {a, b}\n  flaps = 0"}) as cluster:
        with open(cluster.file) as f:
            text = f.read()
        with open(cluster.file, "w") as f:
            f.write(text.replace("node c {", "node c { role = witness "))
        for name in cluster.names:
            cluster[name].start(wait=False)
        cluster.await_members("abc")
        was = cluster.settle("job", "ab")
        other = "b" if was == "a" else "a"
        at = cluster.net.alone(was)
        until(lambda: cluster.primary("job", [other]) == other, 30, "the other machine to take over")
        cluster.net.heal()
        until(lambda: cluster.primary("job", "ab") == other, 30, "both to agree")
        assert not [e for e in cluster["c"].events("role-promoted", "role-taken", since=0)], cluster.events(*ROLES, since=at)


def end_it(cluster, name):
    for pid in Roles.everything(cluster, name):
        if comm(pid) == "sleep":
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_damping_waits_says_so_and_ends(site):
    """A command that ends wherever it runs; each failover waits for twice as long, and then happens."""
    with Two(site, "abc", {"job": "flaps = 1\n  flap-window = 1h"}) as cluster:
        cluster.start()
        cluster.await_members("abc")
        took = []
        for _ in range(4):
            was, at = cluster.settle("job"), now()
            until(lambda: end_it(cluster, was) or cluster.primary("job") not in (None, was), 40, "another primary")
            took.append((next(e["boot_ns"] for _, e in cluster.events("role-promoted", since=at)) - at) / 1e9)
        told = [e["text"] for _, e in cluster.events("role-waits")]
        site.report("damped failovers took " + ", ".join(f"{t:.1f} s" for t in took))
        assert any("too often" in text for text in told), told
        assert took[3] > 2 * took[0] and took[3] < 20, took
