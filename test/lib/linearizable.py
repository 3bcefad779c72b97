"""linearizable: judges histories of a coordinator: is there one order of all that was done, in which every answer is right?

The search is Wing and Gong's (1993) with Lowe's memory (2017): operations are put into an order one after the other; the next is
any that began before the first of the others ended; a state in which the same operations were placed before is not entered a
second time. What only reads, and is right now, is placed at once: that forecloses nothing. An operation whose outcome is not
known has no end: it may be placed at any time after its beginning, once, or never. One that failed is never placed.

The state is the map with its revision. Exactly, each change raises the revision by one (a map that nobody else writes to), and
every revision that was answered must be the one of its place. Without `exact` revisions need only rise; then the history falls
apart by keys that no operation names together (Herlihy and Wing's locality), each part is judged alone, and the revisions of all
together only by the clock.

Watches are part of the judgement: `Watch` takes the calls of one and says what came twice, late or out of order; `judge` then
demands that the order of operations makes exactly the changes that were told, at their revisions.

    problem = judge(history, watches=[Watch(calls, prefix)])     # None, or what is wrong, in words
"""
import collections

ANY = -1
DONE, CONFLICT, UNKNOWN, FAILED = "done", "conflict", "unknown", "failed"

# One key of a change: act is "put", "remove" or "leave"; expected a revision, 0 (not there) or ANY.
Key = collections.namedtuple("Key", "key act expected value", defaults=(None,))


class Op:
    """One request. keys: a cas. prefix: a range, with items {key: (value, revision)}. end is None when no answer came."""

    def __init__(self, client, start, end, outcome, revision=None, keys=None, prefix=None, items=None):
        self.client, self.start, self.outcome, self.revision = client, start, outcome, revision
        self.keys, self.prefix, self.items = keys, prefix, items
        self.end = None if outcome == UNKNOWN else end

    def __repr__(self):
        what = f"range {self.prefix!r} -> {self.items}" if self.keys is None else \
            "cas " + ", ".join(f"{k.act} {k.key}@{k.expected}" + (f"={k.value}" if k.act == "put" else "") for k in self.keys)
        return f"[{self.client} {self.start}..{self.end} {what}: {self.outcome} {self.revision}]"


class Wrong(Exception):
    pass


class Watch:
    """The calls of one watch, in their order: {"whole", "revision", "items": [{"key", "value", "revision", "gone"}]}.
    Raises Wrong for what no order of operations can explain."""

    def __init__(self, calls, prefix=""):
        self.prefix = prefix
        self.changes = {}       # revision -> {key: value, None for gone}
        self.snapshots = {}     # revision -> {key: (value, revision)}: the whole, as it was told
        self.covered = []       # [after, up to]: every change between was told
        self.last = None
        for call in calls:
            self._take(call)

    def _take(self, call):
        revision = call["revision"]
        if self.last is None and not call["whole"]:
            raise Wrong(f"a watch began without the whole: {call}")
        if self.last is not None and revision < self.last + (not call["whole"]):
            raise Wrong(f"a watch was told of {revision} after {self.last}")
        if call["whole"]:
            self.snapshots[revision] = {i["key"]: (i["value"], i["revision"]) for i in call["items"]}
            self.covered.append([revision, revision])
        else:
            self._take_changes(call["items"], revision)
            self.covered[-1][1] = revision
        self.last = revision

    def _take_changes(self, items, upto):
        before = self.last
        for i in items:
            at = i["revision"]
            if not self.last < at <= upto or at < before:
                raise Wrong(f"a watch that knows {self.last} was told, up to {upto}, of {i} after {before}")
            made = self.changes.setdefault(at, {})
            if i["key"] in made:
                raise Wrong(f"a watch was told twice of {i}")
            if not i["key"].startswith(self.prefix):
                raise Wrong(f"a watch of {self.prefix!r} was told of {i}")
            made[i["key"]] = None if i["gone"] else i["value"]
            before = at
        if not items:
            raise Wrong(f"a call up to {upto} tells nothing")

    def objects(self, revision, made, state):
        """What was told against what this change makes of the map."""
        mine = {k: v for k, v in made.items() if k.startswith(self.prefix)}
        if any(a < revision <= b for a, b in self.covered) and mine != self.changes.get(revision, {}):
            return f"a watch of {self.prefix!r} that knows {self.covered} was told of {self.changes.get(revision, {})} at {revision}"
        return self.objects_to_whole(revision, state) and f"a watch of {self.prefix!r} began with {self.snapshots[revision]} at {revision}"

    def objects_to_whole(self, revision, state):
        whole = self.snapshots.get(revision)
        return whole is not None and whole != {k: v for k, v in state.items() if k.startswith(self.prefix)}


