"""Keys of a cluster that runs: a machine joins with a one-time token, and the key becomes another one without anybody missing a heartbeat.

Every node has a key file of its own here, in a folder that its user may write.
"""
import json
import os
import pwd
import shutil
import signal
import subprocess
import time

import jsonschema
import pytest

from cluster import Cluster, now
from holdfast import BINARY, PATIENCE, TOP, until

USER = next((u for u in ("holdfast", "nobody") if u in {p.pw_name for p in pwd.getpwall()}), None) if os.geteuid() == 0 else None


def own(*paths):
    """Gives these to the user that control becomes."""
    for path in paths:
        if USER:
            shutil.chown(path, USER, pwd.getpwnam(USER).pw_gid)


def with_own_keys(cluster, names, copy=True):
    for name in names:
        folder = cluster.site.path(f"keys-{name}")
        os.mkdir(folder, 0o755)
        node = cluster[name]
        node.key, node.file = folder + "/cluster.key", folder + "/cluster.conf"
        if copy:
            shutil.copy(cluster.key, node.key)
            os.chmod(node.key, 0o600)
            own(node.key)
        own(folder)
    write_files(cluster, names)


def write_files(cluster, names):
    for name in names:
        with open(cluster[name].file, "w") as f:
            f.write(cluster.config(key=cluster[name].key))


def keys(cluster, names=None):
    """{node: [(id, state)]} as in the files."""
    found = {}
    for name in names or cluster.names:
        shown = json.loads(subprocess.run([BINARY, "key", "show", cluster[name].key, "--json"], capture_output=True, check=True).stdout)
        found[name] = [(k["id"], k["state"]) for k in shown["keys"]]
    return found


def checked(text):
    """What is printed as JSON is as its schema says."""
    answer = json.loads(text)
    with open(os.path.join(TOP, "docs/schema", answer["schema"].split(".")[1] + ".json")) as f:
        jsonschema.Draft202012Validator(json.load(f)).validate(answer)
    return answer


def metrics(node):
    return subprocess.run(["curl", "-s", "--unix-socket", node.state + "/admin.sock", "http://node/metrics"], capture_output=True,
                          text=True, check=True).stdout


def linked(cluster, names=None):
    """Everybody has a link to everybody else."""
    names = names or cluster.names
    return all(f"\nholdfast_mesh_links {len(names) - 1}\n" in metrics(cluster[n]) for n in names)


@pytest.fixture
def cluster(site):
    with Cluster(site, "abc", spare="d") as c:
        with_own_keys(c, "abc")
        c.start()
        until(lambda: linked(c), 10, "links between all nodes")
        yield c


def quiet(cluster, since):
    """Nobody has been suspected since then."""
    return [(o, e["text"]) for o, e in cluster.events("node-suspect", "node-failed", "partition", since=since)]


def test_the_key_becomes_another_and_no_heartbeat_is_missed(cluster):
    old = keys(cluster)["a"][0][0]
    load, began = cluster.load("a"), now()
    done = cluster["b"].command("key", "rotate", seconds=60)
    assert "and no other is accepted" in done.stdout and "waits for" in done.stdout
    files = keys(cluster)
    new = files["a"][0][0]
    assert new != old and files == dict.fromkeys("abc", [(new, "use")])
    until(lambda: linked(cluster), 10, "links between all nodes")
    time.sleep(1)  # a session that ended with its key would be missed by now
    assert quiet(cluster, began) == [] and cluster.agreed()
    assert load.failed(load.stop()) == 0
    for name in "abc":
        assert oct(os.stat(cluster[name].key).st_mode & 0o777) == "0o600"
        said = [e["text"] for e in cluster[name].ask("/v1/events?last=100")["events"] if e["code"] == "cluster-key"]
        assert [f"key {new} is {what}" for what in ("accepted", "in use", "the only one now")] == [s for s in said if s.startswith("key ")]
    secrets = [line.split()[2] for line in open(cluster["a"].key) if not line.startswith("#")]
    for name in "abc":  # no secret is ever said
        assert not [s for s in secrets if s in cluster[name].said() or s in json.dumps(cluster[name].ask("/v1/events"))]


