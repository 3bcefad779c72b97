"""The judge of a coordinator's histories (test/lib/linearizable.py) is judged itself: it takes what is right, however it overlapped,
and rejects what was planted."""
import random

import pytest
from linearizable import ANY, CONFLICT, DONE, FAILED, UNKNOWN, Key, Op, Watch, Wrong, judge


def put(key, value, expected):
    return Key(key, "put", expected, value)


def remove(key, expected):
    return Key(key, "remove", expected)


def cas(start, end, outcome, revision, *keys):
    return Op("c", start, end, outcome, revision, keys=list(keys))


def read(start, end, revision, prefix="", **items):
    return Op("c", start, end, DONE, revision, prefix=prefix, items=items)


def call(revision, *items, whole=False):
    """items: (key, value or None, revision)"""
    return {"whole": whole, "revision": revision,
            "items": [{"key": k, "value": v, "revision": r, "gone": v is None} for k, v, r in items]}


RIGHT = {
    "nothing": [],
    "one after the other": [cas(0, 1, DONE, 2, put("a", "x", 0)), read(2, 3, 2, a=("x", 2)),
                            cas(4, 5, DONE, 3, put("a", "y", 2)), read(6, 7, 3, a=("y", 3))],
    "a read during a change sees either": [cas(0, 9, DONE, 2, put("a", "x", 0)), read(1, 2, 1), read(3, 4, 2, a=("x", 2))],
    "of two at once one conflicts": [cas(0, 9, DONE, 2, put("a", "x", 0)), cas(0, 9, CONFLICT, 0, put("a", "y", 0))],
    "a conflict before what it conflicts with ends": [cas(0, 9, DONE, 2, put("a", "x", 0)), cas(1, 2, CONFLICT, 0, put("a", "y", 0))],
    "unknown, and it happened": [cas(0, 1, UNKNOWN, 0, put("a", "x", 0)), read(2, 3, 2, a=("x", 2))],
    "unknown, and it did not": [cas(0, 1, UNKNOWN, 0, put("a", "x", 0)), read(2, 3, 1)],
    "unknown, and it happens later": [cas(0, 1, UNKNOWN, 0, put("a", "x", 0)), read(2, 3, 1), read(4, 5, 2, a=("x", 2))],
    "failed, and it did not": [cas(0, 1, FAILED, 0, put("a", "x", 0)), read(2, 3, 1)],
    "several keys, and one that goes": [cas(0, 1, DONE, 2, put("a", "x", 0), put("b", "y", 0)),
                                        cas(2, 3, DONE, 3, remove("a", 2), put("b", "z", 2)), read(4, 5, 3, b=("z", 3))],
    "what changes nothing": [cas(0, 1, DONE, 2, put("a", "x", 0)), cas(2, 3, DONE, 2, Key("a", "leave", 2)),
                             cas(4, 5, DONE, 2, remove("b", ANY))],
}

STALE = [cas(0, 1, DONE, 2, put("a", "x", 0)), cas(2, 3, DONE, 3, put("a", "y", 2))]
WRONG = {
    "a stale read": STALE + [read(4, 5, 2, a=("x", 2))],
    "a stale read that names the new revision": STALE + [read(4, 5, 3, a=("x", 2))],
    "a read of the future": [read(0, 1, 2, a=("x", 2)), cas(2, 3, DONE, 2, put("a", "x", 0))],
    "a read that goes back while a change is under way": [cas(0, 9, DONE, 2, put("a", "x", 0)), read(1, 2, 2, a=("x", 2)), read(3, 4, 1)],
    "a lost update": [cas(0, 1, DONE, 2, put("n", "1", 0)), cas(2, 9, DONE, 3, put("n", "2", 2)), cas(2, 9, DONE, 4, put("n", "two", 2))],
    "a write that was never done": [read(0, 1, 2, a=("x", 2))],
    "a cas that succeeded with a wrong compare": [cas(0, 1, DONE, 2, put("a", "x", 0)), cas(2, 3, DONE, 3, put("a", "y", 7))],
    "a cas that succeeded on a key that was there": [cas(0, 1, DONE, 2, put("a", "x", 0)), cas(2, 3, DONE, 3, put("a", "y", 0))],
    "a conflict without a reason": [cas(0, 1, DONE, 2, put("a", "x", 0)), cas(2, 3, CONFLICT, 0, put("a", "y", 2))],
    "an unknown one that happened twice": [cas(0, 1, UNKNOWN, 0, put("a", "x", ANY)), read(2, 3, 2, a=("x", 2)),
                                           cas(4, 5, DONE, 3, put("a", "y", 2)), read(6, 7, 4, a=("x", 4))],
    "a failed one that happened": [cas(0, 1, FAILED, 0, put("a", "x", 0)), read(2, 3, 2, a=("x", 2))],
    "half of a change": [cas(0, 1, DONE, 2, put("a", "x", 0), put("b", "y", 0)), read(2, 3, 2, a=("x", 2))],
    "a removed key that is there": [cas(0, 1, DONE, 2, put("a", "x", 0)), cas(2, 3, DONE, 3, remove("a", 2)), read(4, 5, 3, a=("x", 2))],
    "a revision that goes back": [cas(0, 1, DONE, 9, put("a", "x", 0)), cas(2, 3, DONE, 8, put("b", "y", 0))],
    "a revision that was given twice": [cas(0, 9, DONE, 2, put("a", "x", 0)), cas(0, 9, DONE, 2, put("b", "y", 0))],
    "it ended before it began": [read(5, 4, 1)],
}


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_taken(name, exact):
    assert judge(RIGHT[name], exact=exact) is None


