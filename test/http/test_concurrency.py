"""Requests at a time: no more than allowed are under way, the others wait in their order, and nobody waits for ever."""

import threading
import time

import pytest

import raw
from holdfast import until
from metrics import of_service
from raw import OK, get, post


class Held:
    """An origin that answers when it is told, and counts how many requests it has."""

    def __init__(self, port):
        self.lock, self.inside, self.most, self.served = threading.Lock(), 0, 0, []
        self.gate = threading.Semaphore(0)
        self.origin = raw.Origin(port, self.behave)
        self.address = self.origin.address

    def behave(self, peer):
        while True:
            head = peer.message()
            with self.lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self.served.append(head.line.split()[1])
            self.gate.acquire()
            with self.lock:
                self.inside -= 1
            peer.send(OK)

    def answer(self, n=1):
        for _ in range(n):
            self.gate.release()

    def close(self):
        self.answer(1000)
        self.origin.close()


class Crowd:
    def __init__(self, site, lines, origins=1, workers=2):
        self.origins = [Held(site.port()) for _ in range(origins)]
        self.origin, self.workers = self.origins[0], workers
        self.port = site.port()
        self.node = site.node(self.config(lines), self.port)
        self.asking = []

    def config(self, lines):
        backends = "".join(f"  backend {o.address} {{ name = {n} }}\n" for n, o in zip("abc", self.origins))
        return (f"workers = {self.workers}\nservice web {{\n  listen = http://127.0.0.1:{self.port}\n"
                f"  balance = round-robin\n  check = none\n{backends}\n{lines}\n}}\n")

    def ask(self, target="/", *fields):
        """A request under way on a connection of its own."""
        peer = raw.connect(self.port, 20)
        peer.send(get(target, *fields))
        self.asking.append(peer)
        return peer

    def inside(self):
        return sum(o.inside for o in self.origins)

    def waiting(self):
        return of_service(self.node, "waiting_requests")

    def close(self):
        for p in self.asking:
            p.close()
        for o in self.origins:
            o.close()


@pytest.fixture
def crowd(site):
    made = []

    def make(*args, **options):
        made.append(Crowd(site, *args, **options))
        return made[-1]

    yield make
    for m in made:
        m.close()


def fill(c, n, wait):
    """n requests, of which `wait` find no place."""
    peers = [c.ask(f"/{i}") for i in range(n)]
    until(lambda: c.inside() == n - wait and c.waiting() == wait, what=f"{wait} to wait of {n}")
    return peers


def test_the_others_wait_for_the_service(crowd):
    c = crowd("concurrency { requests = 3 }")
    peers = fill(c, 10, wait=7)
    for left in range(6, -1, -1):
        c.origin.answer()
        until(lambda: c.waiting() == left)
    c.origin.answer(10)
    assert [p.message().status for p in peers] == [200] * 10
    assert c.origin.most == 3
    until(lambda: c.waiting() == 0)
    assert of_service(c.node, "waited_requests_total") == 7


def test_they_go_in_their_order(crowd):
    c = crowd("concurrency { requests = 1 }", workers=1)
    peers = []
    for i in range(8):      # one after the other
        peers.append(c.ask(f"/{i}"))
        until(lambda: c.waiting() == i)
    c.origin.answer(8)
    assert [p.message().status for p in peers] == [200] * 8
    assert c.origin.served == [f"/{i}" for i in range(8)]


def test_a_limit_for_each_backend(crowd):
    c = crowd("concurrency { per-backend = 2 }", origins=3)
    peers = fill(c, 9, wait=3)
    assert [o.inside for o in c.origins] == [2, 2, 2]
    for o in c.origins:
        o.answer(9)
    assert [p.message().status for p in peers] == [200] * 9
    assert [o.most for o in c.origins] == [2, 2, 2]


def test_a_backend_s_own_limit_counts(crowd, site):
    c = crowd("concurrency { per-backend = 3 }", origins=2)
    text = c.config("concurrency { per-backend = 3 }").replace("name = a", "name = a  max-requests = 1")
    c.node.reload(text)
    fill(c, 6, wait=2)
    assert [o.inside for o in c.origins] == [1, 3]


def test_as_many_wait_as_may(crowd):
    c = crowd("concurrency { requests = 2  queue = 3 }")
    fill(c, 5, wait=3)
    refused = c.ask().message()
    assert (refused.status, refused.get("retry-after")) == (503, "1")
    assert b"no more requests may wait" in refused.content
    assert of_service(c.node, "overflowed_requests_total") == 1


def test_nobody_waits_longer_than_allowed(crowd):
    c = crowd("concurrency { requests = 1  wait = 300ms }")
    c.ask("/first")
    until(lambda: c.inside() == 1)
    began = time.monotonic()
    refused = c.ask("/second").message()
    assert refused.status == 503 and b"waited for as long as it may" in refused.content
    assert time.monotonic() - began > 0.25
    assert of_service(c.node, "outwaited_requests_total") == 1
    assert c.origin.served == ["/first"]


def test_without_a_queue_the_others_are_refused(crowd):
    c = crowd("concurrency { requests = 2  queue = 0 }")
    fill(c, 2, wait=0)
    assert c.ask().message().status == 503
    c.origin.answer()
    until(lambda: c.inside() == 1)
    until(lambda: c.ask("/again") and (until(lambda: c.inside() == 2) or True))


