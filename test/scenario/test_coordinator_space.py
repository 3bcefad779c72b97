"""The files of the managed coordinator fill up to their quota: it makes room by itself, and takes changes again.

The quota is small here: what is found as /usr/bin/etcd on the nodes' machines is a script that starts the real one with it.
"""

import subprocess
import sys

from cluster import answered, now
from coordinated import Coordinated
from holdfast import PATIENCE, until
from metrics import metrics

QUOTA = 24 << 20

FILL = """
import base64, json, ssl, sys, urllib.error, urllib.request
url, tls, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
context = ssl.create_default_context(cafile=tls + "/ca.pem")
context.load_cert_chain(tls + "/node.pem", tls + "/node.key")
value = base64.b64encode(bytes(1 << 19)).decode()
for n in range(most):
    body = json.dumps({"key": base64.b64encode(b"somebody/else").decode(), "value": value}).encode()
    try:
        urllib.request.urlopen(urllib.request.Request(url + "/v3/kv/put", body), timeout=30, context=context).read()
    except urllib.error.HTTPError as e:
        print(n, e.read().decode())
        break
"""


def fill(cluster, name):
    """Half a MiB into one key, again and again, until etcd refuses. What it said."""
    node = cluster[name]
    done = subprocess.run([*node.prefix, sys.executable, "-c", FILL, f"https://{cluster.addresses[name]}:7301", f"{node.state}/etcd/tls", "200"],
                          capture_output=True, text=True, timeout=120 * PATIENCE)
    assert "space exceeded" in done.stdout, done.stdout + done.stderr
    return done.stdout


def sizes(cluster):
    return {name: cluster[name].coordinator()["etcd"]["bytes"] for name in cluster.names}


def apply(cluster, by, number):
    file = cluster.site.path("next.conf")
    with open(cluster.file) as was, open(file, "w") as following:
        following.write(was.read() + f"# {number}\n")
    return cluster.apply(by, file)


def test_a_full_file_is_emptied_and_changes_are_taken_again(site):
    with Coordinated(site, "abc").with_quota(QUOTA) as cluster:
        cluster.start()
        cluster.await_members("abc")
        load, [was] = cluster.load("b"), cluster.ids()
        assert apply(cluster, "a", 1).returncode == 0
        at = now()
        fill(cluster, "b")
        for name in "abc":
            cluster.await_told("the files of etcd are full", name, since=at)
        full = "holdfast_coordinator_full"
        assert metrics(cluster["a"])[full] == 1
        for name in "abc":
            cluster.await_told("there is room in the files of etcd again", name, since=at, seconds=120)
        site.report(f"room again {(now() - at) / 1e9:.0f} s after it began to fill; files of {sizes(cluster)} bytes")
        by_itself = [(o, e["subject"], e["text"]) for o, e in cluster.events("coordinator", since=at)]
        freed = [subject for _, subject, text in by_itself if "gives free room of its file back" in text]
        assert sorted(freed) == ["a", "b", "c"], by_itself          # each once, the leader after another led
        assert [text for _, _, text in by_itself if "the history" in text and "is removed" in text]
        assert [text for _, _, text in by_itself if "lets this node lead while" in text]
        assert metrics(cluster["a"])[full] == 0
        assert max(sizes(cluster).values()) < QUOTA / 2
        cluster.await_members("abc")
        for number, name in enumerate("abc", 2):
            done = apply(cluster, name, number)
            assert done.returncode == 0 and f"version {number} is applied" in done.stdout, done.stdout + done.stderr
        until(lambda: [((cluster[n].ask("/v1/config") or {}).get("used") or {}).get("version") for n in "abc"] == [4, 4, 4], 30)
        assert cluster.ids() == {was}
        answered(load)
