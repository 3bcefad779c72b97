"""The gate of a service of kind primary: what a client sees while primaries come and go.

Proxies whose cells the test writes as control would (gatectl in test/lib), in front of real Redis servers. docs/gate.md has what
is promised.
"""

import socket
import struct
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


@pytest.mark.quiet
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


@pytest.mark.quiet
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


STAMPS = 35  # SO_TIMESTAMPNS, which Python does not name


def arrived(ancillary):
    """When the kernel had the bytes, by CLOCK_BOOTTIME."""
    seconds, ns = next(struct.unpack("qq", data) for _, kind, data in ancillary if kind == STAMPS)
    ago = time.clock_gettime_ns(time.CLOCK_REALTIME) - seconds * 10**9 - ns
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ago


class Instance(threading.Thread):
    """Takes every byte, notes when it came, answers each command with +OK."""

    def __init__(self, address, answers=True):
        super().__init__(daemon=True)
        self.listening = socket.create_server(address)
        self.listening.setsockopt(socket.SOL_SOCKET, STAMPS, 1)  # who is accepted inherits it: no byte comes before
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
            while True:
                data, ancillary, _, _ = s.recvmsg(65536, 64)
                if not data:
                    break
                self.last = arrived(ancillary) if ancillary else self.last
                self.got += len(data)
                if self.answers:
                    s.sendall(b"+OK\r\n" * data.count(b"PING"))
        except OSError:
            pass
        s.close()
        self.cut = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def stop(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


@pytest.mark.quiet
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
            assert 0 < instance.last <= until_ns + 10**6
            until(lambda: instance.cut >= until_ns - 10**6)
            assert instance.cut <= until_ns + 20 * 10**6 * PATIENCE
    finally:
        instance.stop()
        c.redis.clear()


@pytest.mark.parametrize("cells", [{"gate": 0}, {"lease_epoch": 9}, {"lease_until": 1}])
def test_nothing_is_sent_on_what_was_true_before(cluster, cells):
    """Nobody is told, and no timer is due: the very next byte is held back all the same."""
    c = cluster(1)
    c.redis[0].stop()
    c.redis.clear()
    instance = Instance((c.hosts[0], c.port))
    try:
        for _ in range(20):
            c.gates[0].open(7)
            t = c.gates[0].talk()
            assert t.do("PING") == "OK"
            got = instance.got
            c.gates[0].quiet(**cells)
            t.send("PING")
            until(lambda: c.gates[0].row()["held"] == 1)
            assert instance.got == got
            c.gates[0].open(7)
            assert t.read() == "OK"
            t.close()
            until(lambda: c.gates[0].row()["tunnels"] == 0)
    finally:
        instance.stop()


@pytest.mark.quiet
def test_the_deadline_cuts_who_only_waits(cluster):
    """No byte comes that could make anybody look at the clock."""
    c = cluster(1)
    late = []
    for lease in (90, 130, 170, 210, 250, 290):
        until_ns = c.gates[0].open(epoch=lease, lease_ms=lease)["now"] + lease * 10**6
        t = c.gates[0].talk()
        t.send("BLPOP", "nothing", 0)
        assert ends(t)
        late.append(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - until_ns)
    assert min(late) > 0 and sorted(late)[2] < 20 * 10**6 * PATIENCE  # a tick would be 125 ms late, half the time


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


@pytest.mark.quiet
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
    until(lambda: [c.gates[0].row()[k] for k in ("cut_deposed", "held", "tunnels")] == [1, 1, 0])
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


@pytest.mark.parametrize("front", [0, 1])
def test_who_is_demoted_ends_no_client(cluster, front):
    """Its connections end before anybody was told that the gate has shut: clients are led on, through one node and through two."""
    c = cluster(2)
    killed = 0
    for _ in range(10):
        c.elect(0)
        t = c.gates[front].talk()
        assert t.do("CLIENT", "SETNAME", "me") == "OK"
        c.gates[0].quiet(gate=0)
        killed += c.redis[0].do("CLIENT", "KILL", "TYPE", "normal")  # none, where the gate has looked by itself
        c.elect(1)
        assert t.do("CLIENT", "GETNAME") == "me"
        t.close()
    assert killed > 0


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


def test_a_gate_with_the_wrong_secret_lets_nobody_in(cluster, capfd):
    """The clients wait, the log says why, and the right secret lets them go on."""
    c = cluster(1)
    c.redis[0].do("CONFIG", "SET", "requirepass", "s3cret")
    c.gates[0].tell("secret another")
    c.elect(0)
    t = c.gates[0].talk()
    t.send("SET", "a", 1)
    until(lambda: c.gates[0].row()["held_total"] == 1)
    c.gates[0].tell("secret s3cret")
    assert t.read() == "OK"
    said = capfd.readouterr().err
    assert said.count("refuses the gate's password") == 1 and "another" not in said


# --- synchronous ---


def test_a_reply_waits_for_the_replicas(cluster):
    """Withheld while no replica in sync has the write; given once one has. Pipelined, and reads too."""
    c = cluster(3)
    c.replicate(0)
    c.elect(0, sync=1, insync=0b011)
    t, other = c.gates[0].talk(), c.gates[1].talk()
    assert t.do("SET", "a", 0) == "OK"
    c.redis[1].pause()
    try:
        for i in range(100):
            t.send("INCR", "a")
        other.send("GET", "a")
        until(lambda: c.redis[0].do("GET", "a") == "100")
        until(lambda: c.redis[2].do("GET", "a") == "100")  # it has it, and does not count
        since = until(lambda: c.gates[0].row()["commit_since"])
        t.s.settimeout(0.3)
        other.s.settimeout(0.1)
        for x in (t, other):
            with pytest.raises(TimeoutError):
                x.more()
            x.s.settimeout(20 * PATIENCE)
        assert c.gates[0].row()["commit_since"] == since  # the goal does not move
    finally:
        c.redis[1].resume()
    assert [t.read() for _ in range(100)] == list(range(1, 101))
    assert int(other.read()) <= 100
    assert c.gates[0].row()["commit_since"] == 0


@pytest.mark.quiet
def test_what_is_in_sync_is_controls_to_say(cluster):
    """A replica is lost: replies wait until control has shrunk the set, and go at once then."""
    c = cluster(3)
    c.replicate(0)
    c.elect(0, sync=1, insync=0b011)
    t = c.gates[0].talk()
    c.redis[1].pause()
    try:
        t.send("SET", "a", 1)
        until(lambda: c.gates[0].row()["commit_since"])
        began = time.monotonic()
        c.gates[0].set(insync=0b101)
        assert t.read() == "OK"
        assert time.monotonic() - began < 0.1 * PATIENCE
        c.gates[0].set(insync=0b001, sync=1)
        t.send("SET", "a", 2)
        until(lambda: c.gates[0].row()["commit_since"])
        c.gates[0].set(sync=0)
        assert t.read() == "OK"
        assert t.do("GET", "a") == "2"
    finally:
        c.redis[1].resume()


def test_what_is_withheld_is_never_given_after_the_gate_has_shut(cluster):
    c = cluster(2)
    c.replicate(0)
    c.elect(0, sync=1, insync=0b11)
    t = c.gates[0].talk()
    assert t.do("SET", "a", 1) == "OK"
    c.redis[1].pause()
    try:
        t.send("SET", "a", 2)
        until(lambda: c.gates[0].row()["commit_since"])
        c.gates[0].shut()
    finally:
        c.redis[1].resume()
    assert ends(t) and t.have == b""
    assert c.gates[0].row()["commit_since"] == 0


def test_a_slow_reader_costs_a_bounded_amount(cluster):
    """Replies that nobody reads, and replies that no replica confirms: the instance is read no further than a block each."""
    c = cluster(2)
    c.replicate(0)
    c.elect(0)
    assert c.redis[0].do("SET", "big", "x" * 100_000) == "OK"
    slow = [g.talk() for g in c.gates for _ in range(10)]
    for t in slow:
        t.s.sendall(command("GET", "big") * 200)
    until(lambda: c.gates[0].row()["buffers"] > 5 * 32768)
    time.sleep(0.3)  # more comes if more may
    for g in c.gates:
        assert g.row()["buffers"] < (2 * len(slow) + 4) * 33000
    for t in slow:
        assert [len(t.read()) for _ in range(200)] == [100_000] * 200
    c.gates[0].set(sync=1, insync=0b11)
    c.redis[1].pause()
    try:
        for t in slow:
            t.s.sendall(command("GET", "big") * 50)
        until(lambda: c.gates[0].row()["commit_since"])
        time.sleep(0.3)
        assert c.gates[0].row()["buffers"] < (2 * len(slow) + 4) * 33000
    finally:
        c.redis[1].resume()
    for t in slow:
        assert [len(t.read()) for _ in range(50)] == [100_000] * 50


# --- planned switchovers ---


def caught_up(c, old, new):
    return c.redis[new].info().get("slave_repl_offset") == c.redis[old].info()["master_repl_offset"]


def switch(c, old, new, **more):
    """As control does it: hold, wait for quiet, wait for the target, demote, promote. Returns how long writers waited."""
    began = time.monotonic()
    c.gates[old].set(hold="+5000")
    until(lambda: c.gates[old].row()["quiet"] == 2)
    until(lambda: caught_up(c, old, new))
    c.gates[old].quiet(gate=0)
    c.redis[new].follow(None)
    for i, r in enumerate(c.redis):
        if i != new:
            r.follow(c.redis[new], wait=False)
    c.elect(new, **more)
    return time.monotonic() - began


@pytest.mark.parametrize("sync", [0, 1])
def test_no_command_fails_in_planned_switchovers(cluster, sync):
    """50 of them, round the nodes, with writers at each node, one of them pipelining: each count is what was acknowledged."""
    c = cluster(3)
    c.replicate(0)
    c.elect(0, sync=sync, insync=0b111)
    writers = [Writer(g.address, f"w{g.place}.{p}", pipeline=p) for g in c.gates for p in (1, 20)]
    place = 0
    for i in range(50):
        until(lambda: all(r.info().get("master_link_status", "up") == "up" for r in c.redis))
        seen = [w.acknowledged for w in writers]
        switch(c, place, (place + 1) % 3, sync=sync, insync=0b111)
        place = (place + 1) % 3
        until(lambda: all(w.failed or w.acknowledged > n for w, n in zip(writers, seen)))
        assert [w.failed for w in writers] == [[]] * len(writers), f"round {i}"
    for w in writers:
        w.stop()
    assert [int(c.redis[place].do("GET", w.key)) for w in writers] == [w.acknowledged for w in writers]
    assert sum(g.row()["cut_deposed"] for g in c.gates) == 0
    assert sum(g.row()["led_on"] for g in c.gates) >= 50


def test_a_connection_is_led_on_with_what_it_is(cluster):
    c = cluster(2)
    c.replicate(0)
    c.redis[0].do("ACL", "SETUSER", "ann", "on", ">pw", "~*", "+@all")
    c.redis[1].do("ACL", "SETUSER", "ann", "on", ">pw", "~*", "+@all")
    c.elect(0)
    talks = [g.talk() for g in c.gates]
    for t in talks:
        assert t.do("HELLO", 3, "AUTH", "ann", "pw")["proto"] == 3
        assert t.do("SELECT", 5) == t.do("CLIENT", "SETNAME", "me") == "OK"
        assert "DB index" in str(t.do("SELECT", 99))
    switch(c, 0, 1)
    for i, t in enumerate(talks):
        assert t.do("SET", f"k{i}", 1) == "OK"
        assert (t.do("CLIENT", "GETNAME"), t.do("ACL", "WHOAMI")) == ("me", "ann")
        assert t.do("HELLO")["proto"] == 3
    assert c.redis[1].do("INFO", "keyspace").find("db5:keys=2") > 0


def test_who_cannot_be_led_on_is_cut(cluster):
    """Within a transaction, watching, subscribed, blocked: they learn of it. The others do not."""
    c = cluster(2)
    c.replicate(0)
    c.elect(0)
    fixed = []
    for g in c.gates:
        for words in (("MULTI",), ("WATCH", "x"), ("SUBSCRIBE", "x"), ("CLIENT", "TRACKING", "on", "BCAST", "NOLOOP")):
            t = g.talk()
            if words[0] == "CLIENT":
                t.do("HELLO", 3)
            assert not isinstance(t.do(*words), Exception)
            fixed.append(t)
        t = g.talk()
        t.send("BLPOP", "nothing", 0)
        fixed.append(t)
    until(lambda: c.redis[0].do("INFO", "clients").find("blocked_clients:2") > 0)
    free = [g.talk() for g in c.gates]
    assert [t.do("INCR", "n") for t in free] == [1, 2]
    switch(c, 0, 1)
    assert all(ends(t) for t in fixed)
    assert [t.do("INCR", "n") for t in free] == [3, 4]


def test_a_hold_that_is_called_off_goes_unnoticed(cluster):
    c = cluster(2)
    c.elect(0)
    talks = [g.talk() for g in c.gates for _ in range(2)]
    assert all(isinstance(t.do("INCR", "n"), int) for t in talks)
    c.gates[0].set(hold="+1000")
    began = time.monotonic()
    for t in talks:
        t.send("INCR", "n")
    new = c.gates[0].talk()
    new.send("INCR", "n")
    time.sleep(0.1)
    assert c.redis[0].do("GET", "n") == "4"
    assert sorted(t.read() for t in [*talks, new]) == [5, 6, 7, 8, 9]
    assert time.monotonic() - began >= 0.95


def part_of_a_command(redis):
    """The most bytes of a command that the instance has from one of its clients, and that are not all of it."""
    return max(int(word[5:]) for word in redis.do("CLIENT", "LIST").split() if word.startswith("qbuf="))


def test_a_large_command_is_finished_before_the_hold(cluster):
    """Larger than all that is kept: what has begun is let through to its end, what has not is not."""
    c = cluster(2)
    c.replicate(0)
    c.elect(0)
    for g in c.gates:
        t = g.talk()
        whole = command("SET", "big", "x" * 3_000_000)
        t.s.sendall(whole[:1_000_000])
        until(lambda: part_of_a_command(c.redis[0]) > 32768)  # what is only kept by a gate has not begun
        c.gates[0].set(hold="+5000")
        time.sleep(0.05)
        assert c.gates[0].row()["quiet"] < 2
        t.s.sendall(whole[1_000_000:])
        assert t.read() == "OK"
        until(lambda: c.gates[0].row()["quiet"] == 2)
        t.send("PING")
        c.gates[0].set(hold=0)
        assert t.read() == "PONG"


def test_large_commands_over_new_hops(cluster):
    """A hop that is new finds more at once than fits beside what introduced it: all of it goes on."""
    c = cluster(2)
    c.elect(0)
    for i in range(20):
        assert c.gates[1].talk().do("SET", f"big{i}", "x" * 300_000) == "OK"


def test_the_node_of_a_hop_is_lost(cluster):
    """Its connections hang; the record names another: those with nothing under way go on there, the others are cut within 1 s."""
    c = cluster(3)
    c.elect(0)
    idle, busy = c.gates[1].talk(), c.gates[1].talk()
    assert idle.do("INCR", "n") == 1 and busy.do("INCR", "n") == 2
    c.gates[0].process.send_signal(19)
    busy.send("INCR", "n")
    c.epoch += 1
    c.gates[2].open(c.epoch)
    c.gates[1].set(epoch=c.epoch, primary=3)
    assert idle.do("INCR", "n") == 1
    began = time.monotonic()
    assert ends(busy)
    assert time.monotonic() - began < 1.5 * PATIENCE
