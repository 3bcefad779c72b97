"""check: good and bad files, all problems at once, and the same as JSON."""
import json
import os
import re
import shutil
import subprocess

import pytest

from holdfast import CLUSTER_KEY, TOP

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


@pytest.fixture
def cluster(tmp_path):
    """The example, with a key beside it as it says."""
    shutil.copy(f"{TOP}/examples/cluster.conf", tmp_path)
    (tmp_path / "cluster.key").write_text(CLUSTER_KEY)
    (tmp_path / "cluster.key").chmod(0o640)
    return str(tmp_path / "cluster.conf")


def test_a_cluster_is_explained_as_each_node_sees_it(run, cluster, tmp_path):
    for name, last, role in ("a", 1, ""), ("c", 3, ", witness"):
        r = run("check", cluster, "--node", name)
        assert (r.returncode, r.stderr) == (0, "")
        assert r.stdout.splitlines()[1] == f"  cluster prod: 3 nodes, this one is {name} (10.0.0.{last}:7300{role})"
    got = json.loads(run("check", cluster, "--node", "b", "--json").stdout)
    assert got["cluster"] == {
        "name": "prod", "self": "b", "key": str(tmp_path / "cluster.key"), "heartbeat_ms": 50.0, "suspect_after_ms": 200.0,
        "nodes": [{"name": "a", "address": "10.0.0.1:7300", "role": "member", "zone": "north"},
                  {"name": "b", "address": "10.0.0.2:7300", "role": "member", "zone": "south"},
                  {"name": "c", "address": "10.0.0.3:7300", "role": "witness", "zone": None}]}


def test_which_node_it_is_must_be_found_out_or_said(run, cluster):
    nobody = run("check", cluster)
    assert nobody.returncode == 1 and "has the address and the name of none of the nodes a, b and c" in nobody.stderr
    assert "say which one this machine is with --node NAME" in nobody.stderr
    wrong = run("check", cluster, "--node", "nodeb")
    assert wrong.returncode == 1 and "cluster prod has no node of that name; its nodes are a, b and c" in wrong.stderr


def test_the_key_is_a_file_that_others_cannot_read(run, cluster, tmp_path):
    key = tmp_path / "cluster.key"
    key.chmod(0o644)
    r = run("check", cluster, "--node", "a")
    assert r.returncode == 1
    remedy = re.search(r"may read the cluster's key file .* \(mode 644\); (chmod \S+ \S+)", r.stderr)
    subprocess.run(remedy[1].split(), check=True)
    assert run("check", cluster, "--node", "a").returncode == 0
    key.write_text(f"# comment\n{CLUSTER_KEY}nonsense s3cret\n")
    r = run("check", cluster, "--node", "a")
    assert r.returncode == 1 and "cluster.key: line 3: a key begins with its id" in r.stderr and "s3cret" not in r.stderr
    key.unlink()
    r = run("check", cluster, "--node", "a")
    assert r.returncode == 1 and f"key file {key} does not exist; 'holdfast key new' makes one" in r.stderr
    os.mkfifo(key, 0o600)
    r = run("check", cluster, "--node", "a")
    assert r.returncode == 1 and f"the cluster's key {key} is not a file" in r.stderr


def test_a_relative_path_is_made_whole(run, cluster, tmp_path):
    r = run("check", "cluster.conf", "--node", "a", "--json", cwd=tmp_path)
    assert json.loads(r.stdout)["cluster"]["key"] == str(tmp_path / "cluster.key")
    r = run("check", "./cluster.conf", "--node", "a", "--json", cwd=tmp_path)
    assert json.loads(r.stdout)["cluster"]["key"] == str(tmp_path / "cluster.key")


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