# Keys apart are judged apart where revisions need only rise, and these two overlapped.
ONLY_EXACT = {"a revision that was given twice"}


@pytest.mark.parametrize("name, exact", [(n, e) for n in WRONG for e in (True, False) if e or n not in ONLY_EXACT])
def test_what_is_wrong_is_rejected(name, exact):
    assert judge(WRONG[name], exact=exact)


def test_revisions_of_keys_apart_are_judged_by_the_clock():
    assert judge([cas(0, 1, DONE, 9, put("a", "x", 0)), cas(2, 3, DONE, 12, put("b", "y", 0))], exact=False) is None
    assert "after 9" in judge([cas(0, 1, DONE, 9, put("a", "x", 0)), cas(2, 3, DONE, 8, put("b", "y", 0))], exact=False)


TOLD = [call(1, whole=True), call(2, ("a", "x", 2)), call(4, ("a", "y", 3), ("b", "z", 4)), call(5, ("a", None, 5))]
DID = [cas(0, 1, DONE, 2, put("a", "x", 0)), cas(2, 3, DONE, 3, put("a", "y", 2)), cas(4, 5, DONE, 4, put("b", "z", 0)),
       cas(6, 7, DONE, 5, remove("a", 3))]


def judge_calls(calls, history=DID, prefix=""):
    try:
        return judge(history, watches=[Watch(calls, prefix)])
    except Wrong as e:
        return str(e)


def test_watches_that_are_right():
    assert judge_calls(TOLD) is None
    assert judge_calls(TOLD[:2]) is None                                        # it lags
    assert judge_calls([call(3, ("a", "y", 3), whole=True), call(4, ("b", "z", 4)), TOLD[3]]) is None
    assert judge_calls([TOLD[0], TOLD[1], call(5, ("b", "z", 4), whole=True)]) is None      # compacted in between
    assert judge_calls([call(1, whole=True), call(4, ("b", "z", 4))], prefix="b") is None
    # what a watch was told settles what happened
    assert judge_calls(TOLD[:2], [cas(0, 1, UNKNOWN, 0, put("a", "x", 0))]) is None


TOLD_WRONG = {
    "begins without the whole": TOLD[1:],
    "skips a change": [TOLD[0], TOLD[1], call(4, ("b", "z", 4)), TOLD[3]],
    "skips a whole revision": [TOLD[0], TOLD[2], TOLD[3]],
    "skips a removal": [*TOLD[:3], call(6, ("c", "w", 6))],
    "repeats a change": [TOLD[0], TOLD[1], TOLD[1]],
    "repeats it within a call": [TOLD[0], call(2, ("a", "x", 2), ("a", "x", 2))],
    "changes the order of calls": [TOLD[0], TOLD[2], TOLD[1], TOLD[3]],
    "changes the order within a call": [TOLD[0], TOLD[1], call(4, ("b", "z", 4), ("a", "y", 3))],
    "tells another value": [TOLD[0], call(2, ("a", "?", 2))],
    "tells another revision": [TOLD[0], call(3, ("a", "x", 3))],
    "goes back": [*TOLD, call(4, ("a", "y", 3), ("b", "z", 4), whole=True)],
    "tells what nobody did": [*TOLD, call(6, ("c", "w", 6))],
    "leaves a key out of the whole": [call(4, ("a", "y", 3), whole=True)],
    "forgets in the whole that a key is gone": [call(5, ("a", "y", 3), ("b", "z", 4), whole=True)],
}


@pytest.mark.parametrize("name", TOLD_WRONG)
def test_watches_that_are_wrong(name):
    assert judge_calls(TOLD_WRONG[name])


def test_a_change_that_failed_is_told_to_nobody():
    assert judge_calls(TOLD[:2], [cas(0, 1, FAILED, 0, put("a", "x", 0))])


def simulated(r, clients=5, each=25):
    """A history that is right: each operation takes effect at a random moment of its own, some with an unknown outcome."""
    plans, history, there, revision = [], [], {}, 1
    for c in range(clients):
        t = 0.0
        for n in range(each):
            start = t + r.random()
            t = start + r.random() * 5
            plans.append((start + (t - start) * r.random(), start, t, c, n))
    for _, start, end, c, n in sorted(plans):
        key = r.choice("abc")
        if r.random() < 0.3:
            history.append(Op(c, start, end, DONE, revision, prefix="", items=dict(there)))
            continue
        keys = [put(k, f"{c}.{n}", there[k][1] if k in there and r.random() < 0.8 else 0) for k in {key, r.choice("abc")}]
        happens = all(k.expected == (there[k.key][1] if k.key in there else 0) for k in keys)
        revision += happens
        for k in keys:
            if happens:
                there[k.key] = (k.value, revision)
        outcome = UNKNOWN if r.random() < 0.1 else DONE if happens else CONFLICT
        history.append(Op(c, start, end, outcome, revision if outcome == DONE else 0, keys=keys))
    return history


def test_random_histories_are_taken_and_each_damage_is_found():
    r = random.Random(3)
    for _ in range(30):
        history = simulated(r)
        assert judge(history) is None
        assert judge(history, exact=False) is None
        o = r.choice([o for o in history if o.outcome == DONE and o.keys])
        o.keys[0] = o.keys[0]._replace(expected=o.revision + 1000)
        assert judge(history)
        assert judge(history, exact=False)
