"""The judges of the mixed soak are judged: each client meets a server that lies, and each rule a run that breaks it."""

import itertools
import os
import re
import time

import pytest

from drift import MIB, SHORT_MINUTES, Series, drifts, look
from holdfast import until
from raw import Origin
from soak import Bodies, Datagrams, Echo, Ledger, Limited, Proxied, Routed, Sticky, UdpEcho, Uploads, noise

LONG = SHORT_MINUTES
ROLE = ("proxy",)


# ---- drift ----

def series(rss=lambda t: 50 * MIB, descriptors=lambda t: 100, threads=lambda t: 4):
    made = Series()
    for t in range(600):
        made.add(t, "proxy", {"pid": 1 + t // 100, "rss": rss(t), "descriptors": descriptors(t), "threads": threads(t)})
    return made


@pytest.mark.parametrize("steady", [
    {}, {"rss": lambda t: 50 * MIB + t % 60 * MIB}, {"rss": lambda t: min(t, 60) * MIB}, {"rss": lambda t: (900 - t) * MIB},
    {"rss": lambda t: 50 * MIB + (40 * MIB if t > 570 else 0)}, {"descriptors": lambda t: 5000 if t % 3 == 0 else 100}])
def test_what_comes_and_goes_is_no_drift(steady):
    assert drifts(series(**steady), LONG, ROLE) == []


@pytest.mark.parametrize("figure, growing", [
    ("rss", lambda t: 50 * MIB + t * MIB // 50), ("descriptors", lambda t: 100 + t // 6), ("threads", lambda t: 4 + t // 500)])
def test_what_grows_is_drift(figure, growing):
    found = drifts(series(**{figure: growing}), LONG, ROLE)
    assert len(found) == 1 and found[0].startswith(f"proxy: {figure} "), found


def test_the_bound_is_where_it_is_said_to_be():
    for more, n in ((0, 0), (1, 1)):
        grown = series(rss=lambda t: 50 * MIB + (7 * MIB + more if t >= 500 else 0), descriptors=lambda t: 100 + (42 + more if t >= 500 else 0))
        assert len(drifts(grown, LONG, ROLE)) == 2 * n


def test_a_role_that_was_not_seen_is_told():
    assert len(drifts(series(), LONG, ("proxy", "control"))) == 3
    assert drifts(Series(), LONG, ROLE)


def test_a_process_is_seen_as_it_is():
    before = look(os.getpid())
    kept, memory = [os.open("/dev/null", os.O_RDONLY) for _ in range(50)], bytearray(os.urandom(MIB)) * 16
    after = look(os.getpid())
    assert after["descriptors"] == before["descriptors"] + 50 and after["rss"] > before["rss"] + 15 * MIB and len(memory) == 16 * MIB
    for fd in kept:
        os.close(fd)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert look(child) is None


# ---- excuses ----

def test_only_what_was_open_is_excused():
    ledger = Ledger()
    ledger.killed(100, 101)
    assert ledger.excused(50, 100.5) and ledger.excused(100.9, 200)
    assert not ledger.excused(101.1, 102) and not ledger.excused(50, 99)
    now = time.monotonic()
    ledger.killed(now, now + 0.01)
    ledger.failed("cut", "reset", now - 5)
    ledger.failed("new", "reset", time.monotonic() + 1)
    ledger.failed("wrong", "another body")
    assert ledger.cut == {"cut": 1} and ledger.n_failures == 2
    assert "new" in ledger.failures[0] and "wrong" in ledger.failures[1]


# ---- clients and servers that lie ----

def http(content, *fields, status="200 OK"):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


def says(answers):
    """A server that gives these answers, made from the head of the request, over and over."""
    def behave(peer):
        for answer in itertools.cycle(answers):
            peer.send(answer(peer.message()))
    return behave


def backend_line(head, name="b1", more=""):
    return f"{name} {head.line.split()[0]} {head.get('x-request-id')}{more} 0 811c9dc5\n".encode()


def changed(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def echo(spoil):
    def behave(peer):
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while True:
            data, peer.buffer = peer.buffer or peer.read(1), b""
            peer.send(spoil(data))
    return behave


CASES = {
    "a byte of a body": (Bodies, {"size": 16384}, says([lambda h: http(changed(noise(16384), 9000))]), "16384 of 16384 bytes, or others"),
    "a short body": (Bodies, {"size": 16384}, says([lambda h: http(noise(16383))]), "16383 of"),
    "a status": (Bodies, {"size": 16384}, says([lambda h: http(b"", status="503 No")]), "status 503"),
    "a checksum": (Uploads, {}, says([lambda h: http(backend_line(h) + b"x")]), "is no answer"),
    "another's answer": (Sticky, {}, says([lambda h: http(backend_line(h, more="1"), "Set-Cookie: SRV=1")]), "is no answer"),
    "a session": (Sticky, {}, says([lambda h: http(backend_line(h), "Set-Cookie: SRV=1"), lambda h: http(backend_line(h, "b2"))]), "came to b2"),
    "no cookie": (Sticky, {}, says([lambda h: http(backend_line(h))]), "no cookie"),
    "a route": (Routed, {}, says([lambda h: http(backend_line(h), "X-Route: other", "Location: /")]), "not what the route says|status 200"),
    "a limited client": (Limited, {}, says([lambda h: http(b"", status="500 No")]), "status 500"),
    "a client's address": (Proxied, {"own": False}, says([lambda h: http(backend_line(h), "X-Saw: 10.0.0.1")]), "not 10.0.0.1"),
    "a byte of a tunnel": (Echo, {}, echo(lambda data: changed(data, 0)), "other bytes"),
    "no upgrade": (Echo, {}, says([lambda h: http(b"")]), "no upgrade"),
    "a reset": (Bodies, {"size": 16384}, lambda peer: peer.reset(), "ConnectionReset|RemoteDisconnected"),
}


def failures(client, ledger):
    client.start()
    until(lambda: ledger.failures, what="a failure")
    client.stop()
    client.join()
    return ledger.failures[0]


@pytest.mark.parametrize("case", CASES)
def test_a_client_notices(site, case):
    kind, options, behaviour, words = CASES[case]
    origin, ledger = Origin(site.port(), behaviour), Ledger()
    try:
        assert re.search(words, failures(kind(ledger, 1, "c", origin.port, 0.01, **options), ledger))
    finally:
        origin.close()


def test_a_datagram_that_changed_is_noticed(site):
    class Liar(UdpEcho):
        def run(self):
            data, sender = self.sock.recvfrom(65536)
            self.sock.sendto(changed(data, 0), sender)

    liar, ledger = Liar(site.port()), Ledger()
    assert "another datagram" in failures(Datagrams(ledger, 1, "c", liar.sock.getsockname()[1], 0.01), ledger)
    liar.close()


def test_a_real_backend_satisfies_them(site):
    b, ledger = site.backend(service_us=0), Ledger()
    clients = [Bodies(ledger, 1, "bodies", b.port, 0.01, size=100000), Uploads(ledger, 1, "uploads", b.port, 0.01), Echo(ledger, 1, "echo", b.port, 0.01)]
    for c in clients:
        c.start()
    until(lambda: all(ledger.done[c.name] >= 20 for c in clients), what="twenty turns of each")
    for c in clients:
        c.stop()
        c.join()
    assert not ledger.failures
