"""A thousand services with ten instances each: they start, one is changed, and nobody else notices.

The bounds are several times what docs/scale.md promises of a machine of its own: tests share theirs.
What must not grow with the configuration (the requests of others, their connections) is held exactly."""

import socket
import threading
import time

import pytest
from holdfast import PATIENCE, SANITIZED, connects, sample, until

pytestmark = pytest.mark.quiet

SERVICES, INSTANCES = 1000, 10
KIB = 1024


def config(first_port, backend_port, changed=None):
    """Every instance has an address of its own; one backend listens on all of them."""
    lines = ["workers = 2"]
    for i in range(SERVICES):
        lines.append(f"service s{i} {{\n  listen = http://127.0.0.1:{first_port + i}")
        for k in range(INSTANCES + (i == changed)):
            n = i * (INSTANCES + 1) + k
            lines.append(f"  backend 127.{1 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}:{backend_port}")
        lines.append("  check { http = /health  every = 5s }\n}")
    return "\n".join(lines) + "\n"


class Pulse(threading.Thread):
    """One connection to one service, one request after the other."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(10 * PATIENCE)
        self.answers, self.bad, self.slowest, self.ends = 0, 0, 0, False

    def run(self):
        while not self.ends:
            began = time.monotonic()
            self.socket.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            self.bad += not self.socket.recv(4096).startswith(b"HTTP/1.1 200")
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.answers += 1

    def end(self):
        self.ends = True
        self.join()


def test_a_thousand_services(site):
    backend = site.backend(service_us=0, host="0.0.0.0")
    first = 20000
    node = site.node(config(first, backend.port), first + SERVICES - 1, start=False)
    began = time.monotonic()
    node.start()
    assert all(connects(first + i) for i in range(0, SERVICES, 50))
    started = time.monotonic() - began
    status = node.status()
    assert len(status["services"]) == SERVICES
    pulse = Pulse(first)
    pulse.start()
    until(lambda: pulse.answers > 10, what="answers")
    times = []
    for round in range(6):
        node.write(config(first, backend.port, changed=SERVICES // 2 if round % 2 == 0 else None))
        began = time.monotonic()
        said = node.command("reload").stdout
        times.append(time.monotonic() - began)
        assert f"service s{SERVICES // 2}: {'+' if round % 2 == 0 else '-'} backend" in said, said
    pulse.end()
    own = sum(p["memory_bytes"] for p in node.status()["processes"] if "memory_bytes" in p)
    each = own / SERVICES / INSTANCES / KIB
    site.report(f"start {started * 1000:.0f} ms; reload of one service {sorted(times)[3] * 1000:.0f} ms (median), "
                f"{max(times) * 1000:.0f} ms (longest)")
    site.report(f"slowest answer of another service meanwhile {pulse.slowest * 1000:.1f} ms")
    site.report(f"memory {own / KIB / KIB:.1f} MiB in all processes, {each:.1f} KiB for each instance")
    assert pulse.bad == 0
    assert started < 10 * PATIENCE
    assert sorted(times)[3] < 0.5 * PATIENCE
    assert pulse.slowest < 0.5 * PATIENCE
    assert 1 < each < (400 if SANITIZED else 40)


def test_what_is_under_way_counts_after_a_reload(site):
    """Two instances that have requests under way, a third comes: least-requests knows who is busy."""
    backends = [site.backend() for _ in range(3)]
    port = site.port()

    def text(n):
        return ("workers = 1\n" + sample(port, backends[:n], check="tcp = yes  every = 1s  rise = 1  fall = 3")
                .replace("first-byte = 2s", "first-byte = 60s"))
    node = site.node(text(2), port)
    node.await_all_healthy()
    for b in backends[:2]:
        b.mode("hang")
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
    for i, s in enumerate(waiting):
        s.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nX-Request-Id: w%d\r\n\r\n" % i)
    until(lambda: sum(len(b.deliveries()) for b in backends) == 6, what="the requests to hang")
    node.reload(text(3))
    until(lambda: set(node.verdicts().values()) == {"healthy"}, what="the third")
    for i in range(20):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.settimeout(5 * PATIENCE)
            s.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nX-Request-Id: n%d\r\nConnection: close\r\n\r\n" % i)
            assert s.recv(4096).startswith(b"HTTP/1.1 200")
    assert [len(b.deliveries()) for b in backends] == [3, 3, 20]
    for b in backends[:2]:
        b.mode("normal")
    for s in waiting:
        s.settimeout(10 * PATIENCE)
        assert s.recv(4096).startswith(b"HTTP/1.1 200")
        s.close()

    def in_flight():
        return sum(i["inflight"] for s in node.status()["services"] for i in s["instances"])
    until(lambda: in_flight() == 0, what="the books to be balanced")


def test_a_listener_that_speaks_another_protocol_and_back(site):
    """The address stays, what is spoken on it changes: its clients leave, the next ones are served."""
    backend, port = site.backend(), site.port()
    http = "workers = 2\n" + sample(port, [backend])
    tcp = http.replace(f"http://127.0.0.1:{port}", f"tcp://127.0.0.1:{port}")
    node = site.node(http, port)
    for text in (tcp, http, tcp, http):
        with socket.create_connection(("127.0.0.1", port)) as kept:
            kept.settimeout(10 * PATIENCE)
            kept.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert kept.recv(4096).startswith(b"HTTP/1.1 200")
            node.reload(text)
            with socket.create_connection(("127.0.0.1", port)) as fresh:
                fresh.settimeout(10 * PATIENCE)
                fresh.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                assert fresh.recv(4096).startswith(b"HTTP/1.1 200")
    assert node.status()["services"][0]["mode"] == "http"
