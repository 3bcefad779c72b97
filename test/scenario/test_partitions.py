"""Every kind of cut between nodes: who is lost for whom meanwhile, that all agree again within two seconds after healing, and that
every node's proxy answers throughout.

Cuts are between nodes alone: clients and backends reach all of them. Rounds: HOLDFAST_ROUNDS / 2, at least one.
"""

import os
import time

import pytest
from cluster import Cluster, answered, both_ways
from holdfast import PATIENCE
from losing import ms

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "2"))
AGREED_S = 2
LASTING_S = 0.9     # of a cut: long enough for everybody to judge


def one_way(some, others):
    return [(a, b) for a in some for b in others if a != b]


def islands(*groups):
    return [way for i, g in enumerate(groups) for h in groups[i + 1:] for way in both_ways(g, h)]


# name: (ways that are cut, who fails for whom: {observer: those}); the rest must not be said to have failed by anybody.
THREE = {
    "symmetric, one alone": (islands("a", "bc"), {"b": "a", "c": "a"}),
    "symmetric, all alone": (islands("a", "b", "c"), {}),
    "one-way, a is dumb": (one_way("a", "bc"), {"b": "a", "c": "a"}),
    "one-way, a is deaf": (one_way("bc", "a"), {}),
    "one-way, a to b": (one_way("a", "b"), {}),
    "partial, a and b": (islands("a", "b"), {}),
}
FIVE = {
    "symmetric, one alone": (islands("a", "bcde"), {o: "a" for o in "bcde"}),
    "symmetric, two and three": (islands("ab", "cde"), {o: "ab" for o in "cde"}),
    "symmetric, two, two, one": (islands("ab", "cd", "e"), {}),
    "one-way, a is dumb": (one_way("a", "bcde"), {o: "a" for o in "bcde"}),
    "one-way, a is deaf": (one_way("bcde", "a"), {}),
    "one-way, two are dumb to three": (one_way("ab", "cde"), {o: "ab" for o in "cde"}),
    "one-way, three are dumb to two": (one_way("cde", "ab"), {}),
    "partial, a and b": (islands("a", "b"), {}),
    "partial, a bridge": (islands("ab", "de"), {}),
    "partial, a ring": (islands("a", "cd") + islands("b", "de") + islands("c", "e"), {}),
}
MATRIX = {"abc": THREE, "abcde": FIVE}


class Partitions:
    def __init__(self, cluster):
        self.cluster, self.rows = cluster, []

    def failed(self, since):
        """{observer: those that it said to have failed}"""
        found = {}
        for o, e in self.cluster.events("node-failed", since=since):
            found.setdefault(o, set()).add(e["subject"])
        return found

    def hold(self, name, ways, expected):
        """One cut, and its end. Returns what was wrong."""
        cluster, expected = self.cluster, {o: set(those) for o, those in expected.items()}
        at = cluster.net.cut(*ways)
        end = time.monotonic() + LASTING_S * PATIENCE
        cluster.wait(lambda: all(self.failed(at).get(o, set()) >= those for o, those in expected.items()), 5, f"{name}: {expected} to fail")
        time.sleep(max(0, end - time.monotonic()))  # what nobody may say, nobody says in that time
        said = self.failed(at)
        named = [e["text"] for _, e in cluster.events("partition", since=at)]
        healed = cluster.net.heal()
        took = ms(cluster.await_agreement(seconds=AGREED_S + 8) - healed)
        self.rows.append((name, took, said, named))
        wrong = []
        if took > AGREED_S * 1000 * PATIENCE:
            wrong.append(f"{name}: agreed {took:.0f} ms after healing")
        for o, those in said.items():
            if not those <= expected.get(o, set()):
                wrong.append(f"{name}: {o} said that {sorted(those)} failed, expected {sorted(expected.get(o, ''))}")
        return wrong


@pytest.mark.parametrize("names", MATRIX, ids=["three nodes", "five nodes"])
def test_all_agree_after_any_partition(site, names):
    with Cluster(site, names) as cluster:
        cluster.start()
        loads = {name: cluster.load(name) for name in names}
        partitions, wrong = Partitions(cluster), []
        for _ in range(max(1, ROUNDS // 2)):
            for name, (ways, expected) in MATRIX[names].items():
                wrong += partitions.hold(name, ways, expected)
        totals = [answered(load) for load in loads.values()]
        for name, took, said, named in partitions.rows:
            site.report(f"{len(names)} nodes, {name}: agreed {took:.0f} ms after healing; failed {plain(said)}; {named[0] if named else 'not named'}")
        gap = max(t["max_gap_us"] for t in totals) / 1000
        site.report(f"{sum(t['requests'] for t in totals)} requests to {len(names)} nodes, longest time between two answers {gap:.0f} ms")
        assert not wrong, "\n".join(wrong) + "\n" + cluster.picture()


def plain(said):
    return "; ".join(f"{''.join(sorted(those))} for {o}" for o, those in sorted(said.items())) or "nobody"
