"""The file with a cluster's keys: made, shown and changed; never lost, never wider readable, never printed."""
import base64
import hashlib
import json
import os
import re
import threading

import pytest


@pytest.fixture
def key(run, tmp_path):
    """key("add", ...) on one file -> a CompletedProcess; key.path, key.keys() -> [(id, state, secret)]"""
    def go(action, *words, code=0, **more):
        r = run("key", action, go.path, *words, **more)
        assert r.returncode == code, r.stderr
        said = r.stdout + r.stderr
        assert not any(secret in said for _, _, secret in go.keys())
        return r

    def keys():
        if not os.path.exists(go.path):
            return []
        with open(go.path) as f:
            return [tuple(line.split()) for line in f if line.strip() and not line.startswith("#")]
    go.path, go.keys = str(tmp_path / "cluster.key"), keys
    return go


def mode(path):
    return os.stat(path).st_mode & 0o7777


def test_a_new_file_has_one_key_and_one_reader(key):
    r = key("new")
    [(name, state, secret)] = key.keys()
    raw = base64.b64decode(secret, validate=True)
    assert len(raw) == 32 and name == hashlib.sha256(raw).hexdigest()[:8] and state == "use"
    assert mode(key.path) == 0o600
    assert r.stdout.startswith(f"key {name}\n") and r.stderr == ""
    assert os.listdir(os.path.dirname(key.path)) == ["cluster.key"]


def test_keys_are_random(run, tmp_path):
    for i in range(5):
        assert run("key", "new", str(tmp_path / str(i))).returncode == 0
    assert len({(tmp_path / str(i)).read_text() for i in range(5)}) == 5


def test_new_never_replaces(key):
    key("new")
    before = key.keys()
    r = key("new", code=1)
    assert "exists already" in r.stderr and "holdfast key add" in r.stderr and r.stdout == ""
    assert key.keys() == before
    assert os.listdir(os.path.dirname(key.path)) == ["cluster.key"]


def test_a_rotation_by_hand(key):
    key("new")
    [(old, _, secret)] = key.keys()
    added = re.match(r"key ([0-9a-f]{8}) is accepted", key("add").stdout)[1]
    assert [(k, s) for k, s, _ in key.keys()] == [(added, "accept"), (old, "use")]
    assert key.keys()[1][2] == secret
    r = key("drop", old, code=1)
    assert f"{old} is in use" in r.stderr
    key("use", added)
    assert [(k, s) for k, s, _ in key.keys()] == [(added, "use"), (old, "accept")]
    before = os.stat(key.path).st_ino
    assert "nothing to change" in key("use", added).stdout
    assert os.stat(key.path).st_ino == before
    key("drop", old)
    assert [(k, s) for k, s, _ in key.keys()] == [(added, "use")]


def test_show(key):
    key("new")
    key("add")
    r = key("show")
    (first, _, _), (second, _, _) = key.keys()
    assert r.stdout.splitlines() == ["ID        STATE", f"{first}  accept", f"{second}  use"]


def test_json(key):
    made = json.loads(key("new", "--json").stdout)
    assert made == {"schema": "holdfast.key.v1", "file": key.path, "changed": key.keys()[0][0],
                    "keys": [{"id": key.keys()[0][0], "state": "use"}]}
    added = json.loads(key("add", "--json").stdout)
    assert added["changed"] == key.keys()[0][0] and [k["state"] for k in added["keys"]] == ["accept", "use"]
    assert json.loads(key("show", "--json").stdout) == {**added, "changed": None}
    assert json.loads(key("use", made["changed"], "--json").stdout)["changed"] is None
    dropped = json.loads(key("drop", added["changed"], "--json").stdout)
    assert dropped["changed"] == added["changed"] and dropped["keys"] == made["keys"]


def test_mode_and_links_stay(key, tmp_path):
    key("new")
    os.chmod(key.path, 0o640)
    link = tmp_path / "link"
    link.symlink_to(key.path)
    real, key.path = key.path, str(link)
    assert key("add").stderr == ""
    assert link.is_symlink() and mode(real) == 0o640 and len(key.keys()) == 2


def test_a_file_that_everybody_reads_is_warned_of(key):
    key("new")
    os.chmod(key.path, 0o644)
    r = key("show")
    assert "can be read by everybody" in r.stderr and "chmod o=" in r.stderr and "(mode 0644)" in r.stderr


def test_what_is_not_there(key):
    assert "does not exist: 'holdfast key new' makes it" in key("show", code=1).stderr
    assert "does not exist" in key("add", code=1).stderr
    key("new")
    for action in "use", "drop":
        assert "there is no key 01234567" in key(action, "01234567", code=1).stderr
    nowhere = key.path + "/x/y"
    key.path = nowhere
    assert nowhere in key("new", code=1).stderr


def test_a_mistake_is_named_by_its_line_and_the_file_stays(key):
    key("new")
    with open(key.path) as f:
        text = f.read()
    broken = text[:-4] + "\n"
    with open(key.path, "w") as f:
        f.write(broken)
    for words in ("show",), ("add",), ("use", key.keys()[0][0]), ("drop", key.keys()[0][0]):
        r = key(*words, code=1)
        assert f"{key.path}: line 3: the secret is not 32 bytes" in r.stderr and r.stdout == ""
    with open(key.path) as f:
        assert f.read() == broken


def test_eight_keys_are_the_most(key):
    key("new")
    for _ in range(7):
        key("add")
    assert "drop one that is not in use" in key("add", code=1).stderr
    assert len(key.keys()) == 8


def test_a_reader_never_sees_half_a_file(key):
    """Somebody copies the file all the time while it changes: each copy is whole."""
    key("new")
    done, bad = threading.Event(), []

    def copy():
        while not done.is_set():
            lines = [k for k in key.keys()]
            if not lines or any(len(line) != 3 or len(line[2]) != 44 for line in lines) or \
                    [s for _, s, _ in lines].count("use") != 1:
                bad.append(lines)
    thread = threading.Thread(target=copy)
    thread.start()
    for _ in range(7):
        key("add")
        key("use", key.keys()[0][0])
    done.set()
    thread.join()
    assert not bad
