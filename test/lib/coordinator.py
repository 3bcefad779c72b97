"""coordinator: drives a coordinator's engine (test/lib/coord.c) from several clients at once, and keeps what was asked and answered
as a history for the judge (linearizable.py).

    with Engine("embedded:" + path) as engine:
        engine.ask(do="range", prefix="")           # and wait for the answer

    history = History(7, lambda i: Engine(...), engines=1, clients=4)       # clients that do random things
    history.run(fault)
    history.settle()
    judge(**history.judged())
"""
import collections
import itertools
import json
import os
import random
import select
import subprocess
import time

import holdfast
from linearizable import ANY, CONFLICT, DONE, FAILED, UNKNOWN, Key, Op, Watch, judge

TOOL = os.path.join(holdfast.TOOLS, "coord")


class Engine:
    """One process with one connection. Answers are taken with `read`; `watched` has the calls of its watches by their id."""

    ids = itertools.count(1)

    def __init__(self, spec, *options, prefix=()):
        self.group = holdfast.Process([*prefix, TOOL, spec, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process = self.group.popen
        os.set_blocking(self.process.stdout.fileno(), False)
        self.bytes, self.lines, self.watched = b"", [], {}
        assert self.read(20)["ready"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def send(self, **what):
        what.setdefault("id", next(self.ids))
        self.process.stdin.write(json.dumps(what).encode() + b"\n")
        self.process.stdin.flush()
        return what["id"]

    def _fill(self, seconds):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return False
        more = os.read(self.process.stdout.fileno(), 1 << 20)
        if not more:
            raise EOFError(f"the engine ended: {self.process.wait()}")
        *lines, self.bytes = (self.bytes + more).split(b"\n")
        self.lines += map(json.loads, lines)
        return True

    def read(self, seconds=0.0):
        """The next answer; None when there is none in time. Calls of watches are put aside."""
        end = time.monotonic() + seconds * holdfast.PATIENCE
        while True:
            while self.lines:
                line = self.lines.pop(0)
                if "watch" not in line:
                    return line
                self.watched.setdefault(line["watch"], []).append(line)
            if not self._fill(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                return None

    def ask(self, **what):
        """Sends and waits; nothing else may be under way."""
        wanted = self.send(**{"ms": 10000, **what})
        answer = self.read(20)
        assert answer and answer["id"] == wanted, answer
        return answer

    def kill(self):
        """As kill -9 does; what it said before is still read."""
        self.process.kill()
        self.process.wait()
        try:
            while self._fill(0):
                pass
        except EOFError:
            pass
        answers = [line for line in self.lines if "watch" not in line]
        for line in self.lines:
            if "watch" in line:
                self.watched.setdefault(line["watch"], []).append(line)
        self.lines = []
        self.group.end()
        return answers

    def end(self):
        """Its input ends, and so does it."""
        if not self.group.ended:
            self.process.stdin.close()
            self.process.wait(20)
            self.group.end()


class Client:
    """Asks one thing after the other, with what it has read in mind: most of what it tries could succeed."""

    def __init__(self, name, r, keys):
        self.name, self.random, self.keys = name, r, keys
        self.known, self.n, self.serial = {}, 0, 0
        self.waits_for = None   # id of what is under way
        self.rests = 0.0        # until then: nothing is gained by asking who has just refused
        self.asked = None

    def next(self):
        self.n += 1
        self.serial += 1
        ms = self.random.choice([5, 20, 60, 2000, 2000, 2000])
        if self.random.random() < 0.3:
            return {"do": "range", "prefix": self.random.choice(["", "", *self.keys]), "ms": ms}
        keys = self.random.sample(self.keys, self.random.choice([1, 1, 1, 2, 3]))
        return {"do": "cas", "ops": [self._op(k) for k in keys], "ms": ms}

    def _op(self, key):
        draw = self.random.random()
        expected = ANY if draw < 0.1 else 0 if draw < 0.2 else self.known.get(key, 0)
        act = self.random.choice(["put", "put", "put", "put", "remove", "leave"])
        return {"key": key, "act": act, "expected": expected, "value": f"{self.name}.{self.serial}.{key}"}

    def learn(self, asked, answer):
        if answer["outcome"] == FAILED:
            self.n -= 1
            self.rests = time.monotonic() + 0.02
        if answer["outcome"] != DONE:
            return
        if asked["do"] == "range":
            self.known = {k: v for k, v in self.known.items() if not k.startswith(asked["prefix"])}
            self.known.update({i["key"]: i["revision"] for i in answer["items"]})
            return
        for op in asked["ops"]:
            if op["act"] == "put":
                self.known[op["key"]] = answer["revision"]
            elif op["act"] == "remove":
                self.known.pop(op["key"], None)


def op_of(client, asked, answer):
    """What the judge knows of one request. answer is None when there was none."""
    outcome = answer["outcome"] if answer else UNKNOWN
    start, end = (answer["start"], answer["end"]) if answer and "start" in answer else (asked["at"], asked["at"])
    if outcome == "refused":
        outcome = FAILED
    if asked["do"] == "range":
        items = {i["key"]: (i["value"], i["revision"]) for i in answer["items"]} if outcome == DONE else {}
        return Op(client, start, end, outcome if outcome == DONE else FAILED, answer and answer.get("revision"),
                  prefix=asked["prefix"], items=items)
    keys = [Key(o["key"], o["act"], o["expected"], o["value"]) for o in asked["ops"]]
    return Op(client, start, end, outcome, answer and answer.get("revision"), keys=keys)


class History:
    """Random clients on engines: client i asks engines[i % n]. `open` makes engine i (again); `fault(history, step)` is called
    between steps."""

    def __init__(self, seed, open_engine, engines=1, clients=4, each=15):
        self.random = random.Random(seed)
        self.open = open_engine
        self.engines = [open_engine(i) for i in range(engines)]
        self.clients = [Client(f"c{i}", random.Random(f"{seed}/{i}"), ["a", "b", "c"]) for i in range(clients)]
        self.each, self.ops, self.watches, self.steps = each, [], [], 0
        self.deadline = time.monotonic() + 60 * holdfast.PATIENCE
        first = self.engines[0].ask(do="range", prefix="")
        self.revision = first["revision"]
        self.begin = {i["key"]: (i["value"], i["revision"]) for i in first["items"]}
        for engine in self.engines:
            self._watch(engine)

    def _watch(self, engine):
        for prefix in "", self.random.choice("abc"):
            self.watches.append((engine, engine.send(do="watch", prefix=prefix), prefix))

    def _engine(self, i):
        return self.engines[i % len(self.engines)]

    def _answered(self, engine, answer):
        for i, client in enumerate(self.clients):
            if self._engine(i) is engine and client.waits_for == answer.get("id"):
                self.ops.append(op_of(client.name, client.asked, answer))
                client.learn(client.asked, answer)
                client.waits_for = None

    def _begin(self, i):
        client = self.clients[i]
        client.asked = client.next()
        client.asked["at"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        client.waits_for = self._engine(i).send(**{k: v for k, v in client.asked.items() if k != "at"})

    def run(self, fault=lambda history: None):
        while any(c.waits_for or c.n < self.each for c in self.clients):
            assert time.monotonic() < self.deadline, f"not answered: {[c.asked for c in self.clients if c.waits_for]}"
            idle = [i for i, c in enumerate(self.clients) if not c.waits_for and c.n < self.each and c.rests < time.monotonic()]
            if idle and self.random.random() < 0.7:
                self._begin(self.random.choice(idle))
                self.steps += 1
                fault(self)
            for engine in self.engines:
                while answer := engine.read(0 if idle else 0.005):
                    self._answered(engine, answer)

    def kill(self, i):
        """Engine i is killed and opened again; what it did not answer is unknown."""
        engine = self.engines[i]
        for answer in engine.kill():
            self._answered(engine, answer)
        for j, client in enumerate(self.clients):
            if self._engine(j) is engine and client.waits_for:
                self.ops.append(op_of(client.name, client.asked, None))
                client.waits_for = None
        self.engines[i] = self.open(i)
        self._watch(self.engines[i])

    def settle(self):
        """Everything is sound again: one more change and read by each engine; watches hear of it. Then it ends."""
        for i, engine in enumerate(self.engines):
            for asked in ({"do": "cas", "ops": [{"key": "end", "act": "put", "expected": ANY, "value": f"end.{i}"}]},
                          {"do": "range", "prefix": ""}):
                answer = {"outcome": FAILED}
                while answer["outcome"] not in (DONE, CONFLICT):
                    assert time.monotonic() < self.deadline, answer
                    if asked["do"] == "cas":
                        asked["ops"][0]["value"] += "."
                    asked["at"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                    holdfast.until(lambda: engine.ask(do="health")["reachable"], what="the engine")
                    answer = engine.ask(**{"ms": 2000, **{k: v for k, v in asked.items() if k != "at"}})
                    self.ops.append(op_of("end", json.loads(json.dumps(asked)), answer))
        last = answer["revision"]
        for engine, watch, prefix in self.watches:
            while prefix == "" and engine in self.engines and engine.watched.get(watch, [{"revision": 0}])[-1]["revision"] < last:
                assert time.monotonic() < self.deadline, "a watch did not hear of the last change"
                engine.read(0.01)
        for engine in self.engines:
            engine.end()

    def judged(self):
        """Watches and operations for the judge."""
        return {"ops": self.ops, "revision": self.revision, "items": self.begin,
                "watches": [Watch(engine.watched.get(watch, []), prefix) for engine, watch, prefix in self.watches]}


# --- on etcd: EtcdCluster of etcd.py, or Members of coordinated.py ---

HISTORIES = int(os.environ.get("HOLDFAST_HISTORIES", "200" if "HOLDFAST_ROUNDS" in os.environ else "5"))
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
    history = History(seed, lambda i: etcd.engine(f"h/{seed}/"), engines=2, clients=3 + seed % 3, each=12)
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


def histories(etcd, first, n):
    """So many histories are linearizable, or it fails; what happened in them."""
    counts, began = collections.Counter(), time.monotonic()
    for seed in range(first, first + n):
        run_one(etcd, seed, counts)
        etcd.settle()
    return f"{n} histories linearizable, in {time.monotonic() - began:.0f} s: {dict(counts)}"
