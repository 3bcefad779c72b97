"""status: the picture, its JSON, --fail, and what it says when the node does not answer as it should."""
import json
import subprocess
import threading

import pytest

from conftest import environment
from holdfast import BINARY, until
from node import instance, process, service, silent, status

FAILED = {"verdict": "failed", "reason": "checks-fail", "explanation": "3 checks failed in a row, last: connection refused"}


def show(run, node, answer, *words, **more):
    node.answer("GET", "/v1/status", answer)
    return run("status", "--state", node.state, *words, **more)


def test_the_picture(run, node):
    answer = status([
        service("web", [
            instance("10.0.0.11:3000", inflight=4),
            instance("10.0.0.12:3000", **FAILED, errors={"refused": 3, "timeouts": 0, "resets": 1, "5xx": 12000},
                     latency_us={"p50": None, "p90": None, "p99": None}, requests_per_second=0),
            instance("c", draining=True, proxy_verdict="failed"), instance("d", proxy_verdict="suspect"),
        ], verdict="degraded", tunnels=2, no_instance=5),
        service("api", [], listen=["[::1]:81", "unix:/run/api.sock"], errors_per_second=1.5),
    ], [process("supervisor", 1), process("control", 2, turning=False), process("proxy", 3, starts=3, uptime_seconds=312)])
    r = show(run, node, answer)
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout == """\
holdfast host-a  version 0.1.0, up 6 min, epoch 7, /etc/holdfast/holdfast.conf
control (pid 2) does not turn
proxy was restarted 2 times, last 5 min ago

web  degraded  least-requests on 0.0.0.0:8080
  412 requests/s, 0 errors/s, p50 812 us, p99 4.0 ms, 2 tunnels, 5 found no instance
  INSTANCE        VERDICT  REASON       BUSY  REQ/S     P50     P99  ERRORS
  10.0.0.11:3000  healthy  checks-pass     4     20  812 us  4.0 ms       0
  10.0.0.12:3000  failed   checks-fail     0      0       -       -   12.0k
  c               healthy  draining        0     20  812 us  4.0 ms       0
  d               healthy  checks-pass     0     20  812 us  4.0 ms       0
  10.0.0.12:3000: failed for 12 s, 3 checks failed in a row, last: connection refused
  c: healthy for 12 s, checks pass; the proxy's own requests say failed

api  healthy  least-requests on [::1]:81, unix:/run/api.sock
  412 requests/s, 1.5 errors/s, p50 812 us, p99 4.0 ms
  no instances
"""


def test_the_version_of_the_shared_configuration(run, node):
    def lines(config):
        return show(run, node, status([], config=config)).stdout.splitlines()
    config = {"version": 41, "digest": "d", "head": 42, "problem": ""}
    own = ["holdfast host-a  version 0.1.0, up 6 min, epoch 7, /etc/holdfast/holdfast.conf", "", "no services"]
    assert lines(None) == lines({**config, "version": 0}) == own
    runs = ["holdfast host-a  version 0.1.0, up 6 min, epoch 7, configuration 41, /etc/holdfast/holdfast.conf", "", "no services"]
    assert lines(config) == runs
    refused = "configuration: version 42 cannot be used by this node: no"
    assert lines({**config, "problem": refused[15:]}) == [runs[0], refused, *runs[1:]]


def test_it_asks_once(run, node):
    show(run, node, status([]))
    assert node.asked == ["GET /v1/status"]


def test_json_is_what_the_node_said(run, node):
    answer = status([service("web", [instance("a")])])
    r = show(run, node, answer, "--json")
    assert (r.returncode, r.stderr) == (0, "")
    assert json.loads(r.stdout) == answer


@pytest.mark.parametrize("instances, code", [
    ([instance("a"), instance("b", **FAILED)], 0),
    ([instance("a", **FAILED)], 1),
    ([instance("a", verdict="suspect", reason="unchecked")], 1),
    ([instance("a", draining=True)], 1),
    ([], 1),
])
def test_fail_tells_scripts(run, node, instances, code):
    answer = status([service("other", [instance("x")]), service("web", instances)])
    assert show(run, node, answer).returncode == 0
    r = show(run, node, answer, "--fail")
    assert r.returncode == code
    assert ("service web has no healthy instance" in r.stderr) == (code == 1)
    assert show(run, node, answer, "--fail", "--json").returncode == code


