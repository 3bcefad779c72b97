"""drain, resume and reload: what they ask for, what they say, and how they end."""
import json

import pytest


def changed(name, draining, changed=True, inflight=0):
    return {"schema": "holdfast.drain.v1", "service": "web", "instance": name, "draining": draining, "changed": changed, "inflight": inflight}


@pytest.mark.parametrize("name, path", [
    ("web/10.0.0.11:3000", "/v1/services/web/instances/10.0.0.11:3000"),
    ("web/unix:/run/a.sock", "/v1/services/web/instances/unix:%2Frun%2Fa.sock"),
    ("a b/[::1]:80?x#%", "/v1/services/a%20b/instances/%5B::1%5D:80%3Fx%23%25"),
    ("é/..", "/v1/services/%C3%A9/instances/.."),
])
@pytest.mark.parametrize("command", ["drain", "resume"])
def test_names_are_encoded(run, node, command, name, path):
    node.answer("POST", f"{path}/{command}", changed("x", command == "drain"))
    r = run(command, name, "--state", node.state)
    assert node.asked == [f"POST {path}/{command}"]
    assert (r.returncode, r.stderr) == (0, "")


@pytest.mark.parametrize("command, answer, text", [
    ("drain", changed("a", True), "web/a drains: no new requests, none in flight\n"),
    ("drain", changed("a", True, inflight=4), "web/a drains: no new requests, 4 still in flight\n"),
    ("drain", changed("a", True, False), "web/a was drained already: no new requests, none in flight\n"),
    ("resume", changed("a", False), "web/a takes requests again\n"),
    ("resume", changed("a", False, False), "web/a was not drained: nothing to do\n"),
])
def test_what_was_done_is_told(run, node, command, answer, text):
    node.answer("POST", f"/v1/services/web/instances/a/{command}", answer)
    r = run(command, "web/a", "--state", node.state)
    assert (r.returncode, r.stdout, r.stderr) == (0, text, "")
    r = run(command, "web/a", "--json", "--state", node.state)
    assert r.returncode == 0 and json.loads(r.stdout) == answer


def test_an_unknown_name_gets_a_suggestion(run, node):
    node.answer("POST", "/v1/services/wbe/instances/a/drain",
                (404, {"schema": "holdfast.error.v1", "error": {"code": "absent", "text": 'service "wbe" does not exist'}, "suggestions": ["web"]}))
    r = run("drain", "wbe/a", "--state", node.state)
    assert (r.returncode, r.stdout) == (1, "")
    assert r.stderr == "holdfast: service \"wbe\" does not exist: did you mean 'web'?\n"


def test_drain_waits_until_nothing_is_in_flight(run, node):
    left = iter([3, 2, 1, 0])
    node.answer("POST", "/v1/services/web/instances/a/drain", lambda _: changed("a", True, inflight=next(left)))
    r = run("drain", "web/a", "--wait", "30", "--state", node.state)
    assert (r.returncode, r.stdout) == (0, "web/a drains: no new requests, none in flight\n")
    assert len(node.asked) == 4


def test_drain_waits_no_longer_than_it_may(run, node):
    node.answer("POST", "/v1/services/web/instances/a/drain", lambda _: changed("a", True, inflight=3))
    r = run("drain", "web/a", "-w1", "--state", node.state)
    assert (r.returncode, r.stdout) == (1, "")
    assert "still has 3 requests in flight after 1 s" in r.stderr
    assert len(node.asked) == 6


def test_reload_tells_what_changed(run, node):
    answer = {"schema": "holdfast.reload.v1", "epoch": 8, "changed": True, "changes": ["service web: backend a added", "service web: b removed"]}
    node.answer("POST", "/v1/reload", answer)
    r = run("reload", "--state", node.state)
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout == "reloaded: epoch 8 is in force\n  service web: backend a added\n  service web: b removed\n"
    assert json.loads(run("reload", "--json", "--state", node.state).stdout) == answer


def test_reload_tells_that_nothing_changed(run, node):
    node.answer("POST", "/v1/reload", {"schema": "holdfast.reload.v1", "epoch": 7, "changed": False, "changes": []})
    r = run("reload", "--state", node.state)
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout == "nothing changed: the file says what is in force already (epoch 7)\n"


def test_a_refused_reload(run, node):
    node.answer("POST", "/v1/reload", (409, {"schema": "holdfast.error.v1", "error": {"code": "refused", "text": "cannot listen on 0.0.0.0:80"}}))
    r = run("reload", "--state", node.state)
    assert (r.returncode, r.stdout, r.stderr) == (1, "", "holdfast: cannot listen on 0.0.0.0:80\n")


def test_an_invalid_file_is_shown_with_its_lines(run, node, tmp_path):
    file = tmp_path / "web.conf"
    file.write_text("service web {\n  balanec = random\n}\n")
    answer = {"schema": "holdfast.error.v1", "error": {"code": "invalid", "text": f"2 errors in {file}; nothing changed"}, "problems": [
        {"file": str(file), "line": 2, "column": 3, "text": 'unknown key "balanec"', "hint": "balance"},
        {"file": "/gone.conf", "line": 4, "column": 1, "text": "it is gone", "hint": None}]}
    node.answer("POST", "/v1/reload", (422, answer))
    r = run("reload", "--state", node.state)
    assert (r.returncode, r.stdout) == (1, "")
    assert f"{file}:2:3: " in r.stderr and "  balanec = random" in r.stderr and "balance" in r.stderr and "^" in r.stderr
    assert "/gone.conf:4:1: " in r.stderr and "it is gone" in r.stderr
    assert "nothing changed" in r.stderr
    r = run("reload", "--json", "--state", node.state)
    assert r.returncode == 1 and json.loads(r.stdout) == answer
