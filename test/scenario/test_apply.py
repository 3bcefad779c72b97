"""One configuration for all nodes: plan, apply, history and roll back, on one machine and on several."""
import base64
import http.client
import json
import os
import re
import signal
import statistics
import socket
import threading
import time

import pytest

from cluster import Cluster, now
from coordinated import Coordinated
from holdfast import PATIENCE, sample, until

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "60"))
ETCD = "http://10.77.0.201:2379"
PEER = "http://127.0.0.1:2380"       # by number: a bare machine does not know "localhost"


class Local(http.client.HTTPConnection):
    """The admin API over a node's Unix socket."""

    def __init__(self, state):
        super().__init__("node", timeout=30 * PATIENCE)
        self.path = os.path.join(state, "admin.sock")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None):
        self.request(method, path, json.dumps(body) if body is not None else None)
        r = self.getresponse()
        return r.status, json.loads(r.read())


def bundle(files, main="holdfast.conf"):
    """As src/coord/bundle.h writes it, in base64."""
    text = lambda s: len(s).to_bytes(4, "little") + s
    parts = [b"HFB1", text(main.encode()), len(files).to_bytes(4, "little")]
    for name in sorted(files, key=lambda n: n.encode()):
        parts += [text(name.encode()), text(files[name].encode())]
    return base64.b64encode(b"".join(parts)).decode()


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    return path


def config_of(node):
    c = Local(node.state)
    status, answer = c.ask("GET", "/v1/config")
    c.close()
    assert status == 200
    return answer


def listens(port):
    with socket.socket() as s:
        s.settimeout(2)
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def node(site):
    port = site.port()
    return site.node(sample(port, [site.backend()]), port)


def service(name, port, backends):
    return f"service {name} {{ listen = http://127.0.0.1:{port}\ncheck = none\n" + "".join(f"backend {b}\n" for b in backends) + "}\n"


# ---- one machine ----

def test_plan_apply_history_and_roll_back(node, site, tmp_path):
    other = site.port()
    main = write(f"{tmp_path}/new/web.conf", open(node.file).read() + 'include "conf.d/*.conf"\n')
    part = write(f"{tmp_path}/new/conf.d/api.conf", service("api", other, ["127.0.0.1:9"]))
    plan = node.command("plan", main, check=False)
    assert plan.returncode == 2 and "service api: added, 1 backend" in plan.stdout, plan
    assert not listens(other)
    assert node.command("plan", node.file).stdout.startswith("no differences to what runs here")

    done = node.command("apply", main, "--note", "an api")
    assert "version 1 is applied" in done.stdout and "it runs" in done.stdout
    assert listens(other)
    assert node.command("plan", main).stdout == "no differences to version 1\n"
    assert "version 1 is that already" in node.command("apply", main).stdout

    write(part, service("api", other, ["127.0.0.1:9", "127.0.0.1:10"]))
    assert node.command("plan", main, check=False).returncode == 2
    node.command("apply", main)
    os.remove(part)
    refused = node.command("apply", main, check=False)
    assert refused.returncode == 1 and "--yes" in refused.stderr and "service api stops: it is removed" in refused.stdout
    assert listens(other) and config_of(node)["used"]["version"] == 2
    node.command("apply", main, "--yes")
    assert not listens(other)

    done = node.command("rollback", "2", "--note", "it was needed")
    assert "version 4 is applied, with the files of version 2" in done.stdout
    assert listens(other)
    history = json.loads(node.command("history", "--json").stdout)["versions"]
    assert [(v["version"], v["from"], v["note"]) for v in history] == \
        [(4, 2, "it was needed"), (3, None, ""), (2, None, ""), (1, None, "an api")]
    assert history[2]["changes"] == ["service api: + backend 127.0.0.1:10"]
    assert {v["who"] for v in history} == {os.popen("id -un").read().strip()}
    files = json.loads(node.command("history", "1", "--json").stdout)
    assert [f["name"] for f in files["files"]] == ["conf.d/api.conf", "web.conf"] and files["main"] == "web.conf"
    assert node.command("rollback", "9", check=False).returncode == 1
    codes = [e["code"] for e in node.events() if e["code"].startswith("config-")] if hasattr(node, "events") else None
    assert codes is None or codes.count("config-applied") == codes.count("config-adopted") == 4