class _Search:
    def __init__(self, ops, revision, items, exact, watches):
        self.ops = sorted(ops, key=lambda o: o.start)
        self.exact, self.watches = exact, watches
        self.revealed = {} if exact else _revealed(ops)
        self.first = (revision, tuple(sorted(items.items())))
        self.must = sum(1 << i for i, o in enumerate(self.ops) if o.outcome != UNKNOWN)
        self.reach = max((w.last for w in watches if w.last is not None), default=0)
        self.furthest, self.objections = (-1, 0, self.first), {}

    def run(self):
        seen = set()
        stack = [(0, self.first)]
        while stack:
            placed, state = self._place_reads(*stack.pop())
            if placed & self.must == self.must and state[0] >= self.reach:
                return None
            if (placed, state) in seen:
                continue
            seen.add((placed, state))
            self.furthest = max(self.furthest, (bin(placed & self.must).count("1"), placed, state))
            stack += [(placed | 1 << i, after) for i, after in self._next(placed, state)]
        return self._explain()

    def _candidates(self, placed):
        """Those that nothing else must come before."""
        first_end = min((o.end for i, o in enumerate(self.ops) if not placed >> i & 1 and o.end is not None), default=None)
        for i, o in enumerate(self.ops):
            if first_end is not None and o.start > first_end:
                return
            if not placed >> i & 1:
                yield i, o

    def _place_reads(self, placed, state):
        again = True
        while again:
            again = False
            for i, o in list(self._candidates(placed)):
                after = self._as_read(o, state)
                if after:
                    placed, state, again = placed | 1 << i, after, True
        return placed, state

    def _as_read(self, o, state):
        """The state after o if o is right and changes nothing here; the revision may rise where it is not exact."""
        revision, items = state
        if o.keys is None:
            wanted = tuple((k, v) for k, v in items if k.startswith(o.prefix))
            right = tuple(sorted(o.items.items())) == wanted
        else:
            there = dict(items)
            matches = _matches(o, there)
            if o.outcome == CONFLICT:
                return None if matches else state
            right = o.outcome == DONE and matches and not _made(o, there)
        if not right or (o.revision != revision if self.exact else o.revision < revision):
            return None
        # Where it is not exact the revision that was read forecloses what has a lower one: those are placed in order of it.
        return (o.revision, items) if self.exact or o.revision == revision else None

    def _next(self, placed, state):
        revision, items = state
        for i, o in self._candidates(placed):
            if not self.exact and (o.keys is None or o.outcome == DONE) and o.revision > revision:
                relaxed = self._as_read(o, (o.revision, items))
                if relaxed:
                    yield i, relaxed
                    continue
            if o.keys is None or o.outcome == CONFLICT:
                continue
            there = _bound(o, dict(items))
            made = _made(o, there) if _matches(o, there) else None
            if not made:
                continue
            at = self._revision_of(i, o, revision)
            if at is None:
                continue
            for key, value in made.items():
                there.pop(key, None)
                if value is not None:
                    there[key] = (value, at)
            objection = next(filter(None, (w.objects(at, made, there) for w in self.watches)), None)
            if objection:
                self.objections[placed] = objection
                continue
            low = at if isinstance(at, int) else revision + 1
            yield i, (low, tuple(sorted(there.items(), key=repr if not self.exact else None)))

    def _revision_of(self, i, o, before):
        """The revision that o has at this place, None when it cannot have it."""
        if self.exact:
            return before + 1 if o.outcome == UNKNOWN or o.revision == before + 1 else None
        at = o.revision if o.outcome == DONE else next(
            (self.revealed[k.key, k.value] for k in o.keys if (k.key, k.value) in self.revealed), ("?", i))
        return None if isinstance(at, int) and at <= before else at

    def _explain(self):
        _, placed, state = self.furthest
        stuck = [o for i, o in self._candidates(placed) if o.outcome != UNKNOWN]
        told = "" if state[0] >= self.reach else f"; a watch was told of revision {self.reach}"
        return f"no order explains it: at revision {state[0]} with {dict(state[1])} none of these can come next: " \
               f"{stuck[:6]}{told}; {self.objections.get(placed, 'no watch objects')}"


