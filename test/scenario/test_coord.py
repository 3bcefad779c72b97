"""Random histories of the coordinator's engines, with faults, are linearizable, and watches tell each change once, in order.

HOLDFAST_ROUNDS=1 or more runs all 200 of each engine, HOLDFAST_HISTORIES=N runs N; otherwise it is 40. A history is drawn by its
seed: HOLDFAST_SEED=N is the first one. test_etcd_histories.py does the same on etcd.
"""
import collections
import os
import time

import pytest
from coordinator import Engine, History
from linearizable import judge

HISTORIES = int(os.environ.get("HOLDFAST_HISTORIES", "200" if "HOLDFAST_ROUNDS" in os.environ else "40"))
SEED = int(os.environ.get("HOLDFAST_SEED", "1"))
PARTS = 8       # tests, so that one that fails tells which seeds


def disk_fails(history):
    """Now and then the disk under the map has one of its faults, or the process is killed."""
    r, engine = history.random, history.engines[0]
    if history.full and r.random() < 0.3:
        history.full = False
        engine.send(do="disk", fault="heal")
    if r.random() > 0.08:
        return
    kind = r.choice(["slow", "gone", "sync", "forget", "write", "full", "heal", "kill"])
    history.faults[kind] += 1
    if kind == "kill":
        history.kill(0)
    elif kind == "forget":
        engine.send(do="disk", fault="sync", times=1, forget=True)
    elif kind == "full":
        history.full = True
        engine.send(do="disk", fault="full", bytes=r.randrange(20000))
    else:
        engine.send(do="disk", fault=kind, ms=r.randrange(10, 80), times=r.randrange(1, 3))


def run_one(seed, tmp_path, counts):
    path = tmp_path / f"{seed}.db"
    history = History(seed, lambda i: Engine(f"embedded:{path}", "--faults"), clients=3 + seed % 3, each=20)
    history.faults, history.full = counts, False
    history.run(disk_fails)
    history.engines[0].send(do="disk", fault="heal")
    settle_and_judge(history, seed, counts)


def settle_and_judge(history, seed, counts):
    history.settle()
    for o in history.ops:
        counts[o.outcome] += 1
    counts["operations"] += len(history.ops)
    counts["told"] += sum(len(c["items"]) for e, w, _ in history.watches for c in e.watched.get(w, []))
    problem = judge(**history.judged())
    assert problem is None, f"seed {seed}: {problem}\n" + "\n".join(map(str, sorted(history.ops, key=lambda o: o.start)))


@pytest.mark.parametrize("part", range(PARTS))
def test_histories_on_the_embedded_engine(part, tmp_path, site):
    counts = collections.Counter()
    seeds = range(SEED + part, SEED + HISTORIES, PARTS)
    for seed in seeds:
        run_one(seed, tmp_path, counts)
    site.report(f"{len(seeds)} histories linearizable: {dict(counts)}")


def percentiles(ns):
    ns = sorted(ns)
    return f"median {ns[len(ns) // 2] / 1e6:.2f} ms, p99 {ns[len(ns) * 99 // 100] / 1e6:.1f} ms"


@pytest.mark.quiet
def test_a_change_takes_what_the_disk_takes(tmp_path, site):
    """Beside a file that is only appended to and synced. Noise of the machine is in both."""
    took, bare = [], []
    with Engine(f"embedded:{tmp_path}/map.db") as engine, open(tmp_path / "bare", "wb", buffering=0) as f:
        for i in range(1000):
            answer = engine.ask(do="cas", ops=[{"key": f"k{i % 50}", "act": "put", "expected": -1, "value": "v" * 200}])
            assert answer["outcome"] == "done" and answer["revision"] == i + 2
            took.append(answer["end"] - answer["start"])
            begun = time.monotonic_ns()
            f.write(b"v" * 12288)
            os.fdatasync(f.fileno())
            bare.append(time.monotonic_ns() - begun)
    site.report(f"1,000 changes: {percentiles(took)}; 12 KiB appended and synced: {percentiles(bare)}")
    assert sorted(took)[500] < 4 * sorted(bare)[500] + 2e6
