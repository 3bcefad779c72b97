"""ticker: a command of which there must be one, and a way to see whether there were two.

Run as a program it writes a line to a file that all nodes share each millisecond, and so does a child of its own, which listens to no
signal that can be ignored:

    ticker.py FILE

    NODE EPOCH RUN WHO TIME      RUN: the pid of the leader; WHO: leader | child; ns of CLOCK_BOOTTIME

O_APPEND makes the order of the lines that of what was done, whatever the clocks say and whenever somebody was paused. A class Ticks reads it:
as soon as a run has written, no earlier one may write again.
"""

import os
import signal
import sys
import time

EVERY = 0.001


def main(path):
    run = os.getpid()
    who = "leader" if os.fork() else "child"
    if who == "child":
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    head = f"{os.environ['HOLDFAST_NODE']} {os.environ['HOLDFAST_EPOCH']} {run} {who} "
    while True:
        os.write(fd, f"{head}{time.clock_gettime_ns(time.CLOCK_BOOTTIME)}\n".encode())
        time.sleep(EVERY)


class Ticks:
    def __init__(self, path):
        self.path = path
        with open(path, "w"):
            os.chmod(path, 0o666)

    def runs(self):
        """[node, epoch, run, first, last, {who}] in the order in which they wrote; one that writes again is there again."""
        runs = []
        with open(self.path) as f:
            lines = [line.split() for line in f.read().rpartition("\n")[0].splitlines()]
        for node, epoch, run, who, at in lines:
            if not runs or runs[-1][:3] != [node, int(epoch), run]:
                runs.append([node, int(epoch), run, int(at), int(at), set()])
            runs[-1][4] = int(at)
            runs[-1][5].add(who)
        return runs

    def last(self):
        """(node, when) of the latest line; (None, 0): there is none."""
        runs = self.runs()
        return (runs[-1][0], runs[-1][4]) if runs else (None, 0)

    def check(self):
        """Never two at once. [(node, epoch)] of the runs."""
        runs = self.runs()
        names = [(node, run) for node, _, run, *_ in runs]
        told = "\n".join(f"{node} epoch {epoch} run {run} ({', '.join(sorted(who))}): {(last - first) / 1e6:.1f} ms from {(first - runs[0][3]) / 1e6:.1f}"
                         for node, epoch, run, first, last, who in runs[-20:])
        assert len(names) == len(set(names)), f"two at once:\n{told}"
        assert [r[1] for r in runs] == sorted(r[1] for r in runs), f"an older epoch after a newer one:\n{told}"
        return [(node, epoch) for node, epoch, *_ in runs]


if __name__ == "__main__":
    main(*sys.argv[1:])
