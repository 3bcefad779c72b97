"""members, leave, maintenance, and the cluster in status and top: what they print, ask and end with."""
import json

import pytest

from node import cluster, instance, member, members, service, status

SELF = member("a", hearing="b", reason="self", heard_ago_seconds=None, rtt_us=None, since_seconds=7300)
GONE = member("c", "failed", silent="ab", since_seconds=12, heard_ago_seconds=12.3, rtt_us=201, role="witness", address="[::1]:7300")
THREE = [SELF, member("b", hearing="a"), GONE]


def show(run, node, answer, *words):
    node.answer("GET", "/v1/members", answer)
    return run("members", "--state", node.state, *words)


def test_the_table(run, node):
    r = show(run, node, members(THREE, explain="a and b cannot reach each other; d reaches both\nd hears nobody, others hear d"))
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout == """\
cluster prod: 3 nodes, 2 alive, c failed 12 s ago
  a and b cannot reach each other; d reaches both
  d hears nobody, others hear d
  NODE         ADDRESS        STATE       SINCE  HEARD     RTT  OBSERVERS  VOTER  CONFIG  REASON
  a            10.0.0.1:7300  alive   2 h 1 min      -       -        1/1  -           -  self
  b            10.0.0.1:7300  alive       6 min    0 s  187 us        1/1  -           -  heard
  c (witness)  [::1]:7300     failed       12 s   12 s  201 us        0/2  -           -  agreed
  c: failed for 12 s, its observers agree that it is gone; not heard by a, b
"""
    assert node.asked == ["GET /v1/members"]


def test_who_votes_and_what_each_runs(run, node):
    behind = member("b", hearing="a", voter=False, config_version=41, config_problem="version 42 cannot be used by this node: no")
    r = show(run, node, members([{**SELF, "voter": True, "config_version": 42}, behind, {**GONE, "voter": True, "config_version": 0}]))
    assert r.stdout == """\
cluster prod: 3 nodes, 2 alive, c failed 12 s ago
  NODE         ADDRESS        STATE       SINCE  HEARD     RTT  OBSERVERS  VOTER  CONFIG  REASON
  a            10.0.0.1:7300  alive   2 h 1 min      -       -        1/1  yes        42  self
  b            10.0.0.1:7300  alive       6 min    0 s  187 us        1/1  no         41  heard
  c (witness)  [::1]:7300     failed       12 s   12 s  201 us        0/2  yes       own  agreed
  c: failed for 12 s, its observers agree that it is gone; not heard by a, b
  b: configuration: version 42 cannot be used by this node: no
"""


def test_the_line_names_three_and_counts_the_others(run, node):
    all_of_them = [SELF] + [member(f"n{i}", "suspect", since_seconds=1) for i in range(5)] + [member("z", "left", since_seconds=300)]
    all_of_them[2]["maintenance"] = True
    r = show(run, node, members(all_of_them, isolated=True))
    lines = r.stdout.splitlines()
    assert lines[0] == ("cluster prod: 7 nodes, 1 alive, n0 suspect for 1 s, n1 suspect for 1 s, n2 suspect for 1 s, and 3 more, "
                        "n1 in maintenance")
    assert lines[1] == "  this node hears too few others to agree with anybody"
    assert ("  n1: suspect for 1 s, silent here, and it is not agreed yet that it is gone; in maintenance: nothing on it is judged "
            "failed\n") in r.stdout
    assert "  z: left for 5 min, it said goodbye\n" in r.stdout
    r = show(run, node, members([SELF], left=True, isolated=True))
    assert r.stdout.splitlines()[:2] == ["cluster prod: 1 node, 1 alive", "  this node has left"]


def test_json_is_what_the_node_said(run, node):
    r = show(run, node, members(THREE), "--json")
    assert (r.returncode, r.stderr) == (0, "") and json.loads(r.stdout) == members(THREE)


