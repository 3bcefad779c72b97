"""The gate of a service of kind primary: what a client sees while primaries come and go.

Proxies whose cells the test writes as control would (gatectl in test/lib), in front of real Redis servers. docs/gate.md has what
is promised.
"""

import socket
import threading
import time

import pytest

from gates import Broken, Cluster, Talk, command
from holdfast import PATIENCE, until


@pytest.fixture
def cluster():
    made = []

    def make(n=3, **options):
        made.append(Cluster(n, **options))
        return made[-1]

    yield make
    for c in made:
        c.close()


def ends(talk):
    """The gate has cut it."""
    try:
        while True:
            talk.more()
    except (Broken, OSError):
        return True


class Writer(threading.Thread):
    """Counts up in a key of its own, a command at a time; notes what fails and the longest pause."""

    def __init__(self, address, key, pipeline=1):
        super().__init__(daemon=True)
        self.address, self.key, self.pipeline = address, key, pipeline
        self.failed, self.acknowledged, self.pause = [], 0, 0.0
        self.stopping = False
        self.start()

    def run(self):
        t = Talk(self.address)
        while not self.stopping:
            began = time.monotonic()
            try:
                t.s.sendall(command("INCR", self.key) * self.pipeline)
                for _ in range(self.pipeline):
                    reply = t.read()
                    if isinstance(reply, Exception):
                        raise Broken(str(reply))
                    self.acknowledged = reply
            except (Broken, OSError) as e:
                self.failed.append(str(e))
                return
            self.pause = max(self.pause, time.monotonic() - began)

    def stop(self):
        self.stopping = True
        self.join(20 * PATIENCE)
        assert not self.is_alive()


# --- the way ---


def test_all_nodes_lead_to_the_primary(cluster):
    c = cluster()
    c.elect(1)
    talks = [g.talk() for g in c.gates]
    for i, t in enumerate(talks):
        assert t.do("SET", f"k{i}", i) == "OK"
    assert [c.redis[1].do("GET", f"k{i}") for i in range(3)] == ["0", "1", "2"]
    assert c.redis[0].do("DBSIZE") == c.redis[2].do("DBSIZE") == 0


def test_nobody_is_passed_on_twice(cluster):
    """Two nodes that name each other: the client waits, and goes round no circle."""
    c = cluster(2)
    c.gates[0].set(epoch=1, primary=2)
    c.gates[1].set(epoch=1, primary=1)
    t = c.gates[0].talk()
    t.send("PING")
    until(lambda: c.gates[0].row()["held_total"] >= 1)
    assert c.gates[1].row()["relayed"] == 0
    c.gates[1].open(2)
    c.gates[0].set(epoch=2, primary=2)
    assert t.read() == "PONG"


def test_new_clients_wait_until_somebody_is_primary(cluster):
    c = cluster(2)
    talks = [g.talk() for g in c.gates for _ in range(5)]
    for i, t in enumerate(talks):
        t.send("INCR", "n")
    until(lambda: sum(g.row()["held"] for g in c.gates) == len(talks))
    assert c.redis[0].do("GET", "n") is None
    c.elect(0)
    began = time.monotonic()
    assert sorted(t.read() for t in talks) == list(range(1, 11))
    assert time.monotonic() - began < 0.2 * PATIENCE  # told, not found at the next tick
    assert sum(g.row()["held"] for g in c.gates) == 0


def test_who_waits_is_bounded_in_time_and_number(cluster):
    c = cluster(1, hold=300, clients=3)
    talks = [c.gates[0].talk() for _ in range(3)]
    until(lambda: c.gates[0].row()["held"] == 3)
    began = time.monotonic()
    try:
        assert ends(c.gates[0].talk())
    except ConnectionError:
        pass  # before it knew that it was there
    assert time.monotonic() - began < 0.25
    assert all(ends(t) for t in talks)
    assert time.monotonic() - began >= 0.2
    assert c.gates[0].row()["hold_refused"] == 4 and c.gates[0].row()["held"] == 0


def test_who_gives_up_waiting_is_forgotten(cluster):
    c = cluster(1)
    t = c.gates[0].talk()
    until(lambda: c.gates[0].row()["held"] == 1)
    t.close()
    until(lambda: c.gates[0].row()["held"] == 0)


# --- the deadline ---


