"""Random histories of the engine for etcd, while members die and stop, are linearizable; watches tell each change once, in order.

As test_coord.py: HOLDFAST_ROUNDS=1 runs 200, HOLDFAST_HISTORIES=N runs N for each number of members, HOLDFAST_SEED=N is the first.
"""
import collections
import os
import time

import pytest
from coordinator import Engine, History
from etcd import EtcdCluster
from linearizable import judge

HISTORIES = int(os.environ.get("HOLDFAST_HISTORIES", "200" if "HOLDFAST_ROUNDS" in os.environ else "8"))
SEED = int(os.environ.get("HOLDFAST_SEED", "1"))


class Nemesis:
    """One member at a time is lost for a moment; or the whole of a single one; or a process that asks is killed."""

    def __init__(self, etcd, counts):
        self.etcd, self.counts, self.lost = etcd, counts, None

    def __call__(self, history):
        r = history.random
        if self.lost and time.monotonic() > self.lost[2]:
            self.heal()
        elif not self.lost and r.random() < 0.06:
            member, how = r.randrange(self.etcd.n), r.choice(["kill", "stop", "kill who asks"])
            self.counts[how] += 1
            if how == "kill who asks":
                history.kill(r.randrange(len(history.engines)))
                return
            getattr(self.etcd, how)(member)
            self.lost = member, how, time.monotonic() + r.uniform(0.05, 0.7)

    def heal(self):
        if self.lost:
            member, how, _ = self.lost
            self.lost = None
            self.etcd.start(member) if how == "kill" else self.etcd.resume(member)


def run_one(etcd, seed, counts):
    spec = f"etcd:h/{seed}/," + ",".join(etcd.urls)
    history = History(seed, lambda i: Engine(spec), engines=2, clients=3 + seed % 3, each=12)
    nemesis = Nemesis(etcd, counts)
    history.run(nemesis)
    nemesis.heal()
    history.settle()
    for o in history.ops:
        counts[o.outcome] += 1
    counts["operations"] += len(history.ops)
    counts["told"] += sum(len(c["items"]) for e, w, _ in history.watches for c in e.watched.get(w, []))
    problem = judge(**history.judged())
    assert problem is None, f"seed {seed}: {problem}\n" + "\n".join(map(str, sorted(history.ops, key=lambda o: o.start)))


@pytest.mark.parametrize("members", [1, 3, 5])
def test_histories_on_etcd(members, site):
    counts = collections.Counter()
    seeds = range(SEED, SEED + HISTORIES)
    with EtcdCluster(site, members) as etcd:
        for seed in seeds:
            run_one(etcd, seed, counts)
            etcd.await_leader()
    site.report(f"{members} members: {len(seeds)} histories linearizable: {dict(counts)}")
