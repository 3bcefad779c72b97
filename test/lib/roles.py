"""roles: a service of kind primary on several nodes, and clients that write to it and remember what was acknowledged.

    with Roles(site, "abc", sync=1) as cluster:
        cluster.begin()                         # one is primary, all are in sync
        with cluster.writer("b") as writer:     # through the front on b, a write each 5 ms
            at = cluster.kill_instance("a")
            print(writer.outage(at))            # ms until a write was acknowledged that was sent when it was dead
        writer.check()                          # whatever was acknowledged is there
"""
import contextlib
import os
import re
import signal
import socket
import threading
import time

from cluster import Moment, done, now
from coordinated import Coordinated
from holdfast import until

PORT, EVERY = 26379, 0.005


def comm(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as f:
        return f.read().strip()
    return ""


class Client:
    """Writes k:N = N, one after the other; whoever does not answer within a while is left."""

    def __init__(self, cluster, fronts):
        self.cluster, self.fronts, self.turn = cluster, list(fronts), 0
        self.sock, self.data = None, b""

    def connect(self):
        address = (self.cluster.addresses[self.fronts[self.turn % len(self.fronts)]], PORT)
        self.sock, self.data = self.cluster.clients.socket(socket.SOCK_STREAM), b""
        self.sock.settimeout(1)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect(address)

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def line(self):
        while b"\r\n" not in self.data:
            got = self.sock.recv(65536)
            if not got:
                raise ConnectionError("closed")
            self.data += got
        line, self.data = self.data.split(b"\r\n", 1)
        return line

    def ask(self, *words):
        if not self.sock:
            self.connect()
        self.sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.line()

    def value(self, *words):
        return self.bulk(self.ask(*words))

    def bulk(self, line=None):
        """A value that comes; None: there is none."""
        line = line or self.line()
        if not line.startswith(b"$"):
            raise AssertionError(line)
        if line == b"$-1":
            return None
        while len(self.data) < int(line[1:]) + 2:
            got = self.sock.recv(65536)
            if not got:
                raise ConnectionError("closed")
            self.data += got
        value, self.data = self.data[:int(line[1:])], self.data[int(line[1:]) + 2:]
        return value


class Writer(threading.Thread):
    def __init__(self, cluster, fronts, name):
        super().__init__(daemon=True)
        self.cluster, self.fronts, self.prefix = cluster, fronts, name
        self.acked, self.failed, self.ending, self.n = [], [], False, 0  # (number, sent, answered), in ns

    def __enter__(self):
        self.start()
        until(lambda: len(self.acked) > 20, 30, "writes to be acknowledged")
        return self

    def __exit__(self, *exc):
        self.ending = True
        self.join(10)

    def run(self):
        client = Client(self.cluster, self.fronts)
        while not self.ending:
            self.n += 1
            sent = now()
            try:
                answer = client.ask(b"SET", b"%s:%d" % (self.prefix, self.n), b"%d" % self.n)
            except OSError as e:
                answer = repr(e).encode()
            if answer == b"+OK":
                self.acked.append((self.n, sent, now()))
            else:
                self.failed.append((self.n, sent, now(), answer))
                client.close()
                client.turn += 1
            time.sleep(EVERY)
        client.close()

    def outage(self, at, seconds=15):
        """ms from `at` until the first acknowledgement of a write that was sent later: after all of it, where that is a Moment. A write that
        met the old primary before it was cut off ends no outage."""
        first = until(lambda: next((answered for _, sent, answered in self.acked if sent > done(at)), None), seconds,
                      "writes to be acknowledged again")
        return (first - at) / 1e6

    def pause(self, at):
        """ms: the longest time between two acknowledgements, or of one, since a second before `at`."""
        times = [answered for _, _, answered in self.acked if answered > at - 1e9]
        return max(b - a for a, b in zip(times, times[1:])) / 1e6

    def check(self):
        """All that was acknowledged is there."""
        client = Client(self.cluster, self.fronts)
        lost = [n for n, _, _ in self.acked if client.value(b"GET", b"%s:%d" % (self.prefix, n)) != b"%d" % n]
        client.close()
        assert not lost, f"{len(lost)} of {len(self.acked)} acknowledged writes are lost: {lost[:10]}"
        return len(self.acked)


class Roles(Coordinated):
    CODES = ("role-", "switchover", "failover")
    SERVICE = "cache"

    def __init__(self, site, names, sync=1, more="", on=None, service=None, **rest):
        """service: instead of the block of a Redis, all that is between its braces."""
        redis = f"""agent = redis
  on     = {{{", ".join(on or names)}}}
  listen = tcp://0.0.0.0:{PORT}
  sync   = {sync}
  {more}"""
        super().__init__(site, names, more=f"service {self.SERVICE} {{\n  {service or redis}\n}}\n", **rest)
        self.writers = 0

    def begin(self):
        self.start()
        self.await_members(self.names)
        self.settle()
        return self

    def role(self, name):
        try:
            return self[name].ask(f"/v1/roles/{self.SERVICE}")["roles"][0]
        except (OSError, ValueError, KeyError, IndexError):
            return {}

    def primary(self, by=None):
        """Who acts, as these nodes agree; None while they do not."""
        said = {(r.get("primary"), r.get("epoch")) if r.get("acts") else None for r in map(self.role, by or self.names)}
        return said.pop()[0] if len(said) == 1 and None not in said else None

    def settle(self, insync=None, by=None, seconds=40):
        """One acts, and these are in sync."""
        want = sorted(insync or self.names)
        try:
            until(lambda: self.primary(by) and all(sorted(self.role(n).get("in_sync", [])) == want for n in by or self.names),
                  seconds, f"a primary, and {', '.join(want)} in sync")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.story()}") from None
        return self.primary(by)

    def backups(self, name):
        return [n for n in self.names if n != name]

    def writer(self, *fronts):
        self.writers += 1
        return Writer(self, fronts, b"w%d" % self.writers)

    def pid(self, name):
        """Of the instance there."""
        for e in reversed(self[name].events("role-instance")):
            found = re.search(r"process (\d+)", e["text"])
            if found and found[1] != "0":
                return int(found[1])
        raise AssertionError(f"no instance on {name}")

    def signal_instance(self, name, number):
        return self.signal([self.pid(name)], number)

    @staticmethod
    def signal(pids, number):
        """All of these that are there. Returns the Moment."""
        at = now()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return Moment(at)

    def await_events(self, count, *codes, since, by=None):
        """(observer, event) of all that were told since, in order: so many at least, as they come a moment after what they tell of."""
        return until(lambda: len(found := self.events(*codes, since=since, by=by)) >= count and found, 10, f"{count} of {', '.join(codes)}")

    def kill_instance(self, name):
        return self.signal_instance(name, signal.SIGKILL)

    def story(self, since=0):
        """What was told of roles."""
        lines = []
        for name in self.names:
            for e in self[name].events(since=since):
                if e["code"].startswith(self.CODES) or e["code"].startswith("node-"):
                    lines.append((e["boot_ns"], f"{(e['boot_ns'] - since) / 1e6:10.1f} {name}: {e['code']} {e['subject']}: {e['text']}"))
        return "\n".join(line for _, line in sorted(lines))

    def ours(self, name):
        """All processes of the node that are holdfast's."""
        return [pid for pid in self.everything(name) if comm(pid).startswith("holdfast")]

    def everything(self, name):
        """All processes of the node: its own, etcd, the instance."""
        top, children = self[name].process.pid, {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    children.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(pid))
            except OSError:
                continue
        found = [top]
        for pid in found:
            found += children.get(pid, [])
        return found