class Instance(threading.Thread):
    """Takes every byte, notes when it came, answers each command with +OK."""

    def __init__(self, address, answers=True):
        super().__init__(daemon=True)
        self.listening = socket.create_server(address)
        self.answers, self.last, self.cut, self.got = answers, 0, 0, 0
        self.start()

    def run(self):
        while True:
            try:
                s, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            while data := s.recv(65536):
                self.last = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                self.got += len(data)
                if self.answers:
                    s.sendall(b"+OK\r\n" * data.count(b"PING"))
        except OSError:
            pass
        self.cut = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def stop(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


def test_nothing_reaches_the_instance_after_the_deadline(cluster):
    """Control is stopped: nobody writes a cell, nobody tells the workers. The gate shuts by itself, to the millisecond."""
    c = cluster(1, hold=300)
    c.redis[0].stop()
    instance = Instance((c.hosts[0], c.port))
    try:
        for lease in (150, 40, 300):
            until_ns = c.gates[0].open(epoch=lease, lease_ms=lease)["now"] + lease * 10**6
            talks = [c.gates[0].talk() for _ in range(4)]

            def write(t):
                try:
                    while True:
                        t.s.sendall(command("PING"))
                        t.read()
                except (Broken, OSError):
                    pass

            threads = [threading.Thread(target=write, args=(t,), daemon=True) for t in talks]
            for x in threads:
                x.start()
            for x in threads:
                x.join(10 * PATIENCE)
                assert not x.is_alive()
            assert instance.got > 0
            # what was handed to the kernel before may be read a moment later by this test
            assert instance.last <= until_ns + 5 * 10**6 * PATIENCE
            until(lambda: instance.cut >= until_ns - 10**6)
            assert instance.cut <= until_ns + 20 * 10**6 * PATIENCE
    finally:
        instance.stop()
        c.redis.clear()


def test_a_lease_that_is_renewed_keeps_it_open(cluster):
    c = cluster(1)
    c.gates[0].open(epoch=1, lease_ms=200)
    c.gates[0].tell("flood 200 50")
    t = c.gates[0].talk()
    end = time.monotonic() + 1
    n = 0
    while time.monotonic() < end:
        n += 1
        assert t.do("INCR", "n") == n
    assert c.gates[0].row()["cut_deposed"] == 0


@pytest.mark.parametrize("cells", [{"gate": 0}, {"lease_epoch": 9}, {"lease_until": 1}])
def test_a_deposed_primary_is_cut_at_once(cluster, cells):
    """Those that wait for a reply are cut: nobody knows what became of the command. Those that wait for nothing go on later."""
    c = cluster(1)
    c.elect(0)
    busy, idle = c.gates[0].talk(), c.gates[0].talk()
    assert idle.do("CLIENT", "SETNAME", "me") == "OK"
    busy.send("BLPOP", "nothing", 0)
    until(lambda: c.redis[0].do("INFO", "clients").find("blocked_clients:1") > 0)
    began = time.monotonic()
    c.gates[0].set(**cells)
    assert ends(busy)
    assert time.monotonic() - began < 0.1 * PATIENCE
    row = c.gates[0].row()
    assert (row["cut_deposed"], row["held"], row["tunnels"]) == (1, 1, 0)
    until(lambda: len(c.redis[0].do("CLIENT", "LIST").splitlines()) == 1)  # ours that asks
    c.elect(0)
    assert idle.do("CLIENT", "GETNAME") == "me"


def test_a_plain_service_is_cut_too(cluster):
    """A service whose bytes mean nothing to us: the deadline is all that there is."""
    c = cluster(1, agent="process")
    c.elect(0)
    t = c.gates[0].talk()
    assert t.do("PING") == "PONG"
    c.gates[0].shut()
    assert ends(t)


def test_the_way_back_from_an_instance_that_ends(cluster):
    """QUIT: the reply arrives, then the end, through one node and through two."""
    c = cluster(2)
    c.elect(0)
    for g in c.gates:
        t = g.talk()
        assert t.do("QUIT") == "OK"
        with pytest.raises(Broken, match="end"):
            t.more()


def test_the_gate_speaks_its_secret(cluster):
    c = cluster(2)
    c.redis[0].do("CONFIG", "SET", "requirepass", "s3cret")
    assert "NOAUTH" in str(c.redis[0].do("GET", "a"))
    c.gates[0].tell("secret s3cret")
    c.elect(0)
    for g in c.gates:
        t = g.talk()
        assert t.do("INCR", "n") in (1, 2)
        assert "WRONGPASS" in str(t.do("AUTH", "other"))
