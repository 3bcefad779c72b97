"""Programs of other people through the proxy: socat, curl, wrk, Python's HTTP server and WebSockets.

They were written by nobody who knows this proxy, so they do what real clients and servers do: half-close to say that
they are done, wait for 100 (Continue), send pings, cut connections."""

import asyncio
import hashlib
import os
import re
import subprocess
import sys
import threading

import pytest
import websockets

import raw
import vtc
from holdfast import PATIENCE, connects, until

SECONDS = 20 * PATIENCE


def run(*command, **options):
    options.setdefault("timeout", SECONDS)
    done = subprocess.run(command, capture_output=True, **options)
    assert done.returncode == 0, f"{command}: {done.returncode} {done.stderr[-500:]!r}"
    return done.stdout


def service(name, listen, backends, more=""):
    lines = "\n".join(f"  backend {b}" for b in backends)
    return f"service {name} {{\n  listen = {listen}\n{lines}\n  check = none\n{more}\n}}\n"


def socat_server(site, address, action, probe):
    """socat serves `action` to each connection; there when `probe` says so."""
    process = site.process(["socat", f"{address},fork,reuseaddr", action], stderr=subprocess.DEVNULL)
    until(probe, 10, f"{address}")
    return process


# --- socat ---

def test_socat_says_that_it_is_done_by_a_half_close(site):
    """`wc -c` answers at the end of its input: that end must pass through, and the way back stay open."""
    behind, port = site.port(), site.port()
    socat_server(site, f"TCP-LISTEN:{behind}", "EXEC:wc -c", lambda: connects(behind))
    site.node(service("count", f"tcp://127.0.0.1:{port}", [f"127.0.0.1:{behind}"]), port)
    for size in (0, 1, 3_000_000):
        answer = run("socat", "-t30", "-", f"TCP:127.0.0.1:{port}", input=b"x" * size)
        assert int(answer) == size


def test_socat_over_unix_sockets_and_ipv6(site):
    behind, port, name = site.port(), site.port(), f"holdfast-tools-{os.getpid()}"
    socat_server(site, f"TCP6-LISTEN:{behind},bind=[::1]", "EXEC:cat", lambda: vtc.listens(f"tcp://[::1]:{behind}"))
    site.node(service("unix", f"{{tcp://unix:@{name}, tcp://127.0.0.1:{port}}}", [f"[::1]:{behind}"]) +
              service("six", f"tcp://[::1]:{port}", [f"unix:@{name}"]), port)
    data = os.urandom(500_000)
    assert run("socat", "-t30", "-", f"ABSTRACT-CONNECT:{name}", input=data) == data
    assert run("socat", "-t30", "-", f"TCP6:[::1]:{port}", input=data) == data


def test_socat_over_udp(site):
    """Each question has one answer, from the address that was asked: a connected socket takes no other."""
    behind, port, control = site.port(), site.port(), site.port()
    socat_server(site, f"UDP-RECVFROM:{behind}", "EXEC:cat", lambda: True)
    site.node(f"service echo {{\n  listen = udp://127.0.0.1:{port}\n  backend 127.0.0.1:{behind}\n  replies = 1\n}}\n" +
              service("web", f"http://127.0.0.1:{control}", ["127.0.0.1:1"]), control)
    for question in (b"one", b"x" * 8000):
        until(lambda: run("socat", "-t1", "-", f"UDP:127.0.0.1:{port}", input=question) == question, 20, "an answer")


# --- curl ---

@pytest.fixture
def files(site):
    """Python's HTTP server with one file of 5 MB, and a node before it."""
    behind, port = site.port(), site.port()
    os.mkdir(site.path("files"))
    data = os.urandom(5_000_000)
    with open(site.path("files/data"), "wb") as f:
        f.write(data)
    site.process([sys.executable, "-m", "http.server", str(behind), "--bind", "127.0.0.1", "-d", site.path("files")],
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: connects(behind), 20, "the file server")
    name = f"holdfast-files-{os.getpid()}"
    backend = [f"127.0.0.1:{behind}"]
    proxied = site.port()
    site.node(service("web", f"{{http://127.0.0.1:{port}, http://[::1]:{port}, http://unix:@{name}}}", backend) +
              service("proxied", f"http://127.0.0.1:{proxied}", backend, "  accept-proxy = yes"), port)
    return port, proxied, name, hashlib.sha256(data).digest()


@pytest.mark.parametrize("how", ["plain", "old", "six", "unix", "proxied", "many"])
def test_curl_downloads(files, how):
    port, proxied, name, digest = files
    url = f"http://127.0.0.1:{port}/data"
    command = {
        "plain": [url],
        "old": ["--http1.0", url],
        "six": [f"http://[::1]:{port}/data"],
        "unix": ["--abstract-unix-socket", name, "http://files/data"],
        "proxied": ["--haproxy-protocol", f"http://127.0.0.1:{proxied}/data"],
        "many": [f"{url}?[1-5]"],
    }[how]
    got = run("curl", "-sSf", *command)
    times = 5 if how == "many" else 1
    assert len(got) == times * 5_000_000
    for i in range(times):
        assert hashlib.sha256(got[i * 5_000_000:(i + 1) * 5_000_000]).digest() == digest


