"""top on a real pseudo-terminal: frames that fit, rates from differences, keys, resizing, and the terminal given back."""
import json
import os
import re
import signal
import termios

import pytest

from holdfast import until
from node import FakeNode, instance, service, status

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


def steady(node, services=1, instances=2):
    node.answer("GET", "/v1/status", status([service(f"web{s}", [instance(f"10.0.{s}.{i}:3000") for i in range(instances)])
                                             for s in range(services)]))


def assert_given_back(t):
    until(lambda: t.text.endswith(LEAVE), 10)
    assert t.text.count(ENTER) == t.text.count(LEAVE)
    assert t.text.count("\x1b[?25l") == t.text.count("\x1b[?25h") and t.text.count("\x1b[?7l") == t.text.count("\x1b[?7h")
    assert termios.tcgetattr(t.master) == t.modes


def test_frames_fit_the_terminal(terminal, node):
    steady(node, services=4, instances=9)
    t = terminal("top", "--state", node.state, columns=80, rows=24)
    until(lambda: len(t.frames()) >= 3, 20)
    t.type("q")
    assert t.end() == 0
    assert_given_back(t)
    for frame in t.frames()[:2]:
        assert len(frame) == 24
        assert max(map(len, frame)) <= 80
        assert frame[0].startswith("holdfast host-a") and "q quits" in frame[-1]
    assert any("10.0.0.1:3000" in line and "healthy" in line for line in t.frames()[0])


