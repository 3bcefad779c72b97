"""why: what is asked for, a screenful or all, JSON as it came, and clear words where nothing is known."""
import json

from node import instance


def record(cursor, **more):
    return {"seq": cursor, "time": "2026-11-23T05:34:27.125Z", "boot_ns": 1, "epoch": 7, "kind": "verdict", "boot": "b", "node": "a",
            "code": "instance-verdict", "level": "warning", "subject_kind": "instance", "subject": "web/a", "text": "x",
            "from": "suspect", "to": "failed", "reason": "checks-fail", "rule": f"rule {cursor}",
            "evidence": [{"signal": "check-refused", "count": 3, "detail": 0, "observer": "control", "age_seconds": 0.1}], **more}


def answer(records, more=False, **others):
    now = [{"kind": "instance", "subject": "web/a", **instance("a", verdict="failed", reason="checks-fail")}]
    return {"schema": "holdfast.why.v1", "subject": "web/a", "time": "2026-11-23T05:35:00.000Z", "at": None, "problem": None,
            "now": now, "then": [], "records": records, "more": more, "cursor": records[-1]["seq"] if records else 0, **others}


def test_a_screenful(run, node):
    node.answer("GET", "/v1/why", answer([record(n) for n in range(40, 0, -1)]))
    r = run("why", "web/a", "--state", node.state)
    assert (r.returncode, r.stderr) == (0, "")
    assert node.asked == ["GET /v1/why?limit=50&subject=web%2Fa"]
    lines = r.stdout.splitlines()
    assert lines[0].startswith("web/a is failed (checks-fail) since ")
    assert "rule 40" in r.stdout and "rule 30" not in r.stdout
    assert lines[-1] == "Older ones: holdfast why --all" and len(lines) < 40


def test_all(run, node):
    node.answer("GET", "/v1/why", lambda q: answer([record(n) for n in range(40, 20, -1)], True) if "from" not in q
                else answer([record(n) for n in range(int(q["from"]) - 1, 0, -1)]))
    r = run("why", "web/a", "--all", "--state", node.state)
    assert [line.split()[1] for line in r.stdout.splitlines() if line.startswith("    rule")] == [str(n) for n in range(40, 0, -1)]
    assert r.stdout.count("web/a is failed") == 1 and "Older ones" not in r.stdout


def test_json_is_the_answer(run, node):
    node.answer("GET", "/v1/why", answer([record(1)]))
    assert json.loads(run("why", "web/a", "--json", "--state", node.state).stdout) == answer([record(1)])


def test_at_is_sent_in_utc(run, node):
    node.answer("GET", "/v1/why", answer([], at="2026-11-23T05:00:00.000Z", then=[record(1)]))
    r = run("why", "web/a", "--at", "2026-11-23T05:00:00Z", "--state", node.state)
    assert node.asked == ["GET /v1/why?limit=50&subject=web%2Fa&at=2026-11-23T05:00:00.000Z"]
    assert "web/a was failed (checks-fail) since " in r.stdout and " is failed" not in r.stdout


def test_an_audit_that_fails_is_told_beside_what_is_known(run, node):
    node.answer("GET", "/v1/why", answer([], problem="the disk is full"))
    r = run("why", "web/a", "--state", node.state)
    assert r.returncode == 0 and "web/a is failed" in r.stdout
    assert "what was recorded cannot be told: the disk is full" in r.stderr


def test_nothing_is_known(run, node):
    node.answer("GET", "/v1/why", (404, {"schema": "holdfast.error.v1", "suggestions": ["web"],
                                         "error": {"code": "absent", "text": 'nothing is known of "wbe"'}}))
    r = run("why", "wbe", "--state", node.state)
    assert (r.returncode, r.stdout) == (1, "")
    assert "nothing is known of \"wbe\": did you mean 'web'?" in r.stderr


def test_several_are_listed(run, node):
    node.answer("GET", "/v1/why", (409, {"schema": "holdfast.error.v1", "suggestions": ["web/a", "api/a", "db/a"],
                                         "error": {"code": "ambiguous", "text": '"a" is an instance of 3 services: say which one'}}))
    r = run("why", "a", "--state", node.state)
    assert r.returncode == 1
    assert r.stderr == 'holdfast: "a" is an instance of 3 services: say which one: web/a, api/a, db/a\n'