def test_curl_asks_for_a_part_and_for_nothing(files):
    port = files[0]
    assert b"200 OK" in run("curl", "-sSfI", f"http://127.0.0.1:{port}/data").splitlines()[0]
    status = run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{port}/nothing")
    assert status == b"404"


@pytest.fixture
def echo(site):
    """An origin that answers with the body that it got, and a node before it."""
    def behaviour(peer):
        while True:
            m = peer.message()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(m.content) + m.content)

    origin, port = raw.Origin(site.port(), behaviour), site.port()
    yield site.node(service("web", f"http://127.0.0.1:{port}", [origin.address]), port)
    origin.close()


@pytest.mark.parametrize("options", [
    ["--data-binary", "@-"],
    ["-T", "-"],                                            # chunked: it cannot know the length of a pipe
    ["--data-binary", "@-", "-H", "Expect: 100-continue"],
    ["--data-binary", "@-", "-H", "Transfer-Encoding: chunked"],
])
def test_curl_uploads(echo, options):
    data = os.urandom(2_000_000)
    assert run("curl", "-sSf", "--expect100-timeout", "0.2", *options, f"http://127.0.0.1:{echo.port}/", input=data) == data


# --- wrk ---

def test_wrk_sees_no_error(site):
    backends = [site.backend(service_us=0) for _ in range(2)]
    port = site.port()
    site.node(service("web", f"http://127.0.0.1:{port}", [b.address for b in backends]), port)
    said = run("wrk", "-t1", "-c32", "-d1s", "--latency", f"http://127.0.0.1:{port}/").decode()
    assert int(re.search(r"(\d+) requests in", said)[1]) > 100
    assert "Socket errors" not in said and "Non-2xx" not in said, said


# --- WebSockets ---

@pytest.fixture
def websocket_node(site):
    """An echo server of the websockets package, and a node before it."""
    behind, port = site.port(), site.port()
    loop, ready, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def echo(socket):
        async for message in socket:
            if message == "close":
                await socket.close(4001, "asked for")
            else:
                await socket.send(message)

    async def serve():
        async with websockets.serve(echo, "127.0.0.1", behind, max_size=1 << 22, subprotocols=["chat"]):
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(SECONDS)
    yield site.node(service("web", f"http://127.0.0.1:{port}", [f"127.0.0.1:{behind}"]), port)
    loop.call_soon_threadsafe(end.set)
    thread.join(SECONDS)


def test_websockets(websocket_node):
    async def talk():
        url = f"ws://127.0.0.1:{websocket_node.port}/chat?a=b"
        async with websockets.connect(url, max_size=1 << 22, subprotocols=["chat"]) as socket:
            assert socket.subprotocol == "chat"
            assert socket.extensions, "permessage-deflate passes through"
            for message in ("text", "\u2764" * 1000, b"", os.urandom(3_000_000)):
                await socket.send(message)
                assert await socket.recv() == message
            await (await socket.ping())
            await socket.send(iter(["in ", "three ", "frames"]))
            assert await socket.recv() == "in three frames"
            await socket.send("close")
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == 4001

    asyncio.run(asyncio.wait_for(talk(), SECONDS))


def test_many_websockets_at_once(websocket_node):
    async def one(number):
        async with websockets.connect(f"ws://127.0.0.1:{websocket_node.port}/{number}") as socket:
            for i in range(5):
                await socket.send(f"{number} {i}")
                assert await socket.recv() == f"{number} {i}"

    async def all_of_them():
        await asyncio.gather(*(one(n) for n in range(40)))

    asyncio.run(asyncio.wait_for(all_of_them(), SECONDS))


# --- dnsmasq ---

def test_dnsmasq_names_the_backends(site):
    """Of a host name the addresses count, of a service name also port, priority and weight."""
    backends = [site.backend() for _ in range(3)]
    dns, port, other = site.port(), site.port(), site.port()
    site.process(["/usr/sbin/dnsmasq", "--keep-in-foreground", f"--port={dns}", "--listen-address=127.0.0.1", "--bind-interfaces",
                  "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root", "--pid-file=",
                  "--host-record=app.test.example,127.0.0.1,1",
                  *(f"--srv-host=_http._tcp.test.example,app.test.example,{b.port},{10 * i},{i + 1}" for i, b in enumerate(backends))])
    node = site.node(f"resolver {{ nameserver = 127.0.0.1:{dns}  timeout = 500ms }}\n" +
                     service("host", f"http://127.0.0.1:{port}", [f"app.test.example:{backends[0].port}"]) +
                     service("srv", f"http://127.0.0.1:{other}", ["srv:_http._tcp.test.example"]), port)
    until(lambda: node.verdicts("host").keys() == {backends[0].address}, 20, "the address of the host name")
    until(lambda: node.verdicts("srv").keys() == {b.address for b in backends}, 20, "the instances of the service name")
    for p in (port, other):
        assert run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{p}/") == b"200"
    # The first priority group has all requests.
    asked = {i["address"]: i["requests"] for s in node.status()["services"] if s["name"] == "srv" for i in s["instances"]}
    assert asked[backends[0].address] == 1 and sum(asked.values()) == 1
