"""raw: both ends of a proxy as plain sockets, so that tests say and see every byte.

An Origin is a backend whose behaviour a test writes as a function of a Peer; each connection runs
it in a thread of its own. What a connection received stays in `origin.peers` for the asserts. An
exception in a behaviour fails the test when the origin is closed, except that the connection ended.
"""

import re
import socket
import struct
import threading

from holdfast import PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Closed(Exception):
    """The connection ended before what was waited for arrived."""


class Peer:
    """One end of a connection, with what was received but not asked for kept in `buffer`."""

    def __init__(self, sock, seconds=10):
        self.sock, self.buffer, self.received = sock, b"", b""
        self.keep = True  # whether `received` grows; off for big bodies
        self.port = sock.getsockname()[1]
        sock.settimeout(seconds * PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError as e:
            raise Closed("reset") from e
        if not data:
            raise Closed(f"closed after {self.buffer!r}")
        self.buffer += data
        if self.keep:
            self.received += data

    def read(self, n):
        while len(self.buffer) < n:
            self._more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_through(self, mark):
        while mark not in self.buffer:
            self._more()
        data, found, self.buffer = self.buffer.partition(mark)
        return data + found

    def read_to_end(self):
        """All bytes until the other side ends its half."""
        try:
            while True:
                self._more()
        except Closed:
            data, self.buffer = self.buffer, b""
            return data

    def ended(self):
        """True when the other side ends the connection and sends nothing before."""
        return self.read_to_end() == b""

    def head(self):
        return Head(self.read_through(b"\r\n\r\n"))

    def body(self, head):
        """The content of a message by its framing; trailers, if any, in head.trailers."""
        if head.get("transfer-encoding") == "chunked":
            content = b""
            while True:
                size = int(self.read_through(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    break
                content += self.read(size)
                assert self.read(2) == b"\r\n"
            while (line := self.read_through(b"\r\n")) != b"\r\n":
                head.trailers.append(line[:-2].decode())
            return content
        if "content-length" in head.fields:
            return self.read(int(head.get("content-length")))
        bodiless = head.status is None or head.status in (204, 304)
        return b"" if bodiless else self.read_to_end()

    def message(self):
        head = self.head()
        head.content = self.body(head)
        return head

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


class Head:
    """A request's or response's head; field names in lower case, values as a list each."""

    def __init__(self, data):
        self.raw, self.trailers, self.content = data, [], None
        lines = data[:-4].decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.fields.setdefault(name.lower(), []).append(value.strip())
        m = re.match(r"HTTP/1\.[01] (\d{3})", self.line)
        self.status = int(m.group(1)) if m else None

    def get(self, name):
        return ", ".join(self.fields[name]) if name in self.fields else None

    def __contains__(self, name):
        return name in self.fields


def answer_ok(peer):
    """The plain behaviour: every request gets 200 and "ok"."""
    while True:
        peer.message()
        peer.send(OK)


class Origin:
    def __init__(self, port, behaviour=answer_ok):
        self.port, self.behaviour = port, behaviour
        self.address = f"127.0.0.1:{port}"
        self.peers, self.threads, self.errors = [], [], []
        self.listener = socket.create_server(("127.0.0.1", port))
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            peer = Peer(sock)
            self.peers.append(peer)
            thread = threading.Thread(target=self._run, args=(peer, self.behaviour), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _run(self, peer, behaviour):
        try:
            behaviour(peer)
        except (Closed, BrokenPipeError, ConnectionResetError):
            pass
        except Exception as e:  # noqa: BLE001  everything else is the test's to know
            self.errors.append(e)
        finally:
            peer.close()

    @property
    def received(self):
        """All bytes of all connections so far."""
        return b"".join(p.received for p in self.peers)

    def refuse(self):
        """Listens no more. The thread that accepts must have ended before its descriptor is closed:
        it would go on with whatever gets that number next, such as another origin."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # done before
        self.acceptor.join()
        self.listener.close()

    def close(self):
        self.refuse()
        for p in self.peers:
            try:
                p.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for t in self.threads:
            t.join(5)
        assert not self.errors, self.errors


def connect(port, seconds=10):
    return Peer(socket.create_connection(("127.0.0.1", port), seconds), seconds)


def get(target="/", *fields, method="GET", version="1.1"):
    lines = [f"{method} {target} HTTP/{version}", "Host: test.example", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(content, *fields, method="POST", target="/"):
    return get(target, f"Content-Length: {len(content)}", *fields, method=method) + content


def chunks(*parts, trailers=()):
    coded = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts)
    return coded + b"0\r\n" + b"".join(t.encode() + b"\r\n" for t in trailers) + b"\r\n"
