"""A command that is told of roles (agent = hook): told at each node in turn, asked for what is safe before another is told that it is primary,
and one that fails or hangs costs its own node the role, not the service.
"""
import os

import pytest
from cluster import now
from holdfast import until
from roles import Roles

HOOK = """#!/bin/sh
echo "$HOLDFAST_NODE $HOLDFAST_ROLE $HOLDFAST_EPOCH $HOLDFAST_PRIMARY $HOLDFAST_PRIMARY_ADDRESS" >> {folder}/told
[ $HOLDFAST_ROLE = primary ] || exit 0
[ ! -e {folder}/fails-$HOLDFAST_NODE ] || {{ echo the cloud says no; exit 1; }}
[ ! -e {folder}/hangs-$HOLDFAST_NODE ] || sleep 60
"""


class Moved(Roles):
    SERVICE = "moved"

    def __init__(self, site, names):
        super().__init__(site, names, service="agent = hook\n  flaps = 0\n  hook = {/bin/sh, HOOK}")
        self.told_of, path = os.path.join(self.folder, "told"), os.path.join(self.folder, "hook")
        for name, text in {self.told_of: "", path: HOOK.format(folder=self.folder)}.items():
            with open(name, "w") as f:
                f.write(text)
            os.chmod(name, 0o666)
        self.more = self.more.replace("HOOK", path)
        self.configure()

    def settle(self, by=None, seconds=40):
        try:
            return until(lambda: self.primary(by), seconds, "a primary")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.lines()}\n{self.story()}") from None

    def lines(self):
        with open(self.told_of) as f:
            return [line.split() for line in f]

    def set(self, what, name, on=True):
        path = os.path.join(self.folder, f"{what}-{name}")
        if on:
            open(path, "w").close()
        else:
            os.unlink(path)

    def check(self):
        """Epochs rise, and each is told to one node alone."""
        told = [(int(epoch), name) for name, role, epoch, *_ in self.lines() if role == "primary"]
        assert [e for e, _ in told] == sorted(e for e, _ in told) and len({e for e, _ in told}) == len(set(told)), self.lines()


@pytest.fixture
def cluster(site):
    with Moved(site, "abc") as made:
        yield made.begin()


def test_a_hook_is_told_of_roles_and_one_that_fails_costs_its_node_the_role(cluster, site):
    was = cluster.settle()
    other, third = cluster.backups(was)
    assert [was, "primary", "1", was, cluster.addresses[was]] in cluster.lines()
    until(lambda: all([n, "replica", "1", was, cluster.addresses[was]] in cluster.lines() for n in (other, third)), 10, "the others to be told")

    cluster[was].command("switchover", "moved", "to", other)
    assert cluster.settle() == other
    told = [line[:3] for line in cluster.lines()]
    assert told.index([was, "replica", "2"] if [was, "replica", "2"] in told else [was, "replica", "1"]) < told.index([other, "primary", "2"]), told

    cluster.set("fails", was)
    at = cluster.net.alone(other)
    took = until(lambda: (p := cluster.primary(cluster.backups(other))) != other and p, 20, "another primary")
    assert took in (was, third)
    cluster.net.heal()
    assert cluster.settle() == took == third, (cluster.lines(), cluster.story(at))
    until(lambda: cluster.lines()[-1][0] == other and cluster.lines()[-1][1] == "replica", 10, "the one that was cut off to be told")
    cluster.check()

    # A hook that fails at a switchover: whoever was primary, or another, is it again
    at = now()
    cluster[third].command("switchover", "moved", "to", was, check=False, seconds=60)
    until(lambda: any("the cloud says no" in e["text"] for e in cluster[was].events(since=at) if e["subject"] == "moved"), 20, "what the hook said to be told")
    until(lambda: cluster.primary() not in (None, was), 20, "somebody else to be primary")
    cluster.set("fails", was, on=False)
    cluster.check()


def test_a_hook_that_hangs_costs_its_node_the_role(cluster, site):
    was = cluster.settle()
    other, third = cluster.backups(was)
    cluster.set("hangs", other)
    at = now()
    cluster[was].command("switchover", "moved", "to", other, check=False, seconds=60)
    until(lambda: [other, "primary"] in [line[:2] for line in cluster.lines()], 10, "the one that hangs to be asked")
    first = min(until(lambda: [e["boot_ns"] for _, e in cluster.events("role-promoted", since=at)], 40, "another to be promoted"))
    took = until(lambda: (p := cluster.primary()) != other and p, 30, "somebody else to be primary")
    site.report(f"a hook that hangs: another node is primary after {(first - at) / 1e6:.0f} ms")
    assert took in (was, third)
    cluster.check()
