"""beat and beats: what is asked of the node, what is printed, and the exit codes that scripts rely on."""
import json

import pytest

from node import service, status

TAKEN = {"schema": "holdfast.beat.v1", "name": "backup", "verdict": "healthy", "reason": "beats", "changed": False}


def beat(name, **more):
    return {"name": name, "verdict": "healthy", "reason": "beats", "explanation": "It beats", "since_seconds": 100.0,
            "last_seconds": 12.5, "every_seconds": 86400.0, "grace_seconds": 3600.0, "token": False, "beats": 31, "failures": 1,
            "missed": 0, **more}


MISSING = {"verdict": "failed", "reason": "beat-missing", "explanation": "No beat for 9000 s.", "last_seconds": 9000.0, "missed": 2}


def beats(*all_of_them):
    return {"schema": "holdfast.beats.v1", "epoch": 7, "beats": list(all_of_them)}


def test_a_beat_says_nothing_when_it_is_taken(run, node):
    node.answer("POST", "/v1/beats/backup", TAKEN)
    r = run("beat", "backup", "--state", node.state)
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    assert node.asked == ["POST /v1/beats/backup"]
    r = run("beat", "backup", "--failed", "why", "--json", "--state", node.state)
    assert (r.returncode, json.loads(r.stdout)) == (0, TAKEN)


def test_a_beat_that_does_not_exist(run, node):
    node.answer("POST", "/v1/beats/bakcup", (404, {"schema": "holdfast.error.v1", "suggestions": ["backup"],
                                                   "error": {"code": "absent", "text": 'beat "bakcup" does not exist'}}))
    r = run("beat", "bakcup", "--state", node.state)
    assert (r.returncode, r.stdout) == (1, "")
    assert "did you mean 'backup'?" in r.stderr


def test_the_list(run, node):
    node.answer("GET", "/v1/beats", beats(beat("backup"), beat("report", **MISSING), beat("new", reason="beat-awaited", verdict="suspect",
                                                                                       last_seconds=None, explanation="Awaited")))
    r = run("beats", "--state", node.state)
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout == """\
BEAT    VERDICT  REASON              LAST       EVERY   GRACE  MISSED  FAILED
backup  healthy  beats               12 s  24 h 0 min  60 min       0       1
report  failed   beat-missing  2 h 30 min  24 h 0 min  60 min       2       1
new     suspect  beat-awaited       never  24 h 0 min  60 min       0       1
  report: failed for 100 s, No beat for 9000 s.
  new: suspect for 100 s, Awaited
"""


@pytest.mark.parametrize("answer, code", [
    (beats(), 0), (beats(beat("a")), 0), (beats(beat("a"), beat("b", **MISSING)), 1),
    (beats(beat("a", verdict="suspect", reason="beat-late")), 0), ({"beats": [4, None, {}]}, 0),
])
def test_fail_tells_scripts(run, node, answer, code):
    node.answer("GET", "/v1/beats", answer)
    assert run("beats", "--state", node.state).returncode == 0
    for words in ([], ["--json"]):
        r = run("beats", "--fail", *words, "--state", node.state)
        assert r.returncode == code
        assert ("beat b has failed" in r.stderr) == (code == 1)


def test_without_beats_it_says_how_to_have_one(run, node):
    node.answer("GET", "/v1/beats", beats())
    assert "beat NAME { every = 1m }" in run("beats", "--state", node.state).stdout


def test_status_has_those_that_are_not_well(run, node):
    node.answer("GET", "/v1/status", status([service("web", [])], beats=[beat("backup"), beat("report", **MISSING)]))
    r = run("status", "--state", node.state)
    assert r.stdout.endswith("  no instances\n\n2 beats, 1 failed\n  report: failed for 100 s, No beat for 9000 s.\n")
