"""A command of which there is one in the cluster (agent = process): it runs on one node and nowhere else, moves when that node is lost, and
never is there twice, whatever becomes of the node, of holdfast on it, or of the command. It and a child of its own write to a file that the
nodes share (lib/ticker.py).

HOLDFAST_ROUNDS (1 if not set) says how often each fault is; HOLDFAST_PAUSE how long a node is paused (3 s; 22 and more find nothing else).
"""
import contextlib
import os
import signal
import statistics
import sys
import time

import pytest
import ticker
from cluster import now
from holdfast import PATIENCE, until
from roles import Roles, comm
from ticker import Ticks

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "1"))
PAUSE = float(os.environ.get("HOLDFAST_PAUSE", "3"))
ISOLATION = 2  # s


class Job(Roles):
    SERVICE = "job"

    def __init__(self, site, names, more=""):
        super().__init__(site, names, service=f"agent = process\n  flaps = 0\n  {more}")
        self.ticks = Ticks(os.path.join(self.folder, "ticks"))
        self.more = self.more.replace("agent = process", f"agent = process\n  command = {{{sys.executable}, -SB, {os.path.abspath(ticker.__file__)}, "
                                                         f"{self.ticks.path}}}")
        self.configure()

    def primary(self, by=None):
        """... and whose command does something."""
        found = super().primary(by)
        return found if found and self.ticks.last()[0] == found else None

    def settle(self, by=None, seconds=40):
        try:
            return until(lambda: self.primary(by), seconds, "one that runs, as all agree")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.ticks.runs()[-10:]}\n{self.story()}") from None

    def again(self, at, seconds=20):
        """(node, ms from `at` until a run began that had not before)"""
        def found():
            return next((r for r in self.ticks.runs() if r[3] > at), None)
        try:
            run = until(found, seconds, "another run")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.ticks.runs()[-10:]}\n{self.story(at)}\n{[self.role(n) for n in self.names]}") from None
        return run[0], (run[3] - at) / 1e6

    def run_below(self, name):
        """The command there and its child."""
        return [pid for pid in self.everything(name) if not comm(pid).startswith("holdfast") and comm(pid) != "etcd"]


@pytest.fixture
def cluster(site):
    with Job(site, "abc") as made:
        yield made.begin()


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_the_command(cluster, was):
    at = now()
    send(cluster.run_below(was)[:1], signal.SIGKILL)
    return at, None


def kill_the_agent(cluster, was):
    at = now()
    send([pid for pid in cluster.ours(was) if comm(pid) == "holdfast-agent"], signal.SIGKILL)
    return at, None


def kill_ours(cluster, was):
    pids = cluster.ours(was)
    assert len(pids) >= 4 and len(cluster.run_below(was)) == 2, [(pid, comm(pid)) for pid in cluster.everything(was)]
    at = now()
    send(pids, signal.SIGKILL)
    cluster[was].process.end()
    return at, cluster[was].start


def lose(cluster, was):
    def heal():
        time.sleep(ISOLATION)
        cluster.net.heal()
    return cluster.net.alone(was), heal


def stop(cluster, was, pids):
    """Its processes, and on waking those that must not do anything any more are first."""
    order = sorted(pids, key=lambda pid: comm(pid).startswith("holdfast"))
    at = now()
    send(pids, signal.SIGSTOP)

    def wake():
        time.sleep(max(0, PAUSE - (now() - at) / 1e9))
        send(order, signal.SIGCONT)
    return at, wake


def stop_everything(cluster, was):
    return stop(cluster, was, cluster.everything(was))


def stop_ours(cluster, was):
    """The command itself goes on."""
    return stop(cluster, was, cluster.ours(was))


STAYS = {"command killed": kill_the_command}
MOVES = {"every process of ours killed": kill_ours, "node lost": lose, "every process stopped": stop_everything,
         "every process of ours stopped, the command not": stop_ours}


def fault(cluster, what, make):
    was = cluster.settle()
    time.sleep(0.2)
    at, end = make(cluster, was)
    to, took = cluster.again(at)
    if end:
        end()
    cluster.settle()
    cluster.await_agreement(seconds=30)
    time.sleep(0.3)      # whoever should not run would be seen now
    cluster.ticks.check()
    return was, to, took


@pytest.mark.parametrize("what", MOVES)
def test_it_moves_and_never_is_there_twice(cluster, site, what):
    took = []
    for _ in range(ROUNDS):
        was, to, ms = fault(cluster, what, MOVES[what])
        assert to != was, cluster.story()
        took.append(ms)
    site.report(f"{what}: it runs elsewhere after {statistics.median(took):.0f} ms, at most {max(took):.0f} ms (n = {len(took)})")
    assert statistics.median(took) < 3000 * PATIENCE


def test_it_is_started_again_where_it_was_when_it_alone_dies(cluster, site):
    """And its children die with it; a switchover in between ends it politely."""
    for what, make in {"command killed": kill_the_command, "agent killed": kill_the_agent}.items():
        for _ in range(ROUNDS):
            was, to, ms = fault(cluster, what, make)
            site.report(f"{what}: it runs again after {ms:.0f} ms, on {'the same node' if to == was else 'another'}")
            assert to == was or make is kill_the_agent, cluster.story()
            was = cluster.settle()
            other = cluster.backups(was)[0]
            cluster[was].command("switchover", "job", "to", other)
            assert cluster.settle() == other
    cluster.ticks.check()