def test_a_broken_version_is_refused_with_its_places(node, tmp_path):
    main = write(f"{tmp_path}/new/web.conf", 'include "part.conf"\n')
    write(f"{tmp_path}/new/part.conf", "service web {\n  lisen = 3\n}\n")
    for command in "plan", "apply":
        r = node.command(command, main, check=False)
        assert r.returncode == 1 and f"{tmp_path}/new/part.conf:2:3: error: unknown key 'lisen'" in r.stderr, r
        assert "|   lisen = 3" in r.stderr
    missing = node.command("plan", f"{tmp_path}/new/none.conf", check=False)
    assert missing.returncode == 1 and "does not exist" in missing.stderr
    assert node.command("plan", "--jsno", check=False).returncode == 1
    assert config_of(node)["head"] is None


def test_a_reload_takes_what_is_local_and_tells_the_rest(node, tmp_path):
    node.command("apply", node.file)
    node.write("zone = east\n" + open(node.file).read().replace("balance = least-requests", "balance = random"))
    done = node.reload()
    assert "  zone - -> east\n" in done.stdout.partition("version 1")[0]
    assert "version 1 is the cluster's configuration" in done.stdout
    assert "  service web: balance least-requests -> random\n" in done.stdout.partition("version 1")[2]
    status = node.status()
    assert status["services"][0]["balance"] == "least-requests" and status["config"]["version"] == 1
    node.write("nonsense {\n")
    assert node.reload(check=False).returncode == 1


def test_of_two_at_once_one_is_told_to_plan_again(node, site):
    text = open(node.file).read()
    api = Local(node.state)
    base = api.ask("POST", "/v1/config/plan", {"bundle": bundle({"holdfast.conf": text})})[1]["base"]
    one = api.ask("POST", "/v1/config/apply", {"bundle": bundle({"holdfast.conf": text + "# one\n"}), "base": base})
    two = api.ask("POST", "/v1/config/apply", {"bundle": bundle({"holdfast.conf": text + "# two\n"}), "base": base})
    assert one[0] == 200 and two[0] == 409 and two[1]["error"]["code"] == "conflict", (one, two)
    assert [v["version"] for v in api.ask("GET", "/v1/config/history")[1]["versions"]] == [1]
    api.close()


def test_secrets_stay_on_the_node(node, tmp_path):
    write(f"{tmp_path}/new/secret", "hunter2hunter2hunter2\n")
    write(os.path.join(os.path.dirname(node.file), "secret"), "of-the-node-itself\n")
    main = write(f"{tmp_path}/new/web.conf",
                 open(node.file).read().replace("http = /health", "http = /health  body = file:secret"))
    node.command("apply", main)
    everything = node.command("history", "1").stdout + json.dumps(config_of(node))
    for folder, _, names in os.walk(node.state):
        for name in names:
            if not name.endswith(".sock"):
                everything += open(os.path.join(folder, name), errors="replace").read()
    assert "file:secret" in everything and "hunter2" not in everything and "of-the-node-itself" not in everything


def test_a_restart_runs_the_version_and_not_the_file(node, site):
    other = site.port()
    own = open(node.file).read()
    node.write(own + service("api", other, ["127.0.0.1:9"]))
    node.command("apply", node.file)
    node.write(own)                                 # the own file is old now, the version is not
    node.terminate()
    os.remove(os.path.join(node.state, "coordinator.db"))      # and there is nobody to ask
    node.start()
    assert listens(other) and node.status()["config"]["version"] == 1
    node.terminate()
    kept = os.path.join(node.state, "config", "0000000001")
    with open(kept, "r+") as f:
        f.truncate(100)
    node.start()
    until(lambda: os.path.exists(kept + ".damaged"), what="the damaged version to be set aside")
    assert "cannot be used" in node.said() and not listens(other)


def test_control_may_die_at_any_moment_of_an_adoption(node, site):
    ports = [site.port() for _ in range(4)]
    text = open(node.file).read()
    version = 0
    for i in range(24):
        port = ports[i % len(ports)]
        api = Local(node.state)
        asked = threading.Thread(target=lambda: node.command(
            "apply", write(f"{site.directory}/apply.conf", text + service("api", port, [f"127.0.0.1:{i + 1}"])), "--yes", check=False))
        pid = node.pid("control")
        asked.start()
        time.sleep(0.004 * i)                       # another moment each time
        os.kill(pid, signal.SIGKILL)
        asked.join()
        api.close()

        def settled():
            c = config_of(node)
            return c["head_known"] and (c["head"] or {}).get("version", 0) == (c["used"] or {}).get("version", 0) and not c["problem"]
        until(lambda: node.status(check=False) and settled(), what="the version in force to run")
        c = config_of(node)
        now = (c["used"] or {}).get("version", 0)
        assert version <= now <= version + 1
        version = now
        if c["used"]:
            files = json.loads(node.command("history", str(now), "--json").stdout)["files"]
            backends = [s for s in node.status()["services"] if s["name"] == "api"]
            assert backends[0]["instances"][0]["address"] in files[0]["text"]
    assert version > 4, "most should have got through"


