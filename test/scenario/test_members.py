"""What operators see of a cluster, and how they steer it, with three real nodes: members, leave, maintenance, status, top, metrics."""

import json

import jsonschema
import pytest

from cluster import Cluster, both_ways
from holdfast import TOP, until
from metrics import metrics


@pytest.fixture
def cluster(site):
    with Cluster(site, "abc") as c:
        yield c.start()


def checked(text, name):
    with open(f"{TOP}/docs/schema/{name}.json") as f:
        jsonschema.Draft202012Validator(json.load(f)).validate(json.loads(text))
    return json.loads(text)


def members(node):
    answer = checked(node.command("members", "--json").stdout, "members")
    return answer, {m["name"]: m for m in answer["members"]}


def line(node):
    return next(words for words in node.command("status").stdout.splitlines() if words.startswith("cluster "))


def test_a_lost_node_is_seen_everywhere_and_seen_again(cluster):
    a, b = cluster["a"], cluster["b"]
    whole, each = members(a)
    assert (whole["cluster"], whole["self"], whole["states"]["alive"], whole["isolated"]) == ("prod", "a", 3, False)
    assert [m["address"] for m in whole["members"]] == [f"{cluster.addresses[n]}:7300" for n in "abc"]
    assert each["a"]["reason"] == "self" and each["b"]["reason"] == "heard" and each["b"]["heard_ago_seconds"] < 5
    until(lambda: members(a)[1]["c"]["observers"]["hearing"] == ["a", "b"], what="both to say that they hear c")
    until(lambda: members(a)[1]["b"]["rtt_us"], what="a round trip to b")
    assert a.command("members", "--fail").returncode == 0
    assert line(a) == "cluster prod: 3 nodes, 3 alive"

    cluster.net.alone("c")
    lost = {"a": "alive", "b": "alive", "c": "failed"}
    cluster.await_agreement(lost, by="ab")
    for node in a, b:
        gone = members(node)[1]["c"]
        assert gone["reason"] == "agreed" and gone["observers"]["silent"] == ["a", "b"] and gone["observers"]["hearing_count"] == 0
        done = node.command("members", "--fail", check=False)
        assert done.returncode == 1 and "node c is not alive" in done.stderr and "its observers agree" in done.stdout
        assert line(node).startswith("cluster prod: 3 nodes, 2 alive, c failed ")
        checked(node.command("status", "--json").stdout, "status")
        assert metrics(node)['holdfast_member_state{node="c",state="failed"}'] == 1
    checked(a.command("top", "--once", "--json").stdout, "top")
    assert "c: failed for" in a.command("top", "--once").stdout
    until(lambda: members(cluster["c"])[0]["isolated"], what="c to know that it is alone")
    assert "hears too few others" in cluster["c"].command("members").stdout

    cluster.net.heal()
    cluster.await_agreement()
    assert a.command("members", "--fail").returncode == 0


def test_maintenance_of_a_node_is_known_to_all_and_nothing_is_judged(cluster):
    a, c = cluster["a"], cluster["c"]
    assert c.command("maintenance", "on").stdout.startswith("c is in maintenance")
    assert c.command("maintenance", "on").stdout == "c was in maintenance already\n"
    until(lambda: all(members(cluster[n])[1]["c"]["maintenance"] for n in "abc"), what="all to know of the maintenance")
    assert a.command("maintenance").stdout == "in maintenance: c\n"
    assert "c in maintenance" in line(a)
    c.kill()
    cluster.wait(lambda: a.events("node-suspect"), 10, "a to miss c")
    assert a.command("members", "--fail").returncode == 0
    assert not a.events("node-failed")
    c.start()
    cluster.await_agreement()
    assert c.command("maintenance", "off").returncode == 0
    until(lambda: not any(members(cluster[n])[1]["c"]["maintenance"] for n in "abc"), what="all to know of its end")


def test_maintenance_of_another_node_is_told_to_it(cluster):
    a, b, c = (cluster[n] for n in "abc")
    until(lambda: a.command("maintenance", "on", "b", check=False).returncode == 0, what="a link to b")
    until(lambda: all(members(cluster[n])[1]["b"]["maintenance"] for n in "abc"), what="all to know of the maintenance")
    assert [e["subject"] for e in b.events("maintenance")] == ["b"]
    assert a.command("maintenance", "off", "b").stdout == "b is judged again\n"
    until(lambda: not any(members(cluster[n])[1]["b"]["maintenance"] for n in "abc"), what="all to know of its end")
    done = a.command("maintenance", "on", "bb", check=False)
    assert done.returncode == 1 and 'node "bb" does not exist in cluster "prod"' in done.stderr
    cluster.net.alone("c")
    cluster.await_agreement({"a": "alive", "b": "alive", "c": "failed"}, by="ab")
    until(lambda: a.command("maintenance", "on", "c", check=False).returncode == 1, what="the link to c to be gone")
    assert not c.events("maintenance")


def test_who_cannot_reach_whom_is_said(cluster):
    cluster.net.cut(*both_ways("a", "b"))
    said = {"a": "a does not hear b; c does", "b": "b does not hear a; c does", "c": "a and b cannot reach each other; c reaches both"}
    for node, text in said.items():
        until(lambda n=node, t=text: members(cluster[n])[0]["explain"] == t, what=f"{node} to name the cut")
        assert cluster[node].command("members").stdout.splitlines()[1] == "  " + text
        assert "  " + text in cluster[node].command("status").stdout.splitlines()
    each = members(cluster["a"])[1]
    assert each["b"]["reason"] == "vouched" and each["b"]["observers"]["hearing"] == ["c"] and each["b"]["observers"]["silent"] == ["a"]
    assert each["a"]["observers"]["hearing"] == ["c"] and each["a"]["observers"]["hearing_count"] == 1
    # Whoever is seen by another is not gone.
    assert all(state != "failed" for node in "abc" for state in cluster[node].states().values())
    cluster.wait(lambda: all(cluster[n].events("partition") for n in "abc"), 10, "the event of the partition")
    cluster.net.heal()
    cluster.await_agreement()
    until(lambda: not any(members(cluster[n])[0]["explain"] for n in "abc"), what="the cut to be forgotten")
    cluster.wait(lambda: all(cluster[n].events("partition-healed") for n in "abc"), 10, "the event of its end")


def test_who_leaves_is_not_missed_and_may_return(cluster):
    a, b = cluster["a"], cluster["b"]
    done = b.command("leave", "--wait")
    assert done.stdout == "b has left cluster prod\n"
    cluster.await_agreement({"a": "alive", "b": "left", "c": "alive"}, by="ac")
    assert a.command("members", "--fail").returncode == 0
    assert "b: left for" in a.command("members").stdout
    assert b.command("leave", "--wait", "--json").returncode == 0
    load = cluster.load("b")
    load.carry(20)
    assert load.failed(load.stop()) == 0
    b.terminate()
    b.start()
    cluster.await_agreement()
    assert not a.events("node-failed")
