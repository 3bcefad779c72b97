"""busy: keeps the machine busy with other work while a test runs, and tells how busy it was and how late programs woke up."""

import os
import subprocess
import threading
import time

from holdfast import TOOLS


def _processors():
    """(idle, all) jiffies of all processors."""
    with open("/proc/stat") as f:
        ticks = [int(n) for n in f.readline().split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def percentile(values, share):
    values = sorted(values)
    return values[min(int(len(values) * share), len(values) - 1)]


class Late(threading.Thread):
    """How late a program wakes up here meanwhile, in us: what a machine that is shared adds to everything. Asks for 5 ms, again and again."""

    EVERY = 0.005

    def __init__(self):
        super().__init__(daemon=True)
        self.late, self.over = [], threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join()

    def run(self):
        while True:
            asked = time.monotonic()
            if self.over.wait(self.EVERY):
                return
            self.late.append(max(0, time.monotonic() - asked - self.EVERY) * 1e6)

    def of_requests(self, wakeups=5):
        """The 99th percentile of what a request may meet, whose way wakes so many programs one after the other."""
        return percentile(self.late, 1 - 0.01 / wakeups) if self.late else 0


class Busy:
    """jitter.c: two processes for each processor, of arithmetic, memory, system calls and bursts; and one that measures."""

    def __init__(self, site, loops=None):
        self.loops = 2 * os.cpu_count() if loops is None else loops
        self.out = site.path("jitter.txt")
        self.work = site.process([os.path.join(TOOLS, "jitter"), "--seconds", "0", "--busy", str(self.loops)], stdin=subprocess.PIPE)
        with open(self.out, "w") as out:
            self.watch = site.process([os.path.join(TOOLS, "jitter"), "--seconds", str(10**6), "--busy", "0"], stdout=out)
        self.began = _processors()

    def stop(self):
        """One line: how busy the processors were, and how late a timer of 10 ms was."""
        idle, total = (now - then for now, then in zip(_processors(), self.began))
        self.watch.end()
        self.work.end()
        with open(self.out) as f:
            late = [int(line) / 1000 for line in f.read().rpartition("\n")[0].split()]
        return (f"{self.loops} busy processes on {os.cpu_count()} processors, {100 * (1 - idle / max(total, 1)):.0f}% busy; a timer of 10 ms was "
                f"{percentile(late, 0.5):.1f} ms late (median), {percentile(late, 0.99):.1f} (p99), {percentile(late, 0.999):.1f} (p99.9), "
                f"{max(late):.1f} (worst of {len(late)})") if late else "not measured"