# ---- several nodes and an etcd of somebody's, or their own ----

class Etcd:
    """One member on a machine of its own."""

    def __init__(self, cluster):
        self.cluster, self.machine = cluster, cluster.stranger("etcd")
        assert self.machine.address in ETCD
        self.start()

    def start(self):
        with open(self.cluster.site.path("etcd.err"), "ab") as err:
            self.process = self.cluster.site.process(
                [*self.machine.prefix, "etcd", "--data-dir", self.cluster.site.path("etcd"), "--listen-client-urls", ETCD,
                 "--advertise-client-urls", ETCD, "--listen-peer-urls", PEER, "--initial-advertise-peer-urls", PEER,
                 "--initial-cluster", f"default={PEER}", "--log-level", "error"], stdout=err, stderr=err)

    def kill(self):
        self.process.end()


@pytest.fixture
def cluster(site, request):
    """An etcd that is there already; or the one that the nodes run themselves, where a test asks for it."""
    managed = getattr(request, "param", "external") == "managed"
    with Coordinated(site, "abc") if managed else Cluster(site, "abc", coordinator=ETCD) as cluster:
        if not managed:
            cluster.etcd = Etcd(cluster)
        cluster.start()
        if managed:
            cluster.await_members("abc")
        for node in cluster.nodes.values():
            until(lambda: config_of(node)["head_known"], what="the coordinator to answer")
        yield cluster
        for node in cluster.nodes.values():
            if node.process and node.process.running:
                node.terminate()


def versions(cluster):
    return {name: (config_of(node)["used"] or {}).get("version", 0) for name, node in cluster.nodes.items()}


def services_of(node):
    return [(s["name"], s["balance"], [(i["name"], i["weight"]) for i in s["instances"]]) for s in node.status()["services"]]


def apply(api, text, note):
    """Plans and applies until nobody else is faster; the version, and how often somebody was."""
    body, conflicts = {"bundle": bundle({"cluster.conf": text}, "cluster.conf"), "note": note}, 0
    while True:
        status, plan = api.ask("POST", "/v1/config/plan", body | {"note": ""})
        assert status == 200, plan
        status, answer = api.ask("POST", "/v1/config/apply", {**body, "base": plan["base"]})
        if status == 200:
            return answer["version"], conflicts
        assert status == 409 and answer["error"]["code"] == "conflict", answer
        conflicts += 1


def voters_of(node):
    voters = node.ask("/v1/coordinator")["voters"]
    return voters and (voters["version"], voters["nodes"])


def test_a_coordinator_that_was_there_has_voters_too(cluster):
    """Nobody leads there: whoever is first writes them, and they follow the file, a node at a time."""
    def all_say(*voters):
        return lambda: all(voters_of(node) == voters for node in cluster.nodes.values())

    until(all_say(1, ["a", "b", "c"]), what="voters")
    apply(Local(cluster["b"].state), cluster.config().replace("  key =", "  voters = {b}\n  key =", 1), "one voter")
    until(lambda: all((voters_of(node) or [0, 0])[1] == ["b"] for node in cluster.nodes.values()), what="one voter")
    assert voters_of(cluster["a"])[0] == 3


@pytest.mark.parametrize("cluster", ["external", "managed"], indirect=True)
def test_applies_from_three_nodes_at_once_are_one_row(cluster):
    done, failures, lock = {}, [], threading.Lock()
    share = (ROUNDS + 2) // 3
    config = cluster.config()

    def work(name):
        api = Local(cluster[name].state)
        try:
            for i in range(share):
                text = config + f"# {name} {i}\n"
                text = text.replace(":3000\n", f":3000 {{ weight = {1 + (i + ord(name)) % 900} }}\n", 1)
                version, conflicts = apply(api, text, f"{name} {i}")
                with lock:
                    assert version not in done, "two applications have one version"
                    done[version] = (f"{name} {i}", text, conflicts)
        except AssertionError as e:
            failures.append(e)
        api.close()

    began = time.monotonic()
    workers = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    took = time.monotonic() - began
    at = time.monotonic()
    assert not failures, failures[0]
    last = max(done)
    until(lambda: set(versions(cluster).values()) == {last}, 10, "all nodes to run the last version")
    settled = time.monotonic() - at

    # One row without a gap, each version with the files of whoever was told that it is his.
    assert sorted(done) == list(range(1, last + 1)) and last == 3 * share
    api = Local(cluster["a"].state)
    for version in range(max(1, last - 99), last + 1):
        status, kept = api.ask("GET", f"/v1/config/files?version={version}")
        assert status == 200 and (kept["note"], kept["files"][0]["text"]) == done[version][:2]
    api.close()

    # The same everywhere, and nowhere a version twice or downwards.
    assert len({json.dumps(services_of(node)) for node in cluster.nodes.values()}) == 1
    applied, lags = {}, []
    events = {name: node.events("config-applied", "config-adopted") for name, node in cluster.nodes.items()}
    for name in events:
        applied.update({int(e["subject"].split()[1]): e["boot_ns"] for e in events[name] if e["code"] == "config-applied"})
    assert sorted(applied) == sorted(done)
    for name in events:
        row = [(int(e["subject"].split()[1]), e["boot_ns"]) for e in events[name] if e["code"] == "config-adopted"]
        assert [v for v, _ in row] == sorted({v for v, _ in row}) and row[-1][0] == last
        for version, then in applied.items():
            lags.append((next(t for v, t in row if v >= version) - then) / 1e6)
    conflicts = sum(c for _, _, c in done.values())
    cluster.site.report(f"{last} applies from three nodes at once in {took:.1f} s, {conflicts} times somebody else was faster; from applied to run by a node "
                        f"{statistics.median(lags):.0f} ms (median), {max(lags):.0f} at most; all the same {1000 * settled:.0f} ms after the last")
    assert max(lags) < 1000 * PATIENCE