def test_colours_are_for_terminals(terminal, run, node):
    node.answer("GET", "/v1/status", status([service("web", [instance("a"), instance("b", **FAILED)])]))
    assert "\x1b" not in run("status", "--state", node.state).stdout
    t = terminal("status", "--state", node.state)
    assert t.end() == 0
    t.wait_for("\x1b[32mhealthy\x1b[0m")
    t.wait_for("\x1b[31mfailed\x1b[0m")
    for without in {"NO_COLOR": "1"}, {"TERM": "dumb"}:
        t = terminal("status", "--state", node.state, **without)
        assert t.end() == 0
        t.wait_for("failed for 12 s")
        assert "\x1b" not in t.text


def test_a_narrow_terminal_cuts_names_only(terminal, node):
    node.answer("GET", "/v1/status", status([service("web", [instance("backend-with-a-rather-long-name.example:3000")])]))
    t = terminal("status", "--state", node.state, columns=80, NO_COLOR="1")
    assert t.end() == 0
    t.wait_for("healthy  checks-pass")
    row = next(line for line in t.text.split("\r\n") if "checks-pass" in line)
    assert len(row) == 80 and row.startswith("  backend-with") and "… " in row and row.endswith("  4.0 ms       0")


def test_nothing_from_the_node_moves_the_cursor(run, node):
    evil = "\x1b[2J\x07\u009b5A"
    answer = status([service(evil, [instance(evil, verdict=evil, reason=evil, explanation=evil)], listen=[evil])], node=evil, file=evil)
    r = show(run, node, answer)
    assert r.returncode == 0 and "?[2J??5A" in r.stdout
    assert not set(r.stdout) & {"\x1b", "\x07", "\u009b"}


@pytest.mark.parametrize("answer", [
    {}, {"services": 3}, {"services": [4, None, {}]}, {"processes": {}, "services": [{"instances": 5, "latency_us": []}]},
    {"services": [{"name": 1, "instances": [{"errors": [], "since_seconds": "x", "inflight": -1e300, "latency_us": {"p50": 1e300}}]}]},
])
def test_answers_of_another_shape_do_no_harm(run, node, answer):
    r = show(run, node, answer)
    assert (r.returncode, r.stderr) == (0, "")
    r = show(run, node, answer, "--fail")
    assert r.returncode in (0, 1)


@pytest.mark.parametrize("answer, sentence", [
    ((503, {"schema": "holdfast.error.v1", "error": {"code": "busy", "text": "the node is still starting"}}), "the node is still starting"),
    ((404, {"schema": "holdfast.error.v1", "error": {"code": "absent", "text": "no such route"}, "suggestions": ["status"]}), "did you mean 'status'?"),
    ((500, {"schema": "holdfast.error.v1"}), "HTTP status 500"),
])
def test_a_refusal_is_told(run, node, answer, sentence):
    for words in [], ["--json"]:
        r = show(run, node, answer, *words)
        assert r.returncode == 1 and sentence in r.stderr
        assert (json.loads(r.stdout) == answer[1]) if words else r.stdout == ""


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"[1, 2]", b"<html>", b"{\"a\": "])
def test_something_else_answers(run, node, answer):
    r = show(run, node, (200, answer))
    assert (r.returncode, r.stdout) == (3, "")
    assert "is not holdfast" in r.stderr


def test_a_node_that_does_not_answer(run, tmp_path):
    with silent(tmp_path):
        r = run("status", "--state", str(tmp_path))
    assert (r.returncode, r.stdout) == (3, "")
    assert "does not answer: its control process is stopped or overloaded" in r.stderr


def test_a_connection_that_breaks_off(run, tmp_path):
    with silent(tmp_path) as s:
        def cut():
            c, _ = s.accept()
            c.recv(1000)
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            c.close()
        thread = threading.Thread(target=cut)
        thread.start()
        r = run("status", "--state", str(tmp_path))
        thread.join()
    assert (r.returncode, r.stdout) == (3, "")
    assert "broke off its answer" in r.stderr


def test_proxies_of_the_environment_are_not_asked(run, node):
    r = show(run, node, status([]), env={"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"})
    assert r.returncode == 0


def test_a_reader_that_leaves_is_no_drama(node):
    """`holdfast status | head -1`: the pipe ends, so do we."""
    node.answer("GET", "/v1/status", status([service("web", [instance(f"instance-{i}") for i in range(5000)])]))
    p = subprocess.Popen([BINARY, "status", "--state", node.state], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.readline().startswith(b"holdfast host-a")
    p.stdout.close()
    assert until(lambda: p.poll() is not None, 20)
    assert p.stderr.read() == b""
    p.stderr.close()