def test_rates_are_differences(terminal, node):
    """The counter rises by 1000 with every answer, about one a second; the node's own figure (20.5) is shown only at first."""
    count = iter(range(1000, 10**9, 1000))

    def answer(_):
        n = next(count)
        return status([service("web", [instance("a", requests=n)], requests=n, responses={"2xx": n, "5xx": n // 10, "cut": 0})])
    node.answer("GET", "/v1/status", answer)
    t = terminal("top", "--state", node.state, NO_COLOR="1")
    until(lambda: len(t.frames()) >= 3, 20)
    text = "\n".join(t.frames()[1])
    requests, errors = re.search(r"([\d.]+) requests/s, ([\d.]+) errors/s", text).groups()
    assert 50 < float(requests) <= 1000 and 5 < float(errors) <= 100
    row = next(line for line in t.frames()[1] if line.startswith("  a "))
    assert abs(float(row.split()[4]) - float(requests)) <= 1
    assert "412 requests/s" in "\n".join(t.frames()[0])


def test_scrolling(terminal, node):
    steady(node, services=1, instances=60)
    t = terminal("top", "--state", node.state, rows=10)
    t.wait_for("10.0.0.0:3000")
    assert "10.0.0.30:3000" not in t.text
    at = len(t.text)
    for _ in range(4):
        t.type(" ")
    t.wait_for("10.0.0.30:3000", at)
    at = len(t.text)
    t.type("\x1b[A")
    t.wait_for("q quits", at)
    for _ in range(20):
        t.type("b")
    t.wait_for("10.0.0.0:3000", at)
    for frame in t.frames():
        assert len(frame) == 10


def test_resizing(terminal, node):
    steady(node, services=3)
    t = terminal("top", "--state", node.state, columns=80, rows=24)
    t.wait_for("q quits")
    at = len(t.text)
    t.size(60, 12)
    os.kill(t.process.pid, signal.SIGWINCH)
    until(lambda: t.frames() and len(t.frames()[-1]) == 12 and "q quits" in t.text[at:], 20)
    assert max(map(len, t.frames()[-1])) <= 60


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_give_the_terminal_back(terminal, node, number):
    steady(node)
    t = terminal("top", "--state", node.state)
    t.wait_for("q quits")
    os.kill(t.process.pid, number)
    assert t.end() == -number
    assert_given_back(t)


def test_interrupt_is_the_same_as_q(terminal, node):
    steady(node)
    t = terminal("top", "--state", node.state)
    t.wait_for("q quits")
    t.type("\x03")
    assert t.end() == 0
    assert_given_back(t)


def test_stop_and_go_on(terminal, node):
    steady(node)
    t = terminal("top", "--state", node.state)
    t.wait_for("q quits")
    os.kill(t.process.pid, signal.SIGTSTP)
    until(lambda: os.waitid(os.P_PID, t.process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT), 20)
    assert_given_back(t)
    at = len(t.text)
    os.kill(t.process.pid, signal.SIGCONT)
    t.wait_for(ENTER, at)
    t.wait_for("q quits", at)
    t.type("q")
    assert t.end() == 0
    assert_given_back(t)


def test_the_last_picture_stays_while_nobody_answers(terminal, tmp_path):
    with FakeNode(tmp_path) as node:
        steady(node)
        t = terminal("top", "--state", str(tmp_path), NO_COLOR="1")
        t.wait_for("q quits")
        hold = []
        node.answer("GET", "/v1/status", lambda _: until(lambda: hold, 60))
        at = len(t.text)
        t.wait_for("no answer for", at)
        assert any("10.0.0.1:3000" in line for line in t.frames()[-1])
        assert len(t.frames()[-1]) == 24
        t.type("q")
        assert t.end() == 0
        hold.append((200, {}))
    assert_given_back(t)


def test_keys_work_while_the_node_is_silent(terminal, node):
    steady(node)
    t = terminal("top", "--state", node.state)
    t.wait_for("q quits")
    hold, asked = [], []

    def answer(_):
        asked.append(True)
        until(lambda: hold, 60)
        return status([])
    node.answer("GET", "/v1/status", answer)
    until(lambda: asked, 20)
    t.type("q")
    assert t.process.wait(4) == 0       # less than the time-out of an answer
    hold.append(True)
    assert_given_back(t)


@pytest.mark.parametrize("words", [["--once"], []])
def test_without_a_terminal_it_prints_once(run, node, words):
    steady(node)
    r = run("top", "--state", node.state, *words)
    assert (r.returncode, r.stderr) == (0, "")
    assert "ERR/S" in r.stdout and "\x1b" not in r.stdout

    def but_the_last_column(text):
        return [re.sub(r" +\S+$", "", line) for line in text.splitlines()]

    assert but_the_last_column(r.stdout) == but_the_last_column(run("status", "--state", node.state).stdout)


def test_what_needs_a_look_stands_first(run, node):
    listeners = [{"url": "http://0.0.0.0:8080", "connections": 12, "accepted": 5, "refused": 0, "bytes": {"in": 1, "out": 2}}]
    node.answer("GET", "/v1/status", status([
        service("idle", [], requests_per_second=0.0), service("busy", [], listeners=listeners),
        service("dead", [instance("a"), instance("b", verdict="failed", explanation="3 checks failed")], verdict="failed")]))
    out = run("top", "--state", node.state).stdout
    assert out.index("\ndead") < out.index("\nbusy") < out.index("\nidle")
    assert out.index("\n  b ") < out.index("\n  a ")
    assert "  b: failed for 12 s, 3 checks failed" in out
    assert "  http://0.0.0.0:8080  12 open, 0 new/s, 0 B/s in, 0 B/s out\n" in out


def test_json_lines(run, node):
    steady(node)
    r = run("top", "--json", "--once", "--state", node.state)
    assert (r.returncode, r.stderr, r.stdout.count("\n")) == (0, "", 1)
    figures = json.loads(r.stdout)
    assert figures["schema"] == "holdfast.top.v1" and 0.9 < figures["seconds"] < 5
    assert [i["name"] for i in figures["services"][0]["instances"]] == ["10.0.0.0:3000", "10.0.0.1:3000"]
    assert figures["services"][0]["requests_per_second"] == 0     # two equal answers: nothing moves


def test_once_on_a_terminal_takes_no_screen(terminal, node):
    steady(node)
    t = terminal("top", "--once", "--state", node.state)
    assert t.end() == 0
    t.wait_for("10.0.0.1:3000")
    assert ENTER not in t.text