def test_clients_that_leave_make_room(crowd):
    c = crowd("concurrency { requests = 1 }")
    first = c.ask("/0")
    until(lambda: c.inside() == 1)
    second, third = c.ask("/1"), c.ask("/2")
    until(lambda: c.waiting() == 2)
    second.reset()
    until(lambda: c.waiting() == 1)
    first.reset()           # the one that has the place
    c.origin.answer()
    until(lambda: c.inside() == 1)
    c.origin.answer()
    assert third.message().status == 200
    assert "/1" not in c.origin.served


def test_a_waiting_request_s_body_is_sent_on(crowd):
    c = crowd("concurrency { requests = 1 }")
    c.ask("/first")
    until(lambda: c.inside() == 1)
    peer = raw.connect(c.port, 20)
    peer.send(post(b"x" * 100000))
    until(lambda: c.waiting() == 1)
    c.origin.answer(2)
    assert peer.message().status == 200
    peer.close()
    assert c.origin.origin.received.count(b"x" * 100000) == 1


def test_a_reload_changes_the_limit_for_those_who_wait(crowd):
    c = crowd("concurrency { requests = 1 }")
    peers = fill(c, 6, wait=5)
    c.node.reload(c.config("concurrency { requests = 4 }"))
    until(lambda: c.inside() == 4 and c.waiting() == 2)
    c.node.reload(c.config("concurrency { requests = 2 }"))
    c.origin.answer(2)
    until(lambda: c.inside() == 2)
    assert c.waiting() == 2
    c.node.reload(c.config(""))     # no limit any more
    until(lambda: c.inside() == 4 and c.waiting() == 0)
    c.origin.answer(10)
    assert [p.message().status for p in peers] == [200] * 6


def test_a_session_waits_for_its_own_backend(crowd):
    c = crowd("concurrency { per-backend = 1 }\n  sticky { cookie = SRV }", origins=2)
    first = c.ask("/new")
    until(lambda: c.inside() == 1)
    owner = next(o for o in c.origins if o.inside)
    other = next(o for o in c.origins if not o.inside)
    owner.answer()
    cookie = first.message().get("set-cookie").split(";")[0]
    c.ask("/held", f"Cookie: {cookie}")
    until(lambda: owner.inside == 1)
    mine = c.ask("/mine", f"Cookie: {cookie}")
    until(lambda: c.waiting() == 1)
    c.ask("/stranger")          # does not pass it at first ...
    until(lambda: other.inside == 1, what="who could go on to go on")
    assert c.waiting() == 1
    owner.answer()
    until(lambda: "/mine" in owner.served)
    owner.answer()
    assert mine.message().get("set-cookie") is None
    assert "/mine" not in other.served


def test_a_dead_backend_s_requests_wait_for_the_others(crowd):
    c = crowd("concurrency { per-backend = 1 }\n  retry { on = {connect}  attempts = 3 }", origins=2)
    c.origins[1].origin.refuse()
    peers = [c.ask(f"/{i}") for i in range(4)]
    until(lambda: c.origins[0].inside == 1 and c.waiting() == 3)
    c.origins[0].answer(4)
    assert [p.message().status for p in peers] == [200] * 4
    assert c.origins[0].most == 1


def test_tunnels_keep_their_place(crowd):
    c = crowd("concurrency { requests = 1 }")
    c.origin.origin.behaviour = lambda peer: (peer.message(), peer.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"), peer.read_to_end())
    tunnel = c.ask("/", "Connection: upgrade", "Upgrade: echo")
    assert tunnel.head().status == 101
    waits = c.ask("/", "Connection: upgrade", "Upgrade: echo")
    until(lambda: c.waiting() == 1)
    tunnel.close()
    assert waits.head().status == 101


def test_connections_of_tcp_wait_too(site):
    def echo(peer):
        peer.send(peer.read(1))
        peer.read_to_end()

    origin, port = raw.Origin(site.port(), echo), site.port()
    node = site.node(f"workers = 2\nservice web {{\n  listen = tcp://127.0.0.1:{port}\n  check = none\n"
                     f"  backend {origin.address}\n  concurrency {{ requests = 1  queue = 2  wait = 10s }}\n}}\n", port)
    # Whoever asked whether it listens has gone; his connection would be one that waits if it were taken only now.
    until(lambda: origin.threads and not any(t.is_alive() for t in origin.threads))
    peers = [raw.connect(port, 20)]
    peers[0].send(b"0")
    assert peers[0].read(1) == b"0"
    for n in (1, 2):
        peers.append(raw.connect(port, 20))
        peers[-1].send(b"%d" % n)
        until(lambda: of_service(node, "waiting_requests") == n)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):    # as many wait as may
        refused = raw.connect(port, 20)
        refused.send(b"3")
        refused.sock.recv(1)
    peers.pop().reset()         # who leaves waits no more
    until(lambda: of_service(node, "waiting_requests") == 1)
    peers.append(raw.connect(port, 20))
    peers[-1].send(b"2")
    until(lambda: of_service(node, "waiting_requests") == 2)
    peers[0].close()
    until(lambda: of_service(node, "waiting_requests") == 1)
    for p in peers[1:]:
        p.half_close()
    assert sorted(p.read_to_end() for p in peers[1:]) == [b"1", b"2"]
    origin.close()
