"""The network that cluster tests cut does what they believe: proved by plain datagrams, without a node.

That nothing arrives is never proved by waiting: a later datagram that may pass arrives first. Where something must arrive it is said
until it does: a processor whose queue of frames is full drops some, of all networks of the machine (/proc/net/softnet_stat counts them).
"""

import os
import select
import signal
import socket
import subprocess
import sys

import pytest
from cluster import MESH_PORT, Net, both_ways
from holdfast import HERE, PATIENCE, until
from wiretap import Stranger, Tap


class Corner:
    """A machine with a socket that says and hears."""

    def __init__(self, net, name, n):
        self.machine = net.machine(name, n)
        self.socket = self.machine.socket()
        self.socket.bind((self.machine.address, MESH_PORT))
        self.socket.settimeout(5 * PATIENCE)

    def say(self, to, text):
        self.socket.sendto(text.encode(), (to.machine.address, MESH_PORT))

    def hear(self):
        return self.socket.recv(2048).decode()

    def soon(self):
        """What is heard within a moment, or nothing."""
        return self.hear() if select.select([self.socket], [], [], 0.2)[0] else ""

    def drain(self):
        """How many have come."""
        n, patience = 0, self.socket.gettimeout()
        self.socket.setblocking(False)
        try:
            while self.socket.recv(2048):
                n += 1
        except BlockingIOError:
            self.socket.settimeout(patience)
        return n


@pytest.fixture
def net(site):
    n = Net(site)
    yield n
    n.close()


@pytest.fixture
def corners(net):
    found = [Corner(net, name, n) for n, name in enumerate("abc", 1)]
    yield found
    for c in found:
        c.socket.close()


def passes(a, b, text):
    """Whether this text is the next that b hears when a says it and, after healing, something else."""
    a.say(b, text)
    a.machine.net.heal()
    heard = until(lambda: a.say(b, "end") or b.soon(), 20, "what is not cut to be heard")
    if heard != "end":
        assert heard == text
        until(lambda: a.say(b, "end") or b.soon() == "end", 20, "the end")
    b.drain()
    return heard == text


def passes_at_last(a, b, way):
    """The same of one that is not cut; `way` cuts the others, each time anew."""
    def said():
        way()
        return passes(a, b, "not cut")
    until(said, 20, f"a datagram from {a.machine.name} to {b.machine.name}")


def test_everybody_hears_everybody(corners):
    for a in corners:
        for b in corners:
            if a is not b:
                passes_at_last(a, b, lambda: None)


@pytest.mark.parametrize("cut, whole", [
    ([("a", "b")], ["ba", "ac", "ca", "bc", "cb"]),
    (both_ways("a", "b"), ["ac", "ca", "bc", "cb"]),
    (both_ways("a", "bc"), ["bc", "cb"]),
    ([("a", "b"), ("a", "c")], ["ba", "ca", "bc", "cb"]),
], ids=["one way", "both ways", "a group", "dumb but not deaf"])
def test_a_cut_cuts_what_it_names_and_nothing_else(net, corners, cut, whole):
    by_name = {c.machine.name: c for c in corners}
    for a, b in cut:
        net.cut(*cut)
        assert not passes(by_name[a], by_name[b], "cut off")
    for a, b in whole:
        passes_at_last(by_name[a], by_name[b], lambda: net.cut(*cut))


def test_a_machine_alone_has_no_way_in_or_out_and_its_link_stays_up(net, corners):
    a, b, c = corners
    for x, y in ((a, b), (b, a), (c, a), (a, c)):
        net.alone("a")
        assert not passes(x, y, "cut off")
    net.alone("a")
    link = subprocess.run([*a.machine.prefix, "ip", "-br", "link", "show", "eth0"], capture_output=True, text=True, check=True).stdout
    assert "LOWER_UP" in link
    passes_at_last(b, c, lambda: net.alone("a"))


def test_loss_is_a_share_of_one_way(net, corners):
    a, b, _ = corners
    net.lose(300, ("a", "b"))
    came = 0
    for i in range(1000):
        a.say(b, str(i))
        b.say(a, str(i))
        until(lambda: a.soon() == str(i) or b.say(a, str(i)), 20, "the other way, which loses nothing")
        a.drain()
        came += b.drain()
    net.heal()
    a.say(b, "end")
    came += len(list(iter(b.hear, "end")))
    assert 600 < came < 800  # 700 expected: the bounds are 7 deviations away


def test_a_cut_is_timed(net, corners):
    """Nothing that is sent after the call returned passes, and what the call returns lies within it."""
    from cluster import now
    before = now()
    at = net.alone("a")
    assert before <= at <= at.done <= now() < before + 1e9 * PATIENCE


def test_a_tap_hears_each_datagram_once_and_a_stranger_may_lie(net, corners):
    a, b, c = corners
    tap, stranger = Tap(net), Stranger(net.machine("stranger", 201))
    net.cut(("b", "c"))
    a.say(b, "one")
    b.say(c, "two")  # dropped at the bridge: the tap is before it
    stranger.send(b.machine.address, b"three")
    stranger.send_as(c.machine.address, b.machine.address, b"four")
    until(lambda: tap.frames >= 4, what="four frames")
    there = [c.machine.address for c in corners]
    assert list(tap.datagrams) == [(there[0], there[1], b"one"), (there[1], there[2], b"two"), (stranger.address, there[1], b"three"),
                                   (there[2], there[1], b"four")]
    assert [b.hear(), b.hear()] == ["one", "three"]
    assert b.socket.recvfrom(100) == (b"four", (there[2], MESH_PORT))
    tap.close()
    stranger.close()


LEFT_BEHIND = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
import holdfast, cluster
holdfast.isolate()
net = cluster.Net(holdfast.Site(sys.argv[2]))
machines = [net.machine(name, n) for n, name in enumerate("abc", 1)]
orphan = subprocess.Popen([*machines[0].prefix, "setsid", "sleep", "1000"])
print(*(m.pid for m in machines), net.process.pid, orphan.pid, flush=True)
sys.stdin.read()
"""


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_nothing_is_left_of_a_run_that_was_killed(site):
    """Namespaces have no name, and live as long as their processes; of these the switch takes care, even if nobody told them."""
    run = site.process([sys.executable, "-B", "-c", LEFT_BEHIND, HERE, site.directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in run.popen.stdout.readline().split()]
    assert len(pids) == 5 and not any(gone(pid) for pid in pids)
    own = os.readlink("/proc/self/ns/net")
    assert len({os.readlink(f"/proc/{pid}/ns/net") for pid in pids[:4]} - {own}) == 4
    os.kill(run.pid, signal.SIGKILL)
    until(lambda: all(gone(pid) for pid in pids), what=f"of {pids} all to be gone")


def test_a_machine_that_cannot_be_made_is_an_error_with_a_reason(net):
    net.machine("twice", 1)
    with pytest.raises(AssertionError, match="(?i)exists"):
        net.machine("twice", 2)


def test_sockets_are_where_they_were_asked_for(net):
    machine = net.machine("a", 7)
    with machine.socket() as inside, net.socket(None, socket.AF_INET, socket.SOCK_DGRAM) as outside:
        inside.bind((machine.address, 0))
        with pytest.raises(OSError):
            outside.bind((machine.address, 0))
