"""soak: clients of many kinds that check every byte of every answer, each a thread at a pace of its own.

A Client does one thing again and again. What goes wrong it tells its Ledger with the time at which its connection was opened; the
ledger knows when the proxy was killed, and counts a connection that was open at that moment and was cut apart. A wrong byte
is never excused.
"""

import collections
import hashlib
import http.client
import os
import random
import socket
import threading
import time

from holdfast import PATIENCE

NOISE = 16381


class Wrong(Exception):
    """An answer that is not what it must be: never excused."""


def noise(n):
    """The body of backend.c's /noise/N."""
    period = bytes((i * i * 31 + i * 7 + (i >> 7)) & 255 for i in range(NOISE))
    return (period * (n // NOISE + 1))[:n]


def fnv(data):
    h = 2166136261
    for byte in data:
        h = (h ^ byte) * 16777619 & 0xFFFFFFFF
    return h


class Ledger:
    """Who did how much, what failed, and when the proxy was killed. Shared by all threads."""

    def __init__(self):
        self.lock, self.began = threading.Lock(), time.monotonic()
        self.done, self.cut, self.kills, self.failures = collections.Counter(), collections.Counter(), [], []
        self.n_failures = 0

    def ok(self, name, n=1):
        with self.lock:
            self.done[name] += n

    def killed(self, begun, gone):
        with self.lock:
            self.kills.append((begun, gone))

    def excused(self, opened, ended):
        """Was the connection open when the proxy was killed? Both times as of time.monotonic()."""
        return any(opened <= gone and ended >= begun for begun, gone in self.kills)

    def killed_lately(self):
        return any(time.monotonic() - gone < 10 * PATIENCE for _, gone in self.kills)

    def failed(self, name, what, opened=None):
        """opened: None for what nothing excuses."""
        now = time.monotonic()
        if opened is not None:
            for _ in range(100):  # who kills tells it a moment later
                if self.excused(opened, now):
                    with self.lock:
                        self.cut[name] += 1
                    return
                time.sleep(0.01 * PATIENCE)
        with self.lock:
            self.n_failures += 1
            if len(self.failures) < 50:
                self.failures.append(f"at {now - self.began:.1f} s, {name}: {what}")


class Client(threading.Thread):
    """Does turn() every `every` seconds, late or not, until it is told to stop."""

    serial, serial_lock = 0, threading.Lock()

    def __init__(self, ledger, seed, name, port, every):
        super().__init__(name=name, daemon=True)
        self.ledger, self.port, self.every = ledger, port, every
        self.random, self.over = random.Random(f"{seed} {name}"), threading.Event()
        self.opened = None

    def run(self):
        due = time.monotonic() + self.random.random() * self.every
        while not self.over.wait(max(0, due - time.monotonic())):
            due = max(due + self.every, time.monotonic() - 1)  # what was missed for long is not made up for
            try:
                self.turn()
                self.ledger.ok(self.name)
            except Wrong as e:
                self.ledger.failed(self.name, f"wrong: {e}")
                self.drop()
            except (OSError, http.client.HTTPException) as e:
                self.ledger.failed(self.name, repr(e), self.opened)
                self.drop()
        self.drop()

    @classmethod
    def new_id(cls, kind):
        with cls.serial_lock:
            cls.serial += 1
            return f"py-{kind}{cls.serial}"

    def drop(self):
        raise NotImplementedError

    def turn(self):
        raise NotImplementedError

    def stop(self):
        self.over.set()


class Http(Client):
    """HTTP over a kept connection, or one for each request."""

    kept, source, preface = True, None, b""

    def __init__(self, *args):
        super().__init__(*args)
        self.conn = None

    def drop(self):
        if self.conn:
            self.conn.close()
        self.conn = self.opened = None

    def connect(self):
        if self.conn and not self.conn.sock:  # closed by its last answer
            self.drop()
        if not self.conn:
            self.opened = None
            conn = http.client.HTTPConnection("127.0.0.1", self.port, 30 * PATIENCE, (self.source, 0) if self.source else None)
            conn.connect()
            self.opened, self.conn = time.monotonic(), conn
            conn.sock.sendall(self.preface)

    def ask(self, method, path, body=None, status=200, **headers):
        """The answer with its body in .content."""
        self.connect()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers.setdefault("X-Request-Id", self.new_id(method))
        chunked = body is not None and not isinstance(body, bytes)
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        self.conn.request(method, path, body, headers, encode_chunked=chunked)
        answer = self.conn.getresponse()
        answer.content, answer.asked = answer.read(), headers["X-Request-Id"]
        if answer.status != status:
            raise Wrong(f"{method} {path}: status {answer.status}, not {status}: {answer.content[:80]}")
        if not self.kept:
            self.drop()
        return answer

    def line(self, answer, method, n=0, checksum=2166136261):
        """backend.c's line about a request; the backend's name."""
        name, _, rest = answer.content.decode("latin-1").partition(" ")
        if rest != f"{method} {answer.asked} {n} {checksum:08x}\n":
            raise Wrong(f"{answer.content[:120]} is no answer to {method} {answer.asked} {n} {checksum:08x}")
        return name


class Bodies(Http):
    """GETs a body of `size`; its length and hash must be right."""

    def __init__(self, *args, size):
        super().__init__(*args)
        self.size, self.sum = size, hashlib.sha256(noise(size)).digest()

    def turn(self):
        self.kept = self.random.random() < 0.8
        answer = self.ask("GET", f"/noise/{self.size}")
        if len(answer.content) != self.size or hashlib.sha256(answer.content).digest() != self.sum:
            raise Wrong(f"{len(answer.content)} of {self.size} bytes, or others")


class Uploads(Http):
    """POSTs and PUTs bodies, by length or in chunks; the backend's checksum must be right."""

    def __init__(self, *args):
        super().__init__(*args)
        sizes = [0, 1, 700, 16 * 1024, 65 * 1024, 200 * 1024]
        self.bodies = [self.random.randbytes(n) for n in sizes]
        self.sums = [fnv(b) for b in self.bodies]

    def turn(self):
        i, method = self.random.randrange(len(self.bodies)), self.random.choice(["POST", "PUT"])
        body, step = self.bodies[i], self.random.randrange(500, 40000)
        pieces = body if self.random.random() < 0.5 else iter([body[k:k + step] for k in range(0, len(body), step)])
        self.line(self.ask(method, self.random.choice(["/line", "/chunked"]), pieces), method, len(body), self.sums[i])


class Routed(Http):
    """A service with routes: each answer must be that of its route."""

    def turn(self):
        kind = self.random.randrange(5)
        if kind == 0:
            answer = self.ask("GET", "/tea", status=418)
            self.want(answer.content == b"short and stout", answer.content)
        elif kind == 1:
            answer = self.ask("GET", "/old/a?b=c", status=302)
            self.want(answer.getheader("Location") == "/new/a", answer.getheader("Location"))
        else:
            path, headers, route = [("/v1/line", {}, "v1"), ("/line", {"X_Beta": "yes"}, "beta"), ("/line", {}, "rest")][kind - 2]
            answer = self.ask("GET", path, **headers)
            self.line(answer, "GET")
            self.want(answer.getheader("X-Route") == route, answer.getheader("X-Route"))

    def want(self, right, what):
        if not right:
            raise Wrong(f"not what the route says: {what}")


class Sticky(Http):
    """A session stays with its instance, whoever proxies; now and then it begins anew."""

    cookie = home = None

    def turn(self):
        if self.random.random() < 0.02:
            self.cookie = None
        answer = self.ask("GET", "/line", **({"Cookie": self.cookie} if self.cookie else {}))
        name = self.line(answer, "GET")
        if self.cookie and name != self.home:
            raise Wrong(f"a session of {self.home} came to {name}")
        if not self.cookie:
            self.cookie, self.home = answer.getheader("Set-Cookie", "").partition(";")[0], name
            if not self.cookie:
                raise Wrong("no cookie for a new session")


class Limited(Http):
    """Asks more often than its rate allows: 200 or 429, and the 200s in proportion."""

    passed = limited = 0

    def turn(self):
        try:
            self.ask("GET", "/line", X_Key=self.name)
            self.passed += 1
        except Wrong as e:
            if "status 429" not in str(e):
                raise
            self.limited += 1


class Proxied(Http):
    """Comes through a PROXY header: by its own, version 1, or by that of a TCP service of ours, version 2. The service behind
    must see the client that the header names."""

    def __init__(self, *args, own):
        super().__init__(*args)
        self.own = own

    def turn(self):
        if not self.conn or not self.conn.sock:
            self.drop()
            host = f"127.0.{self.random.randrange(1, 200)}.{self.random.randrange(1, 200)}"
            self.seen = host
            self.source = None if self.own else host
            self.preface = f"PROXY TCP4 {host} 127.0.0.1 {self.random.randrange(1024, 60000)} 80\r\n".encode() if self.own else b""
        answer = self.ask("GET", "/line")
        self.line(answer, "GET")
        if answer.getheader("X-Saw") != self.seen:
            raise Wrong(f"the client is {self.seen}, not {answer.getheader('X-Saw')}")
        if self.random.random() < 0.2:
            self.drop()


class Echo(Client):
    """A tunnel of some seconds by Upgrade: random bytes come back as they went."""

    sock = None
    left = 0

    def drop(self):
        if self.sock:
            self.sock.close()
        self.sock = self.opened = None

    def read(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            if not piece:
                raise ConnectionError(f"closed after {len(data)} of {n} bytes")
            data += piece
        return data

    def connect(self):
        self.opened = None
        self.sock = socket.create_connection(("127.0.0.1", self.port), 30 * PATIENCE)
        self.opened, self.left = time.monotonic(), self.random.randrange(5, 60)
        self.sock.sendall(b"GET /t HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read(1)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Wrong(f"no upgrade: {head[:60]}")

    def turn(self):
        if not self.sock:
            self.connect()
        data = self.random.randbytes(self.random.choice([1, 100, 5000, 60000]))
        self.sock.sendall(data)
        if self.read(len(data)) != data:
            raise Wrong(f"other bytes came back, of {len(data)}")
        self.left -= 1
        if self.left <= 0:
            self.drop()


class Datagrams(Client):
    """UDP flows of a few datagrams: each comes back as it went. One that does not is lost, and no more."""

    sock, left = None, 0
    lost = 0

    def drop(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def turn(self):
        if self.left <= 0:
            self.drop()
        if not self.sock:
            self.sock, self.left = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), self.random.randrange(1, 30)
            self.sock.connect(("127.0.0.1", self.port))
            self.sock.settimeout(3 * PATIENCE)
        self.left -= 1
        data = os.urandom(self.random.randrange(8, 1200))
        sent = time.monotonic()
        self.sock.send(data)
        try:
            if self.sock.recv(65536) != data:
                raise Wrong("another datagram came back")
        except TimeoutError:
            self.drop()
            if not self.ledger.excused(sent - 3 * PATIENCE, time.monotonic()):
                self.lost += 1


class UdpEcho(threading.Thread):
    """The instance of a UDP service."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", port))
        self.start()

    def run(self):
        while True:
            try:
                data, sender = self.sock.recvfrom(65536)
                self.sock.sendto(data, sender)
            except OSError:
                if self.sock.fileno() < 0:
                    return

    def close(self):
        self.sock.close()
