"""restart and upgrade: how they follow a node whose control is replaced meanwhile."""
import json
import os

import pytest


def change(number, state, text="", kind="upgrade"):
    return {"schema": "holdfast.handover.v1", "number": number, "kind": kind, "state": state, "text": text}


def told(before):
    return 202, {"schema": "holdfast.upgrade.v1", "upgrading": True, "before": before}


@pytest.mark.parametrize("state, code", [("done", 0), ("failed", 1)])
@pytest.mark.parametrize("command, path", [(["restart", "proxy"], "/v1/processes/proxy/restart"), (["upgrade"], "/v1/upgrade")])
def test_they_follow_until_it_is_decided(run, node, command, path, state, code):
    steps = iter([change(4, "done", "the one before"), change(5, "running", "it starts"), change(5, state, "that is how it went")])
    node.answer("POST", path, told(4))
    node.answer("GET", "/v1/handover", lambda _: next(steps))
    r = run(*command, "--state", node.state)
    assert node.asked == [f"POST {path}"] + ["GET /v1/handover"] * 3
    assert r.returncode == code
    assert (r.stdout, r.stderr) == (("that is how it went\n", "") if code == 0 else ("", "holdfast: that is how it went\n"))


def test_json_is_what_the_node_said(run, node):
    node.answer("POST", "/v1/upgrade", told(0))
    node.answer("GET", "/v1/handover", change(1, "failed", "no"))
    r = run("upgrade", "--json", "--state", node.state)
    assert r.returncode == 1 and json.loads(r.stdout) == change(1, "failed", "no")


def test_a_path_is_made_absolute_and_encoded(run, node, tmp_path):
    program = tmp_path / "a b" / "holdfast"
    program.parent.mkdir()
    program.write_text("")
    node.answer("POST", "/v1/upgrade", told(0))
    node.answer("GET", "/v1/handover", change(1, "done"))
    assert run("upgrade", "--binary", os.path.relpath(program), "--state", node.state).returncode == 0
    assert node.asked[0] == "POST /v1/upgrade?binary=" + str(program).replace("/", "%2F").replace(" ", "%20")


def test_a_path_that_is_not_there_is_told_at_once(run, node):
    r = run("upgrade", "--binary", "/nonexistent/holdfast", "--state", node.state)
    assert (r.returncode, r.stderr) == (1, "holdfast: /nonexistent/holdfast: No such file or directory\n")
    assert node.asked == []


def test_waiting_lasts_until_no_old_proxy_is_left(run, node):
    left = iter([3, 1, 0])

    def status(_):
        n = next(left)
        old = [{"role": "draining", "connections": n}] if n else []
        return {"schema": "holdfast.status.v1", "proxies": [{"role": "accepting", "connections": 9}] + old}

    node.answer("POST", "/v1/processes/proxy/restart", told(0))
    node.answer("GET", "/v1/handover", change(1, "done", "ok"))
    node.answer("GET", "/v1/status", status)
    assert run("restart", "proxy", "--wait", "30", "--state", node.state).returncode == 0
    assert node.asked.count("GET /v1/status") == 3


def test_waiting_ends(run, node):
    node.answer("POST", "/v1/processes/proxy/restart", told(0))
    node.answer("GET", "/v1/handover", change(1, "done", "ok"))
    node.answer("GET", "/v1/status", {"proxies": [{"role": "draining", "connections": 7}]})
    r = run("restart", "proxy", "-w1", "--state", node.state)
    assert (r.returncode, r.stderr) == (1, "holdfast: 7 connections are still on old proxies after 1 s\n")


def test_now_asks_for_the_end_of_the_old_one(run, node):
    node.answer("POST", "/v1/processes/proxy/restart", (202, {"restarting": True}))
    r = run("restart", "proxy", "--now", "--state", node.state)
    assert (r.returncode, r.stdout) == (0, "the proxy is ended and starts anew\n")
    assert node.asked == ["POST /v1/processes/proxy/restart?now=1"]


def test_only_the_proxy_can_be_restarted(run, node):
    r = run("restart", "control", "--state", node.state)
    assert r.returncode == 2 and "only 'proxy' can" in r.stderr