@pytest.mark.parametrize("answer, sentence", [
    (members(THREE[:2]), None),
    (members(THREE), "node c is not alive"),
    (members([SELF, member("b", "suspect")]), "node b is not alive"),
    (members([SELF, member("b", "left")]), None),
    (members([SELF, member("b", "failed", maintenance=True)]), None),
    (members(THREE[:2], isolated=True), "hears too few others"),
])
def test_fail_tells_scripts(run, node, answer, sentence):
    assert show(run, node, answer).returncode == 0
    for words in ["--fail"], ["--fail", "--json"]:
        r = show(run, node, answer, *words)
        assert r.returncode == (1 if sentence else 0)
        assert (sentence or "") in r.stderr


def test_a_node_that_is_alone_says_so(run, node):
    text = "this node is in no cluster: its configuration names no other node"
    alone = 404, {"schema": "holdfast.error.v1", "error": {"code": "absent", "text": text}}
    for method, path in ("GET", "/v1/members"), ("POST", "/v1/leave"), ("POST", "/v1/maintenance"):
        node.answer(method, path, alone)
    for words in ["members"], ["leave"], ["leave", "--wait"], ["maintenance"], ["maintenance", "on"]:
        r = run(*words, "--state", node.state)
        assert (r.returncode, r.stdout) == (1, "") and text in r.stderr


def test_colours_are_for_terminals(terminal, run, node):
    assert "\x1b" not in show(run, node, members(THREE)).stdout
    t = terminal("members", "--state", node.state)
    assert t.end() == 0
    t.wait_for("\x1b[32malive")
    t.wait_for("\x1b[31mfailed")
    assert "\x1b[31mc failed 12 s ago\x1b[0m" in t.text
    t = terminal("members", "--state", node.state, NO_COLOR="1")
    assert t.end() == 0
    t.wait_for("it is gone")
    assert "\x1b" not in t.text


def test_nothing_from_the_node_moves_the_cursor(run, node):
    evil = "\x1b[2J\x07\u009b5A"
    answer = members([dict(member("a"), name=evil, address=evil, state=evil, reason=evil, role=evil)], cluster=evil, explain=evil)
    for method, path in ("POST", "/v1/leave"), ("POST", "/v1/maintenance"):
        node.answer(method, path, {"cluster": evil, "node": evil, "maintenance": True})
    answer["members"][0]["maintenance"] = True
    outputs = [show(run, node, answer, "--fail")] + [run(*w, "--state", node.state) for w in (["leave"], ["maintenance", "on"], ["maintenance"])]
    for r in outputs:
        assert r.returncode == 0 and "?[2J??5A" in r.stdout
        assert not set(r.stdout) & {"\x1b", "\x07", "\u009b"}


@pytest.mark.parametrize("answer", [
    {}, {"members": 3}, {"members": [4, None, {}], "states": []}, {"states": {"alive": "x"}, "explain": 5, "members": [{"observers": [], "rtt_us": "x"}]},
])
def test_answers_of_another_shape_do_no_harm(run, node, answer):
    assert show(run, node, answer).returncode == 0
    assert show(run, node, answer, "--fail").returncode == 0


def test_leave(run, node):
    node.answer("POST", "/v1/leave", {"schema": "holdfast.leave.v1", "cluster": "prod", "node": "a", "left": False})
    r = run("leave", "--state", node.state)
    assert (r.returncode, r.stdout, r.stderr) == (0, "a leaves cluster prod\n", "")
    assert node.asked == ["POST /v1/leave"]


def test_leave_waits_until_it_is_known(run, node):
    def left(_):
        return {"schema": "holdfast.leave.v1", "cluster": "prod", "node": "a", "left": len(node.asked) > 3}
    node.answer("POST", "/v1/leave", left)
    r = run("leave", "--wait", "--state", node.state)
    assert (r.returncode, r.stdout, r.stderr) == (0, "a has left cluster prod\n", "")
    assert node.asked == ["POST /v1/leave"] * 4
    r = run("leave", "--wait", "--json", "--state", node.state)
    assert json.loads(r.stdout)["left"] is True


