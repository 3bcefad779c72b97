"""What the demo writes to a Redis, and whether it is there: part of demo.py. Uses only the standard library."""

import itertools
import socket
import threading
import time


class Disappointed(Exception):
    pass


class Redis:
    """A client of Redis, as small as can be."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), 3)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        self.socket.sendall(f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words))
        return self._answer()

    def _answer(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else None
        if kind == b"-":
            raise ConnectionError(rest)
        return rest

    def close(self):
        self.file.close()
        self.socket.close()


class Writes:
    """One client that writes key after key, to the next node when one takes no more, and remembers what was acknowledged."""

    CHUNK = 500

    def __init__(self, hosts, port):
        self.port, self.lock, self.going = port, threading.Lock(), True
        self.acknowledged, self.unclear, self.serial = [], 0, 0
        self.hosts = list(hosts)
        self.pauses, self.last = [], time.monotonic()  # (when it began, when it ended)
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()

    def _write(self):
        client = None
        while self.going:
            self.serial += 1
            try:
                client = client or Redis(self.hosts[0], self.port)
                if client.ask("SET", f"key-{self.serial}", str(self.serial)) != "OK":
                    raise ConnectionError
            except OSError:
                self.unclear += 1  # it was not acknowledged, and may be there or not
                if client:
                    client.close()
                client = None
                self.hosts.append(self.hosts.pop(0))
                time.sleep(0.01)
                continue
            now = time.monotonic()
            with self.lock:
                self.acknowledged.append(self.serial)
                self.pauses.append((self.last, now))
                self.last = now
            time.sleep(0.005)
        if client:
            client.close()

    def count(self):
        return len(self.acknowledged)

    def pause(self, since):
        """The longest time without an acknowledgement that ended after this."""
        with self.lock:
            return max((end - begin for begin, end in self.pauses if end > since), default=time.monotonic() - since)

    def missing(self):
        """Acknowledged writes that are not there."""
        with self.lock:
            wanted, hosts = list(self.acknowledged), list(self.hosts)
        began = time.monotonic()
        for turn in itertools.count():
            try:
                return self._missing(Redis(hosts[turn % len(hosts)], self.port), wanted)
            except OSError as e:  # that node is down, or its primary changed just now
                if time.monotonic() - began > 20:
                    raise Disappointed(f"what was written cannot be read: {e}") from None
                time.sleep(0.05)

    def _missing(self, client, wanted):
        lost = 0
        for i in range(0, len(wanted), self.CHUNK):
            some = wanted[i:i + self.CHUNK]
            found = client.ask("MGET", *(f"key-{n}" for n in some))
            lost += sum(1 for n, value in zip(some, found) if value != str(n))
        client.close()
        return lost

    def stop(self):
        self.going = False
        self.thread.join(12)
