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
LASTING_S = 0.7     # of a cut: long enough for everybody to judge


def one_way(some, others):
    return [(a, b) for a in some for b in others if a != b]


def islands(*groups):
    return [way for i, g in enumerate(groups) for h in groups[i + 1:] for way in both_ways(g, h)]


def each(observers, what):
    return dict.fromkeys(observers, what)


class Cut:
    """What is cut, and what must come of it: whom each observer says to have failed (and nobody else), who knows that it is cut off from
    most, and what each of some says about who cannot reach whom."""

    def __init__(self, ways, fails=None, isolated="", explained=None):
        self.ways, self.isolated, self.explained = ways, set(isolated), explained or {}
        self.fails = {o: set(those) for o, those in (fails or {}).items()}


THREE = {
    "symmetric, one alone": Cut(islands("a", "bc"), each("bc", "a"), "a"),
    "symmetric, all alone": Cut(islands("a", "b", "c"), {}, "abc"),
    "one-way, a is dumb": Cut(one_way("a", "bc"), each("bc", "a"), "", {"a": "nobody hears a; it hears b and c"}),
    "one-way, a is deaf": Cut(one_way("bc", "a"), {}, "a", each("bc", "a hears nobody; b and c hear it")),
    "one-way, a to b": Cut(one_way("a", "b"), {}, "", each("ac", "b does not hear a; a hears b")),
    "partial, a and b": Cut(islands("a", "b"), {}, "", {"c": "a and b cannot reach each other; c reaches both"}),
}
FIVE = {
    "symmetric, one alone": Cut(islands("a", "bcde"), each("bcde", "a"), "a"),
    "symmetric, two and three": Cut(islands("ab", "cde"), each("cde", "ab"), "ab"),
    "symmetric, two, two, one": Cut(islands("ab", "cd", "e"), {}, "abcde"),
    "one-way, a is dumb": Cut(one_way("a", "bcde"), each("bcde", "a"), "", {"a": "nobody hears a; it hears b, c, d and e"}),
    "one-way, a is deaf": Cut(one_way("bcde", "a"), {}, "a", each("bcde", "a hears nobody; b, c, d and e hear it")),
    "one-way, a to b": Cut(one_way("a", "b"), {}, "", each("acde", "b does not hear a; a hears b")),
    "one-way, two are dumb to three": Cut(one_way("ab", "cde"), each("cde", "ab")),
    "one-way, three are dumb to two": Cut(one_way("cde", "ab"), {}, "ab", each("cde", "a does not hear c; c hears a")),
    "partial, a and b": Cut(islands("a", "b"), {}, "", each("cde", "a and b cannot reach each other; c, d and e reach both")),
    "partial, a bridge": Cut(islands("ab", "de"), {}, "", {"c": "b and e cannot reach each other; c reaches both"}),
    "partial, a ring": Cut(islands("a", "cd") + islands("b", "de") + islands("c", "e"), {}, "",
                           {"b": "a and c cannot reach each other; b reaches both", "e": "a and d cannot reach each other; e reaches both"}),
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

    def hold(self, name, cut):
        """One cut, and its end. Returns what was wrong, in sentences."""
        cluster = self.cluster
        at, end = cluster.net.cut(*cut.ways), time.monotonic() + LASTING_S * PATIENCE
        cluster.wait(lambda: all(self.failed(at).get(o, set()) >= those for o, those in cut.fails.items()), 5, f"{name}: {cut.fails} to fail")
        time.sleep(max(0, end - time.monotonic()))  # what nobody may say, nobody says in that time
        said, pictures = self.failed(at), {o: cluster[o].ask("/v1/members") for o in cluster.names}
        healed = cluster.net.heal()
        took = ms(cluster.await_agreement(seconds=AGREED_S + 8) - healed)
        self.rows.append((name, took, said))
        wrong = [] if took <= AGREED_S * 1000 * PATIENCE else [f"agreed {took:.0f} ms after healing"]
        wrong += [f"{o} said that {sorted(those)} failed" for o, those in said.items() if not those <= cut.fails.get(o, set())]
        wrong += [f"{o} said {p['isolated']} of whether it is isolated" for o, p in pictures.items() if p["isolated"] != (o in cut.isolated)]
        wrong += [f"{o} explained {pictures[o]['explain']!r}, without {text!r}" for o, text in cut.explained.items()
                  if text not in pictures[o]["explain"]]
        return [f"{name}: {w}" for w in wrong]


@pytest.mark.parametrize("names", MATRIX, ids=["three nodes", "five nodes"])
def test_all_agree_after_any_partition(site, names):
    with Cluster(site, names) as cluster:
        cluster.start()
        loads = {name: cluster.load(name) for name in names}
        partitions, wrong = Partitions(cluster), []
        for _ in range(max(1, ROUNDS // 2)):
            for name, cut in MATRIX[names].items():
                wrong += partitions.hold(name, cut)
        totals = [answered(load) for load in loads.values()]
        for name, took, said in partitions.rows:
            site.report(f"{len(names)} nodes, {name}: agreed {took:.0f} ms after healing; failed {plain(said)}")
        gap = max(t["max_gap_us"] for t in totals) / 1000
        site.report(f"{sum(t['requests'] for t in totals)} requests to {len(names)} nodes, longest time between two answers {gap:.0f} ms")
        assert not wrong, "\n".join(wrong) + "\n" + cluster.picture()


def plain(said):
    return "; ".join(f"{''.join(sorted(those))} for {o}" for o, those in sorted(said.items())) or "nobody"