def _matches(o, there):
    return all(k.expected == ANY or k.expected == (there[k.key][1] if k.key in there else 0) for k in o.keys)


def _bound(o, there):
    """Who compares with success knows the revision that nobody was told."""
    known = {there[k.key][1]: k.expected for k in o.keys
             if k.key in there and isinstance(there[k.key][1], tuple) and k.expected > 0}
    return {k: (v, known.get(r, r)) for k, (v, r) in there.items()}


def _made(o, there):
    """What o changes: {key: value}, None for one that it removes."""
    return {k.key: k.value if k.act == "put" else None for k in o.keys
            if k.act == "put" or k.act == "remove" and k.key in there}


def _revealed(ops):
    """Values are written once each, so whoever read one tells its revision."""
    return {(key, value): revision for o in ops if o.keys is None and o.items
            for key, (value, revision) in o.items.items()}


def _by_the_clock(ops):
    """Revisions of all keys together: never lower than what was answered before it was asked."""
    highest, ends = 0, sorted((o for o in ops if o.end is not None and o.outcome == DONE), key=lambda o: o.end)
    i = 0
    for o in sorted((o for o in ops if o.outcome == DONE), key=lambda o: o.start):
        while i < len(ends) and ends[i].end < o.start:
            highest, i = max(highest, ends[i].revision), i + 1
        if o.revision < highest:
            return f"revision {o.revision} was answered after {highest}: {o}"
    return None


def _parts(ops):
    """Groups of operations that share no key: by the keys that they name, or all of them for a prefix that covers them."""
    keys = {k.key for o in ops if o.keys for k in o.keys} | {k for o in ops if o.items for k in o.items}
    group = {k: {k} for k in keys}

    def names(o):
        return [k.key for k in o.keys] if o.keys is not None else [k for k in keys if k.startswith(o.prefix)]

    for o in ops:
        joined = set().union(*(group[k] for k in names(o)))
        for k in joined:
            group[k] = joined
    parts = collections.defaultdict(list)
    for o in ops:
        parts[min(group[names(o)[0]]) if names(o) else ""].append(o)
    return parts.values()


def judge(ops, revision=1, items=None, exact=True, watches=()):
    """None when the history can be explained; else what is wrong. It began at this revision with these items."""
    ops = [o for o in ops if o.outcome != FAILED]
    for o in ops:
        if o.end is not None and o.end < o.start:
            return f"it ended before it began: {o}"
    items = items or {}
    if exact:
        if any(w.objects_to_whole(revision, items) for w in watches):
            return f"a watch was told another whole than {items} at revision {revision}"
        return _Search(ops, revision, items, True, watches).run()
    assert not watches, "watches are judged exactly"
    problem = _by_the_clock(ops)
    for part in _parts(ops):
        names = {k.key for o in part if o.keys for k in o.keys} | {k for o in part if o.items for k in o.items}
        begin = {k: v for k, v in items.items() if k in names}
        problem = problem or _Search(part, revision, begin, False, ()).run()
    return problem
