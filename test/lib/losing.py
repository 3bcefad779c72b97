"""losing: how long it takes the others to know that a node is lost, and how long to have it back, measured by their own events."""

import random
import statistics
import time

from cluster import now

# What a lost node stays away at least. An outage of less than two `suspect-after` is taken for a habit of the network: with a link
# that flaps so, all get used to silences of that length, and a loss is noticed later.
AWAY_S = 0.6


def ms(ns):
    return ns / 1e6


class Losses:
    """Loses nodes of a cluster, one at a time, and keeps what was measured: times in ms."""

    def __init__(self, cluster, seed=1, strict=True, away=AWAY_S):
        """strict: that a survivor says of another one that it failed ends the test; else it is counted in `wrong`. away: seconds that a cut lasts at least."""
        self.cluster, self.random, self.strict, self.wrong = cluster, random.Random(seed), strict, 0
        self.away = away
        self.times, self.first, self.agreed, self.back = [], [], [], []

    def survivors(self, victim):
        return [name for name in self.cluster.names if name != victim]

    def cut(self, victim):
        """Silently, at the bridge; until all survivors have said so, and then until it is back."""
        at = self.cluster.net.alone(victim)
        self._await(victim, at)
        time.sleep(max(0, self.away - (now() - at) / 1e9))
        self._await_back(victim, self.cluster.net.heal())

    def kill(self, victim):
        """SIGKILL to all its processes: its machine answers that nobody listens there."""
        at = now()
        self.cluster[victim].kill()
        self._await(victim, at)
        self.cluster[victim].start()
        self._await_back(victim, now())

    def _await(self, victim, at):
        seen = self.cluster.await_event("node-failed", victim, self.survivors(victim), at)
        times = sorted(ms(e["boot_ns"] - at) for e in seen.values())
        self.times += times
        self.first.append(times[0])
        self.agreed.append(times[-1])
        wrong = [(o, e["code"], e["subject"]) for o, e in self.cluster.events("node-failed", since=at) if e["subject"] != victim]
        self.wrong += len(wrong)
        assert not wrong or not self.strict, f"{victim} was lost, and others were said to have failed: {wrong}\n{self.cluster.picture()}"

    def _await_back(self, victim, at):
        self.back.append(ms(self.cluster.await_agreement() - at))

    def line(self):
        worst, middle = max(self.times), statistics.median(self.times)
        return (f"{len(self.agreed)} losses: known to a survivor after {middle:.0f} ms median, {worst:.0f} ms worst; to the first "
                f"{statistics.median(self.first):.0f} ms, to all {statistics.median(self.agreed):.0f} ms median, {max(self.agreed):.0f} ms worst; "
                f"back everywhere {statistics.median(self.back):.0f} ms median, {max(self.back):.0f} ms worst after healing")