def maintained(node, changed, on=True):
    node.answer("POST", "/v1/maintenance", {"schema": "holdfast.maintenance.v1", "cluster": "prod", "node": "b",
                                            "maintenance": on, "changed": changed})


@pytest.mark.parametrize("on, changed, said", [
    (True, True, "b is in maintenance: nothing on it is judged failed\n"),
    (True, False, "b was in maintenance already\n"),
    (False, True, "b is judged again\n"),
    (False, False, "b was not in maintenance\n"),
])
def test_maintenance(run, node, on, changed, said):
    maintained(node, changed, on)
    node.answer("GET", "/v1/members", members([member("a"), member("b", maintenance=on)]))
    r = run("maintenance", "on" if on else "off", "b", "--state", node.state)
    assert (r.returncode, r.stdout, r.stderr) == (0, said, "")
    assert node.asked == ["POST /v1/maintenance", "GET /v1/members"]
    assert json.loads(node.bodies[0]) == {"on": on, "node": "b"}


def test_maintenance_of_this_node_and_of_others(run, node):
    maintained(node, True)
    node.answer("GET", "/v1/members", members([member("a", maintenance=True), member("b", maintenance=True), member("c", maintenance=True)]))
    r = run("maintenance", "on", "--state", node.state)
    assert r.stdout == "b is in maintenance: nothing on it is judged failed\nalso in maintenance: a, c\n"
    assert json.loads(node.bodies[0]) == {"on": True}
    assert run("maintenance", "--state", node.state).stdout == "in maintenance: a, b, c\n"
    node.answer("GET", "/v1/members", members(THREE))
    assert run("maintenance", "--state", node.state).stdout == "no node is in maintenance\n"
    r = run("maintenance", "on", "--json", "--state", node.state)
    assert json.loads(r.stdout)["schema"] == "holdfast.maintenance.v1"


def test_maintenance_of_nobody(run, node):
    node.answer("POST", "/v1/maintenance", (404, {"schema": "holdfast.error.v1", "suggestions": ["b"], "error":
                                                  {"code": "absent", "text": "node \"bb\" does not exist in cluster \"prod\""}}))
    r = run("maintenance", "on", "bb", "--state", node.state)
    assert (r.returncode, r.stdout) == (1, "")
    assert "did you mean 'b'?" in r.stderr and node.asked == ["POST /v1/maintenance"]


def test_the_cluster_in_a_status(run, node):
    def lines(**more):
        node.answer("GET", "/v1/status", status([service("web", [instance("x")])], **more))
        r = run("status", "--state", node.state)
        assert (r.returncode, r.stderr) == (0, "")
        return r.stdout.splitlines()
    alone = lines()
    assert lines(cluster=None) == alone
    with_others = lines(cluster=cluster([GONE, *THREE[:2]], self="a", explain="a and c cannot reach each other"))
    assert with_others == [alone[0], "cluster prod: 3 nodes, 2 alive, c failed 12 s ago", "  a and c cannot reach each other",
                           *alone[1:]]


def test_the_cluster_in_top(run, terminal, node):
    answer = status([service("web", [instance("x")])], cluster=cluster([GONE, *THREE[:2]]))
    node.answer("GET", "/v1/status", answer)
    t = terminal("top", "--state", node.state, columns=100, rows=30, NO_COLOR="1")
    t.wait_for("it is gone")
    t.type("q")
    assert t.end() == 0
    assert "cluster prod: 3 nodes, 2 alive, c failed 12 s ago" in t.text
    r = run("top", "--once", "--state", node.state)
    assert "OBSERVERS" in r.stdout
    r = run("top", "--once", "--json", "--state", node.state)
    assert json.loads(r.stdout)["cluster"] == answer["cluster"]