@pytest.mark.parametrize("delay", [0, 0.4, 2])
def test_a_driver_that_dies_goes_on(cluster, delay):
    driver = cluster["b"]
    rotation = subprocess.Popen([*driver.prefix, BINARY, "key", "rotate", "--state", driver.state], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
    until(lambda: os.path.exists(driver.state + "/rotation"), 10, "the rotation to begin")
    time.sleep(delay)
    control = next(p["pid"] for p in driver.ask("/v1/status")["processes"] if p["name"] == "control")
    os.kill(control, signal.SIGKILL)
    out, err = rotation.communicate(timeout=60 * PATIENCE)
    assert rotation.returncode == 0, out + err
    files = keys(cluster)
    assert files == dict.fromkeys("abc", files["a"]) and len(files["a"]) == 1
    assert not os.path.exists(driver.state + "/rotation")


def test_it_waits_for_nobody_who_is_not_there_unless_forced(cluster):
    old = keys(cluster)["c"]
    cluster["c"].kill()
    cluster.await_agreement({"a": "alive", "b": "alive", "c": "failed"}, by="ab")
    done = cluster["a"].command("key", "rotate", check=False)
    assert done.returncode == 1 and "node c is failed" in done.stderr and "--force" in done.stderr
    assert keys(cluster, "ab") == dict.fromkeys("ab", old)
    done = cluster["a"].command("key", "rotate", "--force", seconds=60)
    assert "still accepted for those that were not" in done.stdout
    new = keys(cluster)["a"][0][0]
    assert keys(cluster, "ab") == dict.fromkeys("ab", [(new, "use"), (old[0][0], "accept")])
    cluster["c"].start()
    until(lambda: keys(cluster)["c"] == [(new, "use"), (old[0][0], "accept")], 20, "c to learn the new key")
    cluster.await_agreement(seconds=20)
    until(lambda: linked(cluster), 20, "links between all nodes")
    answer = checked(cluster["c"].command("key", "rotate", "--json", seconds=60).stdout)
    assert (answer["rotation"]["state"], answer["rotation"]["step"]) == ("done", "drop") and len(answer["keys"]) == 1
    assert {len(k) for k in keys(cluster).values()} == {1}


def test_a_machine_joins_with_a_token_once(cluster):
    d = cluster["d"]
    refused = cluster["a"].command("token", "--name", "d", check=False)
    assert refused.returncode == 1 and "there is no node d" in refused.stderr
    cluster.configure("abcd")
    with_own_keys(cluster, "d", copy=False)
    write_files(cluster, "abc")
    for name in "abc":
        cluster[name].command("reload")
    made = cluster["a"].command("token", "--name", "d", "--ttl", "1m")
    token = made.stdout.strip()
    assert token.startswith("hf1.") and "\n" not in token and "good once" in made.stderr
    assert token not in open(cluster["a"].state + "/tokens").read() and token not in cluster["a"].said()

    def join(*words):
        return subprocess.run([*d.prefix, BINARY, "join", *words], capture_output=True, text=True, timeout=20 * PATIENCE)

    wrong = join(token, "--key", d.key, "--node", "e")
    assert wrong.returncode == 1 and "for node d and not for e" in wrong.stderr and not os.path.exists(d.key)
    done = join(token, "--key", d.key, "--node", "d")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"cluster prod {{\n  key = file:{d.key}\n") and "node d { address = 10.77.0.4:7300 }" in done.stdout
    assert oct(os.stat(d.key).st_mode & 0o777) == "0o600" and keys(cluster, "d")["d"] == keys(cluster, "a")["a"]
    assert "exists already" in join(token, "--key", d.key, "--node", "d").stderr
    again = join(token, "--key", d.key + "2", "--node", "d")
    assert again.returncode == 1 and "has been used already, by node d" in again.stderr and not os.path.exists(d.key + "2")
    own(d.key)
    d.start()
    cluster.await_agreement(seconds=20)
    joined = [e for e in cluster["a"].ask("/v1/events?last=200")["events"] if e["code"] == "join"]
    assert [e["level"] for e in joined] == ["info", "warning", "info", "warning"]
    expired = cluster["b"].command("token", "--ttl", "1s", "--json")
    time.sleep(1.2)
    late = join(checked(expired.stdout)["token"], "--key", d.key + "2", "--node", "d")
    assert late.returncode == 1 and "has expired" in late.stderr
    other = checked(join(checked(cluster["b"].command("token", "--json").stdout)["token"], "--key", d.key + "3", "--node", "x", "--json").stdout)
    assert not other["known"] and [n["name"] for n in other["nodes"]] == list("abcd")
    elsewhere = join(json.loads(expired.stdout)["token"][:-3] + "AAA", "--key", d.key + "2")
    assert elsewhere.returncode == 2 and "not whole" in elsewhere.stderr


def test_a_key_file_that_cannot_be_written_stops_it_early(cluster):
    if not USER:
        os.chmod(os.path.dirname(cluster["c"].key), 0o500)
    else:
        shutil.chown(os.path.dirname(cluster["c"].key), "root")
    before = keys(cluster)
    done = cluster["a"].command("key", "rotate", check=False, seconds=60)
    os.chmod(os.path.dirname(cluster["c"].key), 0o755)
    assert done.returncode == 1 and "node c cannot: " in done.stderr and "cluster.key" in done.stderr
    assert keys(cluster)["c"] == before["c"]
    assert all(next(i for i, state in k if state == "use") == before["c"][0][0] for k in keys(cluster).values())
