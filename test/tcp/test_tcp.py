"""TCP services: bytes both ways as they are, ends passed on, PROXY headers, and instances that fail."""

import hashlib
import os
import signal
import socket
import struct
import threading

import pytest

import raw
from holdfast import connects, until

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def config(port, backends, more="", scheme="tcp", name="db"):
    lines = "\n".join(f"  backend {b}" for b in backends)
    return (f"service {name} {{\n  listen = {scheme}://127.0.0.1:{port}\n{lines}\n  check = none\n"
            f"  timeout {{ connect = 500ms  tunnel = 30s }}\n{more}\n}}\n")


def echo(peer):
    peer.sock.sendall(peer.buffer)
    while True:
        data = peer.sock.recv(65536)
        if not data:
            return
        peer.sock.sendall(data)


@pytest.fixture
def origins(site):
    made = []

    def make(behaviour):
        made.append(raw.Origin(site.port(), behaviour))
        return made[-1]

    yield make
    for o in made:
        o.close()


def start(site, backends, **options):
    port = site.port()
    return site.node(config(port, backends, **options), port)


def test_bytes_pass_both_ways(site, origins):
    node = start(site, [origins(echo).address])
    peer = raw.connect(node.port)
    for size in (1, 100, 70_000):
        data = os.urandom(size)
        peer.send(data)
        assert peer.read(size) == data
    peer.half_close()
    assert peer.ended()


def test_a_server_may_speak_first(site, origins):
    def greet(peer):
        peer.send(b"hello\n")
        echo(peer)

    node = start(site, [origins(greet).address])
    peer = raw.connect(node.port)
    assert peer.read(6) == b"hello\n"


def test_a_half_closed_connection_is_a_connection(site, origins):
    def answer_at_the_end(peer):
        received = peer.read_to_end()
        peer.send(b"%d" % len(received))

    node = start(site, [origins(answer_at_the_end).address])
    peer = raw.connect(node.port)
    peer.send(b"x" * 100_000)
    peer.half_close()
    assert peer.read_to_end() == b"100000"


def test_the_server_may_end_first(site, origins):
    got = []

    def end_then_read(peer):
        peer.send(b"bye")
        peer.half_close()
        got.append(peer.read_to_end())

    node = start(site, [origins(end_then_read).address])
    peer = raw.connect(node.port)
    assert peer.read_to_end() == b"bye"
    peer.send(b"still here")
    peer.half_close()
    until(lambda: b"still here" in got, 10, "the rest to arrive")


def test_a_reset_is_passed_on(site, origins):
    def reset(peer):
        peer.read(1)
        peer.reset()

    node = start(site, [origins(reset).address])
    peer = raw.connect(node.port)
    peer.send(b"x")
    with pytest.raises(ConnectionResetError):
        while peer.sock.recv(100):
            pass


def test_a_refused_instance_costs_no_connection(site, origins):
    dead = f"127.0.0.1:{site.port()}"
    node = start(site, [dead, origins(echo).address])
    for _ in range(20):
        peer = raw.connect(node.port)
        peer.send(b"x")
        assert peer.read(1) == b"x"
        peer.close()
    assert node.verdicts("db")[dead] == "failed"


def test_nobody_there_is_a_reset_and_counted(site):
    node = start(site, [f"127.0.0.1:{site.port()}"])
    with pytest.raises((ConnectionResetError, raw.Closed)):
        raw.connect(node.port).read(1)
    service = node.status()["services"][0]
    assert service["mode"] == "tcp"
    assert service["relayed"] == 0 and service["requests"] >= 1


def test_bulk_both_ways_at_once(site, origins):
    """Many blocks in a row switch to pipes; every byte arrives, in order."""
    node = start(site, [origins(echo).address])
    peer = raw.connect(node.port, seconds=60)
    block = os.urandom(1 << 20)
    total, sent, received = 96, hashlib.sha256(), hashlib.sha256()

    def write():
        for i in range(total):
            data = struct.pack(">I", i) + block[4:]
            sent.update(data)
            peer.sock.sendall(data)
        peer.half_close()

    writer = threading.Thread(target=write)
    writer.start()
    count = 0
    while data := peer.sock.recv(1 << 18):
        received.update(data)
        count += len(data)
    writer.join()
    assert count == total << 20
    assert sent.hexdigest() == received.hexdigest()


