"""Readers: clients of `replicas` are led to replicas that are fit, and to the primary while none is. Three nodes, each with a Redis
of its own; each client asks the instance that it has reached for its own address.
"""
import contextlib
import os
import re
import signal
import socket
import subprocess
import time

import pytest
from cluster import both_ways
from holdfast import PATIENCE, until
from roles import Client, Roles

READERS = 26380


class Reader(Client):
    def connect(self):
        address = (self.cluster.addresses[self.fronts[self.turn % len(self.fronts)]], READERS)
        self.sock, self.data = self.cluster.clients.socket(socket.SOCK_STREAM), b""
        self.sock.settimeout(5 * PATIENCE)
        self.sock.connect(address)

    def where(self):
        """The node whose instance answers."""
        info = self.value(b"CLIENT", b"INFO").decode()
        at = re.search(r"laddr=([\d.]+):", info)[1]
        return next(name for name in self.cluster.names if self.cluster.addresses[name] == at)

    def cut(self):
        """It has been ended from the other side."""
        self.sock.settimeout(0.01)
        try:
            return self.sock.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


@contextlib.contextmanager
def roles(site, more, sync=0):
    with Roles(site, "abc", sync=sync, more=f"replicas = tcp://0.0.0.0:{READERS}\n  {more}") as made:
        made.begin()
        yield made


@contextlib.contextmanager
def readers(cluster, front, n):
    made = [Reader(cluster, front) for _ in range(n)]
    try:
        yield made
    finally:
        for r in made:
            r.close()


def places(some):
    return sorted({r.where() for r in some})


def fresh(cluster, front):
    """Where a new reader is led to."""
    with readers(cluster, front, 1) as one:
        try:
            return one[0].where()
        except OSError:
            return None


def leads_to(cluster, front, allowed, what, seconds=20):
    """From now on new readers there are led to these, and to each of them."""
    until(lambda: {fresh(cluster, front) for _ in range(8)} == set(allowed), seconds, what)


def candidate(cluster, seen_by, name):
    return next(n for n in cluster.role(seen_by)["candidates"] if n["node"] == name)


def counter(cluster, name, which):
    text = subprocess.run(["curl", "-s", "--unix-socket", cluster[name].state + "/admin.sock", "http://node/metrics"],
                          capture_output=True, text=True, timeout=20 * PATIENCE, check=True).stdout
    return int(float(re.search(rf'^holdfast_service_{which}_total{{service="cache"}} (\S+)$', text, re.M)[1]))


def test_readers_are_spread_over_the_replicas(site):
    with roles(site, 'redis = {"maxmemory 96mb", "maxmemory-policy allkeys-lru"}') as cluster:
        primary = cluster.primary()
        backups = cluster.backups(primary)
        for front in cluster.names:
            leads_to(cluster, front, backups, "both replicas to be fit")
            with readers(cluster, front, 24) as some:
                at = [r.where() for r in some]
                assert set(at) == set(backups), at
                assert min(at.count(b) for b in backups) >= 8, at   # each worker spreads its own
        # What is written is read there, and nothing can be written.
        writer, reader = Client(cluster, primary), Reader(cluster, backups[0])
        assert writer.ask(b"SET", b"seen", b"1") == b"+OK"
        until(lambda: reader.value(b"GET", b"seen") == b"1", 10, "the replica to have it")
        for words in ((b"SET", b"seen", b"2"), (b"EVAL", b"return redis.call('DEL', 'seen')", b"0"), (b"FLUSHALL",)):
            assert reader.ask(*words).startswith(b"-")
        assert writer.value(b"GET", b"seen") == b"1"
        for client in (writer, reader):    # and settings of the service's own are in force
            memory = client.value(b"INFO", b"memory").decode()
            assert "maxmemory:100663296" in memory and "maxmemory_policy:allkeys-lru" in memory, memory
        writer.close()
        reader.close()


