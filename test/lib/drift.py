"""drift: what the processes of a node hold, sampled for as long as a test runs, and whether it grows.

The rule. A figure is followed by role (supervisor, control, proxy, draining), so that a process and its successor are one
series; the mean is taken where several have a role. The series is cut into six equal parts of time. The first is warm-up.
It drifts if the median of the last part is above that of the second by more than its allowance: 10% and 2 MiB of memory,
10% and 32 descriptors, no thread. Medians, since a burst of clients is no drift; the second part against the last, since
what grows by little shows best over the longest time.
"""

import os
import statistics

MIB = 1024 * 1024
# figure: (share of the second part's median, and as much more)
ALLOWED = {"rss": (0.10, 2 * MIB), "descriptors": (0.10, 32), "threads": (0, 0)}
# A run of few minutes has no warm-up: caches, pools and buffers still fill in its second sixth.
SHORT_MINUTES, SHORT_MORE = 10, {"rss": 6 * MIB, "descriptors": 96, "threads": 0}


def look(pid):
    """What one process holds; None if it is gone."""
    found = {"pid": pid}
    names = {"VmRSS": ("rss", 1024), "VmHWM": ("hwm", 1024), "RssAnon": ("anon", 1024), "Threads": ("threads", 1)}
    try:
        with open(f"/proc/{pid}/status") as f:
            for line in f:
                key, _, value = line.partition(":")
                if key in names:
                    name, unit = names[key]
                    found[name] = int(value.split()[0]) * unit
        found["descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return found if "rss" in found else None


class Series:
    """(seconds, role, figures) of a run."""

    def __init__(self):
        self.rows = []

    def add(self, seconds, role, figures):
        self.rows.append((seconds, role, figures))

    def roles(self):
        return sorted({role for _, role, _ in self.rows})

    def sixths(self, role, figure):
        """The medians of the six parts; None for a part without samples."""
        if not self.rows:
            return [None] * 6
        begin, end = self.rows[0][0], self.rows[-1][0]
        parts = [[] for _ in range(6)]
        for seconds, r, figures in self.rows:
            if r == role:
                parts[min(int(6 * (seconds - begin) / max(end - begin, 1e-9)), 5)].append(figures[figure])
        return [statistics.median(p) if p else None for p in parts]


def drifts(series, minutes, roles=("supervisor", "control", "proxy")):
    """A sentence for each figure that drifts."""
    found = []
    for role in roles:
        for figure, (share, more) in ALLOWED.items():
            if minutes < SHORT_MINUTES:
                more += SHORT_MORE[figure]
            parts = series.sixths(role, figure)
            if parts[1] is None or parts[5] is None:
                found.append(f"{role}: no {figure} recorded in the {'second' if parts[1] is None else 'last'} sixth")
            elif parts[5] > parts[1] * (1 + share) + more:
                found.append(f"{role}: {figure} {parts[1]:.0f} in the second sixth, {parts[5]:.0f} in the last; the medians of all six: {parts}")
    return found
