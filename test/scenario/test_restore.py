"""What a restore of the coordinator leaves behind: versions whose numbers mean one thing, revisions above all that were given out."""
import json
import os

import pytest
from cluster import answered
from coordinated import KILL, Coordinated
from holdfast import until
from test_apply import Local, apply, config_of, service, versions


@pytest.fixture
def three(site):
    with Coordinated(site, "abc") as cluster:
        cluster.start()
        cluster.await_members("abc")
        yield cluster


def applied(cluster, by, note, weight):
    """A version that differs from all others by the weight of a backend; its number."""
    text = cluster.config() + service("marked", 7999, [f"127.0.0.1:1 {{ weight = {weight} }}"])
    return apply(Local(cluster[by].state), text, note)[0]


def marks(cluster):
    found = {}
    for name in cluster.names:
        marked = [s for s in cluster[name].status()["services"] if s["name"] == "marked"]
        found[name] = marked[0]["instances"][0]["weight"] if marked else None
    return found


def history(cluster, by):
    api = Local(cluster[by].state)
    return {v["version"]: v for v in api.ask("GET", "/v1/config/history?last=100")[1]["versions"]}


def test_numbers_never_mean_two_things(three, tmp_path):
    """A backup goes back behind what all nodes run: its content comes into force under a number that nobody ran."""
    file = str(tmp_path / "backup.json")
    first = applied(three, "a", "first", 11)
    until(lambda: set(versions(three).values()) == {first}, what="all nodes to run it")
    three["b"].command("coordinator", "backup", file)
    for weight in (12, 13):
        last = applied(three, "b", "later", weight)
    until(lambda: set(versions(three).values()) == {last}, what="all nodes to run the last")
    load = three.load("a")
    three["c"].command("coordinator", "restore", "--from", file, "--force", "--yes", seconds=120)
    three.await_members("abc")
    until(lambda: set(versions(three).values()) == {last + 1}, 60, "all nodes to run the backup's version under a number of its own")
    assert set(marks(three).values()) == {11}
    rows = history(three, "b")
    assert sorted(rows) == list(range(1, first + 1)) + [last + 1]
    assert rows[last + 1]["from"] == first and rows[last + 1]["who"] == "holdfast" and "restore" in rows[last + 1]["note"]
    assert rows[last + 1]["digest"] == rows[first]["digest"]
    assert not any(config_of(three[name])["problem"] for name in three.names)
    assert applied(three, "c", "after it", 14) == last + 2
    until(lambda: set(marks(three).values()) == {14}, what="all nodes to follow again")
    answered(load)


def test_a_node_that_was_away_during_the_restore_lifts_the_numbers(three, tmp_path):
    """It runs a version whose number was given to another one meanwhile: neither of the two stays in force."""
    file = str(tmp_path / "backup.json")
    first = applied(three, "a", "first", 11)
    until(lambda: set(versions(three).values()) == {first}, what="all nodes to run it")
    three["b"].command("coordinator", "backup", file)
    three["b"].kill()
    three["c"].kill()
    # only a, which is away now, has seen this number
    three["a"].kill()
    aside = os.path.join(three["a"].state, "config", "%010d")
    with open(aside % first) as f:
        record = json.load(f)
    record.update(version=first + 1, id="0" * 32)
    with open(aside % (first + 1), "w") as f:
        json.dump(record, f)
    os.chmod(aside % (first + 1), 0o644)
    for name in "bc":
        three[name].start(wait=False)
    for name in "bc":
        until(three[name].ready, 60, f"{name} to be back")
    until(lambda: three["b"].coordinator().get("reachable"), 60, "two of three to agree")
    assert applied(three, "b", "meanwhile", 12) == first + 1
    until(lambda: {config_of(three[n])["used"]["version"] for n in "bc"} == {first + 1}, what="both to run it")
    three["a"].start(wait=False)
    until(three["a"].ready, 60, "a to be back")
    until(lambda: set(versions(three).values()) == {first + 2}, 60, "all nodes to run one that means one thing")
    assert set(marks(three).values()) == {12}


def test_the_revision_is_raised_by_whoever_is_control_when_it_can_be(three):
    """Control dies in the middle of a restore: what it was to do is on the disk."""
    for weight in range(3):
        applied(three, "a", "some", weight + 1)
    revision = three["a"].coordinator()["revision"]
    for name in "bc":
        three.wipe(name)
    until(lambda: not three["a"].coordinator().get("reachable", True), 60, "a to miss the others")
    api = Local(three["a"].state)
    status, answer = api.ask("POST", "/v1/coordinator/restore", {"force": True})
    assert status in (200, 202), answer
    os.kill(next(p["pid"] for p in three["a"].status()["processes"] if p["name"] == "control"), KILL)
    until(lambda: three["a"].coordinator().get("reachable"), 60, "it to be back")
    until(lambda: not three["a"].coordinator()["restoring"], 60, "the restore to end")
    assert three["a"].coordinator()["revision"] >= revision + 1000


