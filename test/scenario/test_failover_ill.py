"""A primary that is there and does not do what it should: it answers PING and refuses writes, or its disk is full; it is seen and replaced, and
a replica with a full disk takes nothing down. And whoever reaches an instance past its listener: what a deposed primary refuses.
"""
import base64
import contextlib
import hashlib
import hmac
import os
import socket
import subprocess
import threading
import time

import pytest
from cluster import now
from holdfast import PATIENCE, until
from roles import Client, Roles

DISK_MB = 64


@pytest.fixture
def cluster(site):
    with Roles(site, "abc", sync=1) as made:
        yield made.begin()


def password(cluster, whose=""):
    """What whoever can read the cluster's key can derive: HKDF (RFC 5869) of the key in use; whose: "" the agents', " gate"."""
    with open(cluster.key) as f:
        secret = next(base64.b64decode(line.split()[2]) for line in f if not line.startswith("#") and line.split()[1] == "use")
    key = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(key, f"holdfast instance cache{whose}".encode() + b"\x01", hashlib.sha256).hexdigest().encode()


class Direct(Client):
    """Past the listener, to the instance's own port."""

    def __init__(self, cluster, name, user=None, secret=None):
        super().__init__(cluster, [name])
        self.name, self.user, self.secret = name, user, secret

    def connect(self):
        self.sock, self.data = self.cluster.clients.socket(socket.SOCK_STREAM), b""
        self.sock.settimeout(1 * PATIENCE)
        self.sock.connect((self.cluster.addresses[self.name], 6379))
        if self.secret:
            self.sock.sendall(b"AUTH %s %s\r\n" % (self.user, self.secret))
            assert self.line() == b"+OK"


def admin(cluster, name):
    return Direct(cluster, name, b"holdfast", password(cluster))


def replaced(cluster, site, what, fault):
    was = cluster.primary()
    with cluster.writer(*cluster.backups(was)) as writer:
        at = now()
        fault(was)
        until(lambda: cluster.events("role-promoted", since=at), 20, "another to be promoted")
        outage = writer.outage(now())
        first = next(done for _, sent, done in writer.acked if sent > cluster.events("role-promoted", since=at)[0][1]["boot_ns"])
        site.report(f"{what}: {(first - at) / 1e6:.0f} ms from the fault until another takes writes")
    assert outage < 5000 * PATIENCE
    writer.check()
    return was


def test_one_that_answers_ping_and_no_writes_is_replaced(cluster, site):
    def refuse(name):
        to = admin(cluster, name)
        assert to.ask(b"CONFIG", b"SET", b"min-replicas-to-write", b"9") == b"+OK"
        assert to.ask(b"PING") == b"+PONG"
        assert to.ask(b"SET", b"x", b"1").startswith(b"-NOREPLICAS")
    replaced(cluster, site, "it answers PING and refuses writes", refuse)


def test_one_whose_memory_is_full_goes_on(cluster):
    """Its users filled it: another one would be as full."""
    was, at = cluster.primary(), now()
    to = admin(cluster, was)
    assert to.ask(b"CONFIG", b"SET", b"maxmemory", b"1") == b"+OK"
    assert to.ask(b"SET", b"x", b"1").startswith(b"-OOM")
    time.sleep(2)
    assert not cluster.events("role-lost", "role-promoted", since=at), cluster.story(at)


@contextlib.contextmanager
def disks(cluster):
    try:
        for node in cluster.nodes.values():
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", node.state], check=True)
        yield
    finally:
        for node in cluster.nodes.values():
            node.kill()
            subprocess.run(["umount", "-l", node.state], check=False)


def fill(node):
    path = os.path.join(node.state, "filler")
    with open(path, "wb", buffering=0) as f:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while f.write(bytes(size)) == size:
                    pass
    return path


def test_a_full_disk_is_survived_at_a_replica_and_replaces_a_primary(site):
    with Roles(site, "abc", sync=1) as cluster, disks(cluster):
        cluster.begin()
        replica = cluster.backups(cluster.primary())[0]
        pid, at = cluster.pid(replica), now()
        with cluster.writer(*cluster.names) as writer:
            path = fill(cluster[replica])
            until(lambda: any("not well" in e["text"] for e in cluster[replica].events("role-instance", since=at)), 20, "the replica to be seen")
            time.sleep(2)
            os.unlink(path)
            pause = writer.pause(at)
        site.report(f"a replica's disk is full for 2 s: the longest pause was {pause:.0f} ms, {len(writer.failed)} writes failed")
        assert not cluster.events("role-promoted", since=at), cluster.story(at)
        assert cluster.pid(replica) == pid and os.path.exists(f"/proc/{pid}"), cluster.story(at)
        assert pause < 3000 * PATIENCE
        cluster.settle()
        # the coordinator's member there had no room either: with the next one's it would have no majority
        cluster.await_members(cluster.names)
        was = replaced(cluster, site, "the primary's disk is full", lambda name: fill(cluster[name]))
        os.unlink(os.path.join(cluster[was].state, "filler"))
        cluster.settle(seconds=60)


class Hammer(threading.Thread):
    """Writes with the gate's password past the gate, from a machine that the partition does not concern."""

    def __init__(self, cluster, name):
        super().__init__(daemon=True)
        self.to = Direct(cluster, name, b"default", password(cluster, " gate"))
        self.last, self.taken, self.refused, self.over = 0, 0, 0, False
        self.start()

    def run(self):
        while not self.over:
            try:
                answer = self.to.ask(b"SET", b"direct", b"1")
            except (OSError, AssertionError):
                self.to.close()
                continue
            if answer == b"+OK":
                self.last, self.taken = now(), self.taken + 1
            else:
                self.refused += 1
            time.sleep(0.001)


def test_a_deposed_primary_refuses_who_reaches_it_past_its_listener(cluster, site):
    was = cluster.primary()
    by = cluster.backups(was)
    stranger = Direct(cluster, was)
    assert stranger.ask(b"SET", b"x", b"1").startswith(b"-NOAUTH")
    wrong = Direct(cluster, was, b"default", b"0" * 64)
    with pytest.raises(AssertionError):
        wrong.connect()
    hammer = Hammer(cluster, was)
    with cluster.writer(*by) as writer:
        until(lambda: hammer.taken > 50, 10, "writes past the gate")
        at = cluster.net.cut(*((was, o) for o in by), *((o, was) for o in by))
        writer.outage(at)
        acts = min(e["boot_ns"] for _, e in cluster.await_events(1, "role-promoted", since=at, by=by))
        until(lambda: hammer.refused > 100, 10, "writes past the gate to be refused")
        time.sleep(2)
        late = (hammer.last - acts) / 1e6
        site.report(f"cut off: past the gate the last write was taken {-late:.0f} ms before another was promoted; {hammer.refused} refused since")
        assert hammer.last < acts, cluster.story(at)
        stranger.close()        # the demotion has cut it
        assert stranger.ask(b"SET", b"x", b"1").startswith(b"-NOAUTH")
        cluster.net.heal()
        cluster.settle()
        refused = hammer.refused
        until(lambda: hammer.refused > refused + 50, 10, "more of them")
        assert hammer.last < acts, cluster.story(at)
    hammer.over = True
    hammer.join(5)
    writer.check()