def test_who_dies_or_hangs_is_left_and_the_primary_helps(site):
    with roles(site, "") as cluster:
        primary = cluster.primary()
        one, other = cluster.backups(primary)
        leads_to(cluster, primary, [one, other], "both replicas to be fit")
        with readers(cluster, primary, 12) as some:
            assert places(some) == [one, other]
            mine = [r for r in some if r.where() == one]
            cluster.signal_instance(one, signal.SIGKILL)
            until(lambda: all(r.cut() for r in mine), 5, "its connections to be cut")
        leads_to(cluster, primary, [one, other], "it to be fit again")
        with readers(cluster, primary, 12) as some:
            assert places(some) == [one, other]
            pids = [cluster.pid(name) for name in (one, other)]
            os.kill(pids[0], signal.SIGSTOP)                    # hangs: those with nothing under way are led on
            try:
                until(lambda: not candidate(cluster, primary, one)["well"], 10, "it to be found hung")
                leads_to(cluster, primary, [other], "one to be left")
                assert places(some) == [other]
                os.kill(pids[1], signal.SIGSTOP)
                until(lambda: not candidate(cluster, primary, other)["well"], 10, "it to be found hung")
                leads_to(cluster, primary, [primary], "the primary to help")
                assert places(some) == [primary]
                assert b"NOPERM" in some[0].ask(b"SET", b"k", b"v")
                assert fresh(cluster, one) == primary           # from another node too, and no more than that
                with readers(cluster, one, 1) as far:
                    assert b"NOPERM" in far[0].ask(b"SET", b"k", b"v")
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
            until(lambda: {r["well"] for r in (candidate(cluster, primary, n) for n in (one, other))} == {True}, 20, "both to be well")
            until(lambda: primary not in places(some), 10, "those at the primary to be led to a replica")
        assert counter(cluster, primary, "readers_at_primary") > 0
        assert counter(cluster, primary, "readers_left") > 0


def test_who_is_too_far_behind_gets_no_readers(site):
    with roles(site, "lag-time = 2s") as cluster:
        primary = cluster.primary()
        one, other = cluster.backups(primary)
        leads_to(cluster, other, [one, other], "both replicas to be fit")
        with readers(cluster, other, 8) as some:
            assert places(some) == [one, other]
            cluster.net.cut(*both_ways([primary], [one]))
            until(lambda: candidate(cluster, other, one)["lag_seconds"] > 2, 20, "it to be 2 s behind")
            until(lambda: places(some) == [other], 5, "who is behind to be left")
            assert candidate(cluster, other, one)["lag_seconds"] > 2 > candidate(cluster, other, other)["lag_seconds"]
            assert {fresh(cluster, other) for _ in range(8)} == {other}
            cluster.net.heal()
            until(lambda: fresh(cluster, other) == one, 60, "it to have caught up")
        assert candidate(cluster, other, one)["lag_seconds"] <= 1


def test_readers_go_on_while_control_hangs(site):
    with roles(site, "") as cluster:
        primary = cluster.primary()
        front = cluster.backups(primary)[0]
        leads_to(cluster, front, cluster.backups(primary), "both replicas to be fit")
        with readers(cluster, front, 4) as some:
            before = [r.where() for r in some]
            pid = cluster[front].pid("control")
            os.kill(pid, signal.SIGSTOP)
            try:
                ends = time.monotonic() + 3
                while time.monotonic() < ends:
                    assert [r.where() for r in some] == before
                    assert fresh(cluster, front) in cluster.backups(primary)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def test_readers_leave_a_replica_that_becomes_primary(site):
    with roles(site, "replicas-only = yes", sync=1) as cluster:
        primary = cluster.primary()
        one, other = cluster.backups(primary)
        leads_to(cluster, other, [one, other], "both replicas to be fit")
        with readers(cluster, other, 8) as some:
            assert places(some) == [one, other]
            cluster[other].command("switchover", "cache", "to", one)
            until(lambda: cluster.primary() == one, 20, "the switchover")
            until(lambda: fresh(cluster, other) == primary, 20, "the old primary to be a replica")
            assert one not in places(some)
            assert all(b"NOPERM" in r.ask(b"SET", b"k", b"v") for r in some)


def test_who_was_too_far_behind_is_promoted_by_force_only(site):
    """c votes, and hears both; b cannot fetch from a for longer than lag-time, and then a's node is lost."""
    with Roles(site, "abc", sync=0, on="ab", more="lag-time = 3s") as cluster:
        cluster.start()
        cluster.await_members("abc")
        primary = cluster.settle("ab")
        other = "b" if primary == "a" else "a"
        front = Client(cluster, "c")
        assert front.ask(b"SET", b"both", b"1") == b"+OK"
        until(lambda: candidate(cluster, "c", other)["lag_seconds"] < 1, 10, "b to have it")
        cluster.net.cut(*both_ways([primary], [other]))
        until(lambda: candidate(cluster, "c", other)["lag_seconds"] > 6, 20, "the lag to grow")
        assert front.ask(b"SET", b"one", b"1") == b"+OK"
        front.close()
        cluster[primary].kill()
        until(lambda: "lag-time" in cluster.role(other).get("waits", ""), 20, "it to say why it waits")
        assert cluster.role(other)["primary"] == primary and not cluster.role(other)["acts"]
        assert "too far behind" in candidate(cluster, other, other)["why_not"]
        cluster[other].command("failover", "cache", "to", other, "--force", "--yes", seconds=60)
        until(lambda: cluster.role("c").get("primary") == other and cluster.role("c").get("acts"), 20, "it to act")
        front = Client(cluster, "c")
        assert front.value(b"GET", b"both") == b"1"
        assert front.value(b"GET", b"one") is None
        front.close()
