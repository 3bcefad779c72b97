"""check: good and bad files, all problems at once, and the same as JSON."""
import json
import re

import pytest

from holdfast import TOP

GOOD = """\
service web {
  listen  = http://127.0.0.1:8080
  balance = least-requests
  backend 10.0.0.11:3000
  backend 10.0.0.12:3000 { weight = 2 }
  check   { http = /health  every = 1s  rise = 2  fall = 3 }
  retry   { on = {connect, reset, timeout, 5xx}  attempts = 3  budget = 20% }
}
service api {
  listen = http://unix:/run/api.sock
  backend 10.0.0.13:3000
  check = none
  retry { on = none }
}
"""


@pytest.fixture
def conf(tmp_path):
    def write(text):
        (tmp_path / "web.conf").write_text(text)
        return str(tmp_path / "web.conf")
    return write


def test_a_good_file_is_explained(run, conf):
    file = conf(GOOD)
    r = run("check", file)
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout == f"""\
{file} is good: 2 services, 3 instances
  web: http on 127.0.0.1:8080; least-requests over 2 instances; checked by GET /health every 1s; \
up to 3 attempts, retries within 20% of the requests
  api: http on unix:/run/api.sock; least-requests over 1 instance; no checks: judged by its requests alone; no retries
"""


def test_routes_are_told_and_where_they_lead(run, conf):
    file = conf("""\
service web {
  listen = http://127.0.0.1:8080
  route api { path = /api  to = api }
  route old { redirect = /api }
}
service api { backend 10.0.0.1:80 }
""")
    r = run("check", file)
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout.splitlines()[1:] == [
        "  web: http on 127.0.0.1:8080; 2 routes",
        "  api: reached through other services; least-requests over 1 instance; checked by a TCP connection every 1s; "
        "up to 3 attempts, retries within 20% of the requests"]


def test_every_problem_has_its_place_and_a_mark(run, conf):
    file = conf(GOOD.replace("balance ", "balanec ").replace("every = 1s", "every = 1x"))
    r = run("check", file)
    assert (r.returncode, r.stdout) == (1, "")
    lines = r.stderr.splitlines()
    assert lines[0].startswith(f"{file}:3:3: error: ") and "did you mean 'balance'?" in lines[0]
    assert lines[1].endswith("|   balanec = least-requests") and lines[2].endswith("|   ^~~~~~~")
    assert lines[3].startswith(f"{file}:6:37: error: ")
    assert lines[5].index("^") == lines[4].index("1x")
    assert lines[-1] == f"holdfast: {file} has 2 errors"


def test_json_of_a_good_file(run, conf):
    file = conf(GOOD)
    r = run("check", "--json", file)
    assert (r.returncode, r.stderr) == (0, "")
    got = json.loads(r.stdout)
    assert (got["schema"], got["file"], got["ok"], got["error"], got["errors"], got["problems"]) == ("holdfast.check.v1", file, True, None, 0, [])
    assert got["services"][0] == {
        "name": "web", "balance": "least-requests", "listen": ["127.0.0.1:8080"], "instances": [
            {"name": "10.0.0.11:3000", "address": "10.0.0.11:3000", "weight": 1},
            {"name": "10.0.0.12:3000", "address": "10.0.0.12:3000", "weight": 2}]}


def test_json_of_a_bad_file(run, conf):
    file = conf(GOOD.replace("balance ", "balanec "))
    r = run("check", file, "--json")
    assert (r.returncode, r.stderr) == (1, "")
    got = json.loads(r.stdout)
    assert (got["ok"], got["errors"], got["error"], got["services"]) == (False, 1, f"{file} has 1 error", [])
    assert got["problems"] == [{"file": file, "line": 3, "column": 3, "width": 7, "severity": "error",
                                "text": "unknown key 'balanec' in service", "hint": "did you mean 'balance'?"}]


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_file_that_cannot_be_read(run, tmp_path, words):
    for path in tmp_path / "absent.conf", tmp_path:
        r = run("check", str(path), *words)
        assert r.returncode == 1
        said = json.loads(r.stdout)["error"] if words else r.stderr
        assert str(path) in said


def test_colours_are_for_terminals(terminal, run, conf):
    file = conf("nonsense\n")
    assert "\x1b" not in run("check", file).stderr
    t = terminal("check", file)
    assert t.end() == 1
    t.wait_for("\x1b[")
    t = terminal("check", file, NO_COLOR="1")
    assert t.end() == 1
    t.wait_for("holdfast: ")
    assert "\x1b" not in t.text


def test_run_refuses_a_bad_file(run, conf, tmp_path):
    file = conf("service web {\n  balanec = random\n}\n")
    r = run("run", file, "--state", str(tmp_path / "state"))
    assert r.returncode == 1 and f"{file}:2:3: error: " in r.stderr


def test_the_manual_page_names_every_setting():
    """The tables of docs/configuration.md are written from the table that reads the settings; holdfast.conf(5) has the same."""
    with open(f"{TOP}/docs/configuration.md") as f:
        settings = re.findall(r"^\| `([a-z-]+)` \| .* \| .* \| .* \|$", f.read(), re.M)
    assert {"listen", "client-idle", "hold-max", "workers"} <= set(settings)
    with open(f"{TOP}/packaging/man/holdfast.conf.5") as f:
        page = re.findall(r"^\.BI ([a-z-]+) ", f.read().replace("\\-", "-"), re.M)
    assert page == settings