def test_a_node_that_was_away_catches_up(cluster, tmp_path):
    cluster["a"].command("apply", cluster.file, "--note", "first", seconds=40)
    at = now()
    cluster["c"].kill()
    cluster.await_event("node-failed", "c", "ab", at)
    main = write(f"{tmp_path}/other.conf", cluster.config().replace("fall = 3", "fall = 4"))
    done = cluster["b"].command("apply", main, check=False, seconds=40)
    assert done.returncode == 0 and "2 of 3 nodes run it" in done.stdout, done
    assert "c: not alive; it follows when it is back" in done.stdout
    cluster["c"].start()
    until(lambda: versions(cluster) == {"a": 2, "b": 2, "c": 2}, what="c to catch up")


def test_without_the_coordinator_all_goes_on_but_applying(cluster, tmp_path):
    other = write(f"{tmp_path}/other.conf", cluster.config().replace("fall = 3", "fall = 4"))
    cluster["a"].command("apply", cluster.file, seconds=40)
    cluster.etcd.kill()
    until(lambda: not config_of(cluster["a"])["reachable"], what="the loss of the coordinator to be seen")
    refused = cluster["a"].command("apply", other, check=False, seconds=40)
    assert refused.returncode == 1 and "the coordinator is away" in refused.stderr, refused
    plan = cluster["a"].command("plan", other, check=False, seconds=40)
    assert plan.returncode == 2 and "does not answer" in plan.stderr, plan
    history = cluster["a"].command("history", seconds=40)
    assert "1  " in history.stdout and "does not answer" in history.stderr
    cluster["a"].reload()

    # A restart runs what was adopted, not the file.
    with open(cluster.file) as f:
        text = f.read()
    with open(cluster.file, "w") as f:
        f.write(text + "\nservice more { listen = http://0.0.0.0:8081\nbackend 127.0.0.1:1\n}\n")
    cluster["b"].kill()
    cluster["b"].start()
    assert cluster["b"].status()["config"]["version"] == 1 and [s[0] for s in services_of(cluster["b"])] == ["web"]
    cluster.etcd.start()
    until(lambda: config_of(cluster["a"])["reachable"], 30, "the coordinator to be back")
    cluster["a"].command("apply", other, seconds=40)
    assert set(versions(cluster).values()) == {2}


def test_a_node_that_cannot_take_a_version_stays_and_says_so(cluster, tmp_path):
    cluster["a"].command("apply", cluster.file, seconds=40)
    taken = cluster["c"].machine.socket(socket.SOCK_STREAM)
    taken.bind(("0.0.0.0", 8088))
    taken.listen()
    main = write(f"{tmp_path}/other.conf", cluster.config() + "service more { listen = http://0.0.0.0:8088\nbackend 127.0.0.1:1\n}\n")
    done = cluster["a"].command("apply", main, check=False, seconds=40)
    assert done.returncode == 1 and re.search(r"^c: .*8088", done.stdout, re.M), done
    assert versions(cluster) == {"a": 2, "b": 2, "c": 1}
    status = cluster["c"].status()["config"]
    assert status["head"] == 2 and "8088" in status["problem"]
    assert cluster["c"].events("config-refused")
    taken.close()
    until(lambda: versions(cluster) == {"a": 2, "b": 2, "c": 2}, 20, "c to try again")
    assert cluster["c"].status()["config"]["problem"] == ""
