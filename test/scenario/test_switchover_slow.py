"""A switchover during which something stands still: the target's instance, its whole node, the coordinator, another replica. It is done or
given up, but no command of a client fails, through the front of any node that is not the one that stands still.
"""
import contextlib
import random
import signal
import threading
import time

import pytest
from cluster import now
from holdfast import PATIENCE, Site, until
from roles import Roles

STOP, GO = signal.SIGSTOP, signal.SIGCONT


@pytest.fixture(scope="module")
def formed(tmp_path_factory, long_report):
    with Site(tmp_path_factory.mktemp("slow"), long_report) as site, Roles(site, "abc", sync=1, more="flaps = 0") as made:
        yield made.begin()


@pytest.fixture
def cluster(formed):
    formed.await_members(formed.names)
    formed.settle()
    return formed


@contextlib.contextmanager
def stopped(cluster, pids):
    cluster.signal(pids, STOP)
    try:
        yield
    finally:
        cluster.signal(pids, GO)


@contextlib.contextmanager
def written(cluster, fronts, most_ms):
    """Writes through each of these go on: none fails, and none waits longer than so."""
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(cluster.writer(front)) for front in fronts]
        at = now()
        yield
        for writer in writers:
            writer.outage(now())
    cluster.settle()
    for writer, front in zip(writers, fronts):
        failed = [(f"{(sent - at) / 1e6:.0f} ms", answer) for _, sent, _, answer in writer.failed]
        assert not failed, f"through {front}: {failed}\n{cluster.story(at)}"
        pause = writer.pause(at)
        cluster.site.report(f"through {front} writes waited {pause:.0f} ms")
        assert pause < most_ms * PATIENCE, cluster.story(at)
        writer.check()


def switch(cluster, by, to):
    return cluster[by].command("switchover", "cache", "to", to, check=False)


def test_the_targets_instance_stands_still(cluster):
    was = cluster.primary()
    to = cluster.backups(was)[0]
    with written(cluster, cluster.names, 300):
        at = now()
        with stopped(cluster, [cluster.pid(to)]):
            assert switch(cluster, was, to).returncode != 0
    assert cluster.primary() == was, cluster.story(at)
    assert cluster.await_events(1, "switchover-failed", since=at, by=[was])


def test_the_targets_node_stands_still(cluster):
    was = cluster.primary()
    to, other = cluster.backups(was)
    with written(cluster, [was, other], 1000):
        at = now()
        with stopped(cluster, cluster.everything(to)):
            switch(cluster, was, to)
    assert not cluster.events("role-demoted", since=at), cluster.story(at)
    assert cluster.primary() == was, cluster.story(at)


def test_another_replica_stands_still(cluster):
    """What was asked of it is not needed: the target has everything."""
    was = cluster.primary()
    to, other = cluster.backups(was)
    with written(cluster, cluster.names, 1000):
        with stopped(cluster, [cluster.pid(other)]):
            switch(cluster, was, to)


def test_the_coordinator_stands_still(cluster):
    for turn in range(4):
        was = cluster.primary()
        to = cluster.backups(was)[turn % 2]
        pids = [cluster.etcd(name).pid for name in cluster.names]
        with written(cluster, cluster.names, 1500):
            asks = threading.Thread(target=switch, args=(cluster, was, to))
            asks.start()
            time.sleep(random.uniform(0, 0.08))    # anywhere within it
            with stopped(cluster, pids):
                time.sleep(0.3)
            asks.join()
        cluster.await_members(cluster.names)
        until(cluster.primary, 20, "a primary")
