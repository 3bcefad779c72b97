"""prober: writes to a Redis address every few milliseconds, each over a connection of its own, and says what came of each.

Run as a program, on whatever machine the prober is to be: `prober.py HOST PORT EVERY_MS [PATIENCE_MS]`. A line a probe, when it has ended:

    LAUNCHED ANSWERED OUTCOME          ns of CLOCK_BOOTTIME; ok, or what went wrong in one word

A probe that waits holds up none of the others, so that the first one that succeeds tells when writes are accepted again; its own launch
does not: it may have waited for that. A class Prober starts it and looks at its lines.
"""

import errno
import os
import selectors
import socket
import subprocess
import sys
import time


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Probe:
    def __init__(self, address, number):
        self.launched, self.sent, self.got = now(), False, b""
        self.request = b"*3\r\n$3\r\nSET\r\n$5\r\nprobe\r\n$%d\r\n%d\r\n" % (len(str(number)), number)
        self.socket = socket.socket()
        self.socket.setblocking(False)
        error = self.socket.connect_ex(address)
        self.outcome = None if error in (0, errno.EINPROGRESS) else errno.errorcode.get(error, str(error))

    def turn(self):
        """None: it goes on; else what came of it."""
        try:
            if not self.sent:
                error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    return errno.errorcode.get(error, str(error))
                self.socket.send(self.request)
                self.sent = True
                return None
            more = self.socket.recv(4096)
        except BlockingIOError:
            return None
        except OSError as e:
            return errno.errorcode.get(e.errno, str(e.errno))
        self.got += more
        if not more:
            return "closed"
        if b"\r\n" not in self.got:
            return None
        return "ok" if self.got.startswith(b"+OK") else self.got[1:].split(b" ")[0].split(b"\r")[0].decode(errors="replace")


def main(host, port, every, patience=2000):
    wanted, probes, out = selectors.DefaultSelector(), {}, sys.stdout
    due, number, every, patience = now(), 0, int(float(every) * 1e6), int(float(patience) * 1e6)

    def end(p, outcome):
        if p.socket in probes:
            wanted.unregister(p.socket)
            del probes[p.socket]
        p.socket.close()
        out.write(f"{p.launched} {now()} {outcome}\n")
        out.flush()

    while True:
        for key, _ in wanted.select(max(0, due - now()) / 1e9):
            p = probes[key.fileobj]
            outcome = p.turn()
            if outcome:
                end(p, outcome)
            elif p.sent:
                wanted.modify(p.socket, selectors.EVENT_READ)
        for p in [p for p in probes.values() if now() - p.launched > patience]:
            end(p, "timeout")
        if now() >= due:
            p = Probe((host, int(port)), number)
            number += 1
            due = max(due + every, now() - every)
            if p.outcome:
                end(p, p.outcome)
            else:
                probes[p.socket] = p
                wanted.register(p.socket, selectors.EVENT_WRITE)


class Prober:
    """site: holdfast.Site; prefix: of the machine."""

    def __init__(self, site, prefix, host, port, every=5, patience=2000):
        self.path = site.path(f"probes-{host}-{port}-{now()}")
        with open(self.path, "wb") as out:
            self.process = site.process([*prefix, sys.executable, "-S", os.path.abspath(__file__), host, str(port), str(every),
                                         str(patience)], stdout=out, stderr=subprocess.STDOUT)

    def lines(self):
        """(launched, answered, outcome) of all that have ended."""
        with open(self.path) as f:
            lines = [line.split(None, 2) for line in f.read().rpartition("\n")[0].splitlines()]
        return [(int(a), int(b), c.strip()) for a, b, c in lines]

    def again(self, after):
        """When the first write was accepted that was answered after that moment and launched after it too; None: not yet."""
        answers = [b for a, b, outcome in self.lines() if outcome == "ok" and a >= after]
        return min(answers, default=None)

    def longest(self, begin, end):
        """The longest time without an answer between two moments, and how many probes failed meanwhile."""
        lines = [(a, b, c) for a, b, c in self.lines() if begin <= a <= end]
        times = sorted([begin, *(b for _, b, c in lines if c == "ok"), end])
        return max(y - x for x, y in zip(times, times[1:])), [c for _, _, c in lines if c != "ok"]

    def stop(self):
        self.process.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
