"""What a restore of the coordinator leaves behind: versions whose numbers mean one thing, revisions above all that were given out."""
import json
import os
import shutil

import pytest
from cluster import answered
from coordinated import KILL, Coordinated
from holdfast import sample, until
from test_apply import Local, apply, cluster, config_of, service, versions, write  # noqa: F401


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
    until(lambda: {m["config_version"] for m in three["a"].ask("/v1/members")["members"]} == {first}, what="all nodes to have said so")
    assert {m["voter"] for m in three["a"].ask("/v1/members")["members"]} == {True}
    assert f"epoch {three['a'].status()['epoch']}, configuration {first}, " in three["a"].command("status").stdout
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




# ---- the other engines ----

@pytest.fixture
def alone(site):
    port = site.port()
    return site.node(sample(port, [site.backend()]), port)


def applied_alone(node, tmp_path, port, weight):
    with open(node.file) as f:
        text = f.read()
    node.command("apply", write(f"{tmp_path}/apply.conf", text + service("marked", port, [f"127.0.0.1:1 {{ weight = {weight} }}"])), "--yes")


def mark(node):
    return next((s["instances"][0]["weight"] for s in node.status()["services"] if s["name"] == "marked"), None)


def pictures(node):
    return json.loads(node.command("coordinator", "--json").stdout)


@pytest.mark.parametrize("interrupted", [False, True])
def test_on_one_machine(alone, site, tmp_path, interrupted):
    """A backup of a file is put into that file: at once, or, when control died in the middle, by the one that comes after it."""
    port, file = site.port(), str(tmp_path / "backup.json")
    for weight in (11, 12):
        applied_alone(alone, tmp_path, port, weight)
    alone.command("coordinator", "backup", file)
    for weight in (13, 14):
        applied_alone(alone, tmp_path, port, weight)
    revision = pictures(alone)["revision"]
    refused = alone.command("coordinator", "restore", "--yes", check=False)
    assert refused.returncode == 1 and "--from" not in refused.stdout
    if interrupted:
        alone.terminate()
        left = os.path.join(alone.state, "restore.json")
        shutil.copy(file, left)
        os.chmod(left, 0o644)
        alone.start()
    else:
        alone.command("coordinator", "restore", "--from", file, "--force", "--yes", seconds=90)
    until(lambda: mark(alone) == 12 and not pictures(alone)["restoring"], 60, "what was backed up to run")
    assert config_of(alone)["used"]["version"] == 5 and config_of(alone)["used"]["from"] == 2
    assert not os.path.exists(os.path.join(alone.state, "restore.json"))
    assert pictures(alone)["revision"] > revision
    assert not config_of(alone)["problem"]
    applied_alone(alone, tmp_path, port, 15)
    assert (mark(alone), config_of(alone)["used"]["version"]) == (15, 6)
    assert "keys are restored from a backup" in alone.command("events").stdout


def test_what_is_no_backup_is_refused(alone, tmp_path):
    for text in "", "{}", '{"format": "holdfast coordinator 2", "items": []}', "x" * 1000:
        file = write(f"{tmp_path}/no.json", text)
        refused = alone.command("coordinator", "restore", "--from", file, "--force", "--yes", check=False)
        assert refused.returncode == 1 and "no backup" in refused.stderr, refused.stderr
    assert pictures(alone)["reachable"] and not pictures(alone)["restoring"]


@pytest.mark.parametrize("cluster", ["external"], indirect=True)
def test_into_an_etcd_of_somebody(cluster, tmp_path):
    file = str(tmp_path / "backup.json")
    first = applied(cluster, "a", "first", 11)
    until(lambda: set(versions(cluster).values()) == {first}, what="all nodes to run it")
    cluster["b"].command("coordinator", "backup", file)
    for weight in (12, 13):
        last = applied(cluster, "c", "later", weight)
    until(lambda: set(versions(cluster).values()) == {last}, what="all nodes to run the last")
    cluster["a"].command("coordinator", "restore", "--from", file, "--force", "--yes", seconds=120)
    until(lambda: set(versions(cluster).values()) == {last + 1}, 60, "all nodes to run the backup's under a number of its own")
    assert set(marks(cluster).values()) == {11} and not any(config_of(n)["problem"] for n in cluster.nodes.values())
    assert applied(cluster, "b", "after it", 14) == last + 2
