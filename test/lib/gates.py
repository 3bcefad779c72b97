"""Gates of a service of kind primary, each a proxy of its own whose cells this test writes (gatectl), and the instances behind
them: real Redis servers."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

from holdfast import PATIENCE, TOOLS, until

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
CLIENT = "127.0.0.9"  # at no node's address


class Broken(Exception):
    """The connection ended."""


class Talk:
    """One client's connection: commands out, replies in."""

    def __init__(self, address, timeout=10 * PATIENCE, source=CLIENT):
        self.s = socket.create_connection(address, timeout=timeout, source_address=(source, 0))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.have = b""

    def close(self):
        self.s.close()

    def send(self, *words):
        self.s.sendall(command(*words))

    def more(self):
        try:
            data = self.s.recv(65536)
        except ConnectionError as e:
            raise Broken(str(e)) from e
        if not data:
            raise Broken("end")
        self.have += data

    def line(self):
        while b"\r\n" not in self.have:
            self.more()
        line, self.have = self.have.split(b"\r\n", 1)
        return line

    def read(self):
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind in b"+":
            return rest.decode()
        if kind == b"-":
            return Exception(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            n = int(rest)
            if n < 0:
                return None
            while len(self.have) < n + 2:
                self.more()
            value, self.have = self.have[:n], self.have[n + 2:]
            return value.decode()
        if kind in (b"*", b">"):
            return [self.read() for _ in range(int(rest))] if rest != b"-1" else None
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        raise AssertionError(line)

    def do(self, *words):
        try:
            self.send(*words)
        except ConnectionError as e:
            raise Broken(str(e)) from e
        return self.read()


def command(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def free_port(hosts):
    """One that is free at all of these."""
    for _ in range(100):
        with socket.socket() as s:
            s.bind((hosts[0], 0))
            port = s.getsockname()[1]
        if all(is_free(h, port) for h in hosts):
            return port
    raise AssertionError("no port is free")


def is_free(host, port):
    with socket.socket() as s:
        try:
            s.bind((host, port))
            return True
        except OSError:
            return False


class Redis:
    """A server at this host; with its state in memory only."""

    def __init__(self, host, port, *options):
        self.address = (host, port)
        self.dir = tempfile.mkdtemp(prefix="gate-redis-")
        self.process = subprocess.Popen(
            ["redis-server", "--bind", host, "--port", str(port), "--dir", self.dir, "--save", "", "--appendonly", "no",
             "--replica-announce-ip", host, "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
             "--protected-mode", "no", "--daemonize", "no", *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers)

    def answers(self):
        try:
            return Talk(self.address).do("PING") is not None
        except (OSError, Broken):
            return False

    def do(self, *words):
        t = Talk(self.address)
        try:
            return t.do(*words)
        finally:
            t.close()

    def info(self):
        return dict(line.split(":", 1) for line in self.do("INFO", "replication").splitlines() if ":" in line)

    def follow(self, other, wait=True):
        if other is None:
            self.do("REPLICAOF", "NO", "ONE")
            return
        self.do("REPLICAOF", *other.address)
        if wait:
            until(lambda: self.info().get("master_link_status") == "up")

    def pause(self):
        self.process.send_signal(19)

    def resume(self):
        self.process.send_signal(18)

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Gate:
    """The proxy of one place, and the cells of its role."""

    def __init__(self, place, hosts, listen, port, **options):
        self.place = place
        self.address = (hosts[place], listen)
        self.process = subprocess.Popen(
            [os.path.join(TOOLS, "gatectl"), str(place), ",".join(hosts), str(listen), str(port),
             *(f"{k}={v}" for k, v in options.items())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid = self.hear()["pid"]

    def hear(self):
        line = self.process.stdout.readline()
        assert line, "gatectl ended"
        return json.loads(line)

    def tell(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.hear()

    def set(self, **cells):
        return self.tell("set " + " ".join(f"{k}={v}" for k, v in cells.items()))

    def quiet(self, **cells):
        return self.tell("quiet " + " ".join(f"{k}={v}" for k, v in cells.items()))

    def row(self):
        return self.tell("row")

    def open(self, epoch=1, lease_ms=600000, **more):
        return self.set(lease_until=f"+{lease_ms}", lease_epoch=epoch, gate=epoch, epoch=epoch, primary=self.place + 1, **more)

    def shut(self, **more):
        return self.set(gate=0, **more)

    def talk(self, **options):
        return Talk(self.address, **options)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Cluster:
    """A gate and an instance at each of some places."""

    def __init__(self, n=3, **options):
        self.hosts = HOSTS[:n]
        self.port, self.listen = free_port(self.hosts), free_port(self.hosts)
        self.redis = [Redis(h, self.port) for h in self.hosts]
        self.gates = [Gate(i, self.hosts, self.listen, self.port, **options) for i in range(n)]
        self.epoch = 0

    def elect(self, place, **more):
        """What a failover to this place leaves: its gate is open, the others know it."""
        self.epoch += 1
        for g in self.gates:
            if g.place != place:
                g.shut(epoch=self.epoch, primary=place + 1, hold=0)
        self.gates[place].open(self.epoch, hold=0, **more)

    def replicate(self, place):
        self.redis[place].follow(None)
        for i, r in enumerate(self.redis):
            if i != place:
                r.follow(self.redis[place])
        t = Talk(self.redis[place].address)  # until all have said where they are, they count for nothing
        assert t.do("SET", "replicated", 1) == "OK" and t.do("WAIT", len(self.redis) - 1, 10000) == len(self.redis) - 1
        t.close()

    def close(self):
        for x in (*self.gates, *self.redis):
            x.stop()
