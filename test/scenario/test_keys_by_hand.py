"""Keys changed by hand, as docs/cli.md says: `holdfast key` on the file, and a reload of each node, one after the other."""
import json
import shutil
import subprocess

from cluster import Cluster, answered, now
from holdfast import BINARY, until


def key(cluster, *words):
    done = subprocess.run([BINARY, "key", words[0], cluster.key, *words[1:], "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def reload_one_by_one(cluster, load):
    """Between two of them nodes have different keys, for longer than silence is suffered."""
    for name in cluster.names:
        cluster[name].command("reload")
        load.carry(120)  # 10 ms each, two at a time


def test_a_rotation_by_hand_goes_unnoticed(site):
    with Cluster(site, "abc") as cluster:
        cluster.start()
        load, at = cluster.load("a"), now()
        old = key(cluster, "show")["keys"][0]["id"]
        shutil.copy(cluster.key, cluster.key + ".old")
        new = key(cluster, "add")["changed"]
        reload_one_by_one(cluster, load)
        assert key(cluster, "use", new)["changed"] == new
        reload_one_by_one(cluster, load)
        assert key(cluster, "drop", old)["keys"] == [{"id": new, "state": "use"}]
        reload_one_by_one(cluster, load)
        assert not cluster.events("node-suspect", "node-failed", since=at)
        answered(load)

        # The new one is all that counts: who starts with it is in, who starts with the old one is not.
        cluster["c"].kill()
        cluster.await_event("node-failed", "c", "ab", at)
        shutil.copy(cluster.key, cluster.key + ".new")
        shutil.copy(cluster.key + ".old", cluster.key)
        since = now()
        cluster["c"].start()
        until(lambda: cluster["a"].members()["c"]["state"] == "failed", what="a to see c")
        load = cluster.load("a")
        load.carry(200)
        answered(load)
        assert not cluster.events("node-alive", since=since, by="ab")
        shutil.copy(cluster.key + ".new", cluster.key)
        cluster["c"].command("reload")
        cluster.await_agreement()