def test_a_slow_reader_holds_no_memory(site, origins):
    gate = threading.Event()

    def pour(peer):
        peer.sock.settimeout(None)
        sent = 0
        while sent < 64 << 20:
            sent += peer.sock.send(b"y" * (1 << 20))
            gate.set()

    def resident():
        with open(f"/proc/{node.pid('proxy')}/status") as f:
            return int([line for line in f if line.startswith("VmRSS")][0].split()[1])

    node = start(site, [origins(pour).address])
    before = resident()
    peers = [raw.connect(node.port, seconds=60) for _ in range(8)]
    assert gate.wait(10)
    read = sum(len(p.read(1 << 20)) for p in peers)
    assert read == 8 << 20
    assert resident() - before < 8 * 1024, "more than a block and a pipe for each"
    for p in peers:
        p.reset()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_instances_are_told_the_client(site, origins, version):
    seen = []

    def look(peer):
        seen.append(peer.read_through(b"\r\n") if version == "v1" else peer.read(28))
        echo(peer)

    node = start(site, [origins(look).address], more=f"  send-proxy = {version}")
    peer = raw.connect(node.port)
    peer.send(b"x")
    assert peer.read(1) == b"x"
    if version == "v1":
        want = f"PROXY TCP4 127.0.0.1 127.0.0.1 {peer.port} {node.port}\r\n".encode()
    else:
        ip = socket.inet_aton("127.0.0.1")
        want = V2 + b"\x21\x11\0\x0c" + ip + ip + struct.pack(">HH", peer.port, node.port)
    assert want in seen


@pytest.mark.parametrize("header", [
    b"PROXY TCP4 192.0.2.9 198.51.100.1 1234 80\r\n",
    V2 + b"\x21\x11\0\x0c" + socket.inet_aton("192.0.2.9") + socket.inet_aton("198.51.100.1") + b"\x04\xd2\0\x50",
])
@pytest.mark.parametrize("split", [0, 1, 13])
def test_clients_behind_another_proxy_are_known(site, origins, header, split):
    seen = []

    def look(peer):
        seen.append(peer.message())
        peer.send(raw.OK)

    port = site.port()
    node = site.node(config(port, [origins(look).address], "  accept-proxy = yes", "http", "web"), port)
    peer = raw.connect(node.port)
    if split:
        peer.send(header[:split])
    peer.send(header[split:] + raw.get())
    assert peer.message().status == 200
    assert seen[0].get("x-forwarded-for") == "192.0.2.9"


def test_who_does_not_say_who_it_is_is_refused(site, origins):
    port = site.port()
    node = site.node(config(port, [origins(raw.answer_ok).address], "  accept-proxy = yes", "http", "web"), port)
    peer = raw.connect(node.port)
    peer.send(raw.get())
    with pytest.raises((ConnectionResetError, raw.Closed)):
        peer.message()


def test_unix_sockets_and_ipv6(site, origins):
    path, port = f"@holdfast-{os.getpid()}", site.port()
    origin = origins(echo)
    node = site.node(
        f"service a {{ listen = {{tcp://unix:{path}, tcp://[::1]:{port}}}  check = none\n backend {origin.address} }}\n"
        f"service b {{ listen = tcp://127.0.0.1:{port}  check = none\n backend unix:{path} }}\n", port)
    for family, address in ((socket.AF_UNIX, path.replace("@", "\0")), (socket.AF_INET6, ("::1", port)), (socket.AF_INET, ("127.0.0.1", port))):
        with socket.socket(family) as s:
            s.settimeout(10)
            s.connect(address)
            s.sendall(b"ping")
            assert s.recv(4) == b"ping", family
    assert node.process.running


def test_connections_outlive_reloads(site, origins):
    one, two = origins(echo), origins(echo)
    node = start(site, [one.address])
    peer = raw.connect(node.port)
    peer.send(b"1")
    assert peer.read(1) == b"1"
    for backends in ([two.address], [one.address, two.address]) * 3:
        node.reload(config(node.port, backends))
        peer.send(b"x")
        assert peer.read(1) == b"x"


def test_an_instance_that_breaks_every_connection_is_left_alone(site, origins):
    def reset(peer):
        peer.reset()

    bad, good = origins(reset), origins(echo)
    node = start(site, [bad.address, good.address], more="  balance = round-robin")

    def failed():
        try:
            peer = raw.connect(node.port)
            peer.send(b"x")
            peer.sock.recv(1)
            peer.close()
        except ConnectionResetError:
            pass
        return node.verdicts("db")[bad.address] == "failed"

    until(failed, 20, "the bad instance to be ejected")
    for _ in range(5):
        peer = raw.connect(node.port)
        peer.send(b"x")
        assert peer.read(1) == b"x"
        peer.close()


def test_a_stop_refuses_at_once_and_lets_a_connection_end(site, origins):
    node = start(site, [origins(echo).address])
    peer = raw.connect(node.port)
    peer.send(b"before")
    assert peer.read(6) == b"before"
    node.process.signal(signal.SIGTERM)
    until(lambda: not connects(node.port), 10, "new connections to be refused")
    peer.send(b"after")
    assert peer.read(5) == b"after"
    peer.half_close()
    assert peer.ended()
    assert node.process.wait() == 0


def test_a_connection_outlives_its_proxy(site, origins):
    node = start(site, [origins(echo).address])
    peer = raw.connect(node.port)
    for _ in range(3):
        peer.send(b"before")
        assert peer.read(6) == b"before"
        node.command("restart", "proxy")
        other = raw.connect(node.port)
        other.send(b"new")
        assert other.read(3) == b"new"
        other.half_close()
        assert other.ended()
    peer.send(b"after")
    assert peer.read(5) == b"after"
