"""etcd: real members for tests, and the engine that asks them (coordinate.c).

    with EtcdCluster(site, 3) as etcd:
        client = etcd.client()
        assert client.put("a", "1", 0)["outcome"] == "done"
        etcd.kill(etcd.leader())
"""

import base64
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
import urllib.request

from coordinator import Engine
from holdfast import PATIENCE, TOOLS, TOP, until


def timers():
    """Heartbeat and election time-out as holdfast sets them."""
    with open(os.path.join(TOP, "src", "coord", "etcd_timers.h")) as f:
        text = f.read()
    return tuple(int(re.search(rf"{name} = (\d+)", text)[1]) for name in ("ETCD_HEARTBEAT_MS", "ETCD_ELECTION_MS"))


class EtcdCluster:
    """Members 0 to n-1, each with its data on disk, on the loopback."""

    def __init__(self, site, n, tls=None, options=(), heartbeat=None, election=None):
        self.site, self.n, self.tls, self.options = site, n, tls, list(options)
        default = timers()
        self.heartbeat, self.election = heartbeat or default[0], election or default[1]
        self.scheme = "https" if tls else "http"
        self.clients = [site.port() for _ in range(n)]
        self.peers = [site.port() for _ in range(n)]
        self.name = f"etcd{len(site.processes)}"
        self.processes = [None] * n
        self.auth = None

    def __enter__(self):
        for i in range(self.n):
            self.start(i)
        self.await_leader()
        return self

    def __exit__(self, *exc):
        for i in range(self.n):
            if self.processes[i]:
                self.processes[i].end()

    def url(self, i):
        return f"{self.scheme}://127.0.0.1:{self.clients[i]}"

    @property
    def urls(self):
        return [self.url(i) for i in range(self.n)]

    def start(self, i):
        peer = lambda k: f"http://127.0.0.1:{self.peers[k]}"
        command = ["etcd", "--name", f"m{i}", "--data-dir", self.site.path(f"{self.name}-{i}"),
                   "--listen-client-urls", self.url(i), "--advertise-client-urls", self.url(i),
                   "--listen-peer-urls", peer(i), "--initial-advertise-peer-urls", peer(i),
                   "--initial-cluster", ",".join(f"m{k}={peer(k)}" for k in range(self.n)),
                   "--initial-cluster-token", self.name,
                   "--heartbeat-interval", str(self.heartbeat), "--election-timeout", str(self.election),
                   "--pre-vote=true", "--log-level", "error", *self.options]
        if self.tls:
            command += ["--cert-file", self.tls.path("server.pem"), "--key-file", self.tls.path("server.key"),
                        "--trusted-ca-file", self.tls.path("ca.pem"), "--client-cert-auth"]
        with open(self.site.path(f"{self.name}-{i}.log"), "ab") as log:
            self.processes[i] = self.site.process(command, stdout=log, stderr=log)

    def kill(self, i):
        self.processes[i].end()

    def restart(self, i):
        self.kill(i)
        self.start(i)

    def stop(self, i):
        self.processes[i].signal(signal.SIGSTOP)

    def resume(self, i):
        self.processes[i].signal(signal.SIGCONT)

    def ask(self, i, path, body, seconds=2):
        """The gateway's answer, straight; None when there is none."""
        context = self.tls.context() if self.tls else None
        request = urllib.request.Request(self.url(i) + path, json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=seconds * PATIENCE, context=context) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def status(self, i):
        alive = self.processes[i] and self.processes[i].running
        return self.ask(i, "/v3/maintenance/status", {}, 0.5) if alive else None

    def leader(self, without=()):
        """Which member leads, as all that answer agree; None when they do not."""
        said = {i: s for i in range(self.n) if i not in without and (s := self.status(i))}
        leaders = {s.get("leader") for s in said.values()}
        if len(said) <= self.n // 2 or len(leaders) != 1 or None in leaders:
            return None
        return next((i for i, s in said.items() if s["header"]["member_id"] in leaders), None)

    def await_leader(self, without=(), seconds=30):
        try:
            return until(lambda: (leader := self.leader(without)) is not None and (leader,), seconds, "a leader of etcd")[0]
        except AssertionError as e:
            raise AssertionError(f"{e}: {[self.status(i) for i in range(self.n)]}") from None

    def terms(self):
        return max((int(s["raftTerm"]) for i in range(self.n) if (s := self.status(i))), default=0)

    def compact(self, revision, i=0):
        assert self.ask(i, "/v3/kv/compaction", {"revision": str(revision), "physical": True}) is not None

    def control(self, *words, user=None):
        command = ["etcdctl", "--endpoints", self.url(0), *words]
        if user:
            command[1:1] = ["--user", user]
        subprocess.run(command, env=dict(os.environ, ETCDCTL_API="3"), check=True, capture_output=True)

    prefix, files = (), {}      # how a program is run that asks, and with which certificates

    def engine(self, prefix):
        """For a history (coordinator.py)."""
        return Engine(f"etcd:{prefix}," + ",".join(self.urls))

    def settle(self):
        """Until all is as before a fault."""
        self.await_leader()

    def client(self, *options, urls=None):
        return Client(self.site, urls or self.urls, options)


def contract(etcd):
    """Runs the contract of all engines (src/coord/contract_test.h) on these members; how many cases it has. Where another leader was
    elected meanwhile, outcomes may have been unknown, which most cases do not expect: then it may run again."""
    for attempt in range(3):
        before = etcd.terms()
        done, out = run_contract(etcd)
        if done or etcd.terms() == before:
            break
    assert done, out
    return out.count("[ RUN ")


def run_contract(etcd):
    program = os.path.join(os.path.dirname(TOOLS), "src", "coord", "test_coord_contract")
    given = {f"HOLDFAST_ETCD_{name.upper()}": path for name, path in etcd.files.items()}
    ran = subprocess.run([*etcd.prefix, program, "etcd"], env={**os.environ, "HOLDFAST_ETCD": ",".join(etcd.urls), **given},
                         capture_output=True, text=True, timeout=300 * PATIENCE)
    all_well = ran.stdout.count("[ RUN ") == ran.stdout.count("[       OK ]") and "compaction_disturbs_nobody" in ran.stdout
    return ran.returncode == 0 and all_well, ran.stdout + ran.stderr


class Client:
    """coordinate.c; what it says is sorted to who waits for it by a thread."""

    def __init__(self, site, urls, options=()):
        self.errors = site.path(f"client{len(site.processes)}.err")
        with open(self.errors, "wb") as err:
            self.process = site.process([os.path.join(TOOLS, "coordinate"), *options, *urls], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=err, text=True, bufsize=1)
        self.answers, self.calls, self.ids = {}, {}, 0
        self.told = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.popen.stdout:
            at, said = time.monotonic(), json.loads(line)
            said["heard"] = at
            with self.told:
                if "watch" in said:
                    self.calls.setdefault(said["watch"], []).append(said)
                else:
                    self.answers[said["id"]] = said
                self.told.notify_all()

    def send(self, what, *words):
        self.ids += 1
        self.process.popen.stdin.write(" ".join(map(str, (what, self.ids, *words))) + "\n")
        return str(self.ids)

    def await_answer(self, of, seconds=30):
        with self.told:
            said = self.told.wait_for(lambda: self.answers.pop(of, None), seconds * PATIENCE)
        with open(self.errors) as f:
            errors = f.read()
        assert said and not errors, f"no answer to {of}: {errors}"
        return said

    def ask(self, what, *words):
        return self.await_answer(self.send(what, *words))

    def put(self, key, value, expected, ms=5000):
        return self.ask("put", key, value, expected, int(ms))

    def remove(self, key, expected, ms=5000):
        return self.ask("remove", key, expected, int(ms))

    def range(self, prefix="-", ms=10000):
        return self.ask("range", prefix, int(ms * PATIENCE))

    def health(self):
        return self.ask("health")

    def watch(self, prefix="-"):
        return Watch(self, self.send("watch", prefix))

    def await_reachable(self, seconds=20):
        until(lambda: self.health()["reachable"], seconds, "the coordinator to be reachable")

    def in_use(self, etcd):
        """The member that the client asks."""
        return etcd.urls.index(self.health()["at"])


class Watch:
    """Every call, checked as it is read: whole first, revisions rise, no change comes twice."""

    def __init__(self, client, of):
        self.client, self.of = client, of

    def calls(self):
        with self.client.told:
            return list(self.client.calls.get(self.of, []))

    def changes(self):
        """[key, value, revision, gone] of all calls, in order; it fails when they contradict the promise."""
        found, last = [], 0
        for k, call in enumerate(self.calls()):
            assert call["whole"] == (k == 0), f"call {k}: {call}"
            for item in call["items"]:
                assert call["whole"] or last < item[2] <= call["revision"], f"{item} after {last}"
            assert call["revision"] > last
            last = call["revision"]
            found += call["items"]
        return found

    def state(self):
        """What all calls together add up to."""
        held = {}
        for key, value, revision, gone in self.changes():
            if gone:
                held.pop(key, None)
            else:
                held[key] = (value, revision)
        return held

    def await_revision(self, revision, seconds=30):
        until(lambda: (c := self.calls()) and c[-1]["revision"] >= revision, seconds, f"a watch to reach {revision}")


class Certificates:
    """An authority of the test's own, and what it signs, by openssl."""

    def __init__(self, site, name="tls"):
        self.directory = site.path(name)
        os.makedirs(self.directory)
        self._make_authority()
        self.make("server", "IP:127.0.0.1,DNS:localhost")
        self.make("client", "DNS:client")

    def path(self, name):
        return os.path.join(self.directory, name)

    def _run(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    def _key(self, name):
        self._run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path(name))

    def _make_authority(self):
        self._key("ca.key")
        self._run("req", "-x509", "-new", "-key", self.path("ca.key"), "-subj", "/CN=test authority", "-days", "30",
                  "-out", self.path("ca.pem"))

    def make(self, name, alternative):
        """NAME.pem and NAME.key, each replaced at once."""
        self._key(f"{name}.key.new")
        self._run("req", "-new", "-key", self.path(f"{name}.key.new"), "-subj", f"/CN={name}", "-out",
                  self.path(f"{name}.csr"))
        with open(self.path("extensions"), "w") as f:
            f.write(f"subjectAltName={alternative}\nextendedKeyUsage=serverAuth,clientAuth\n")
        self._run("x509", "-req", "-in", self.path(f"{name}.csr"), "-CA", self.path("ca.pem"), "-CAkey",
                  self.path("ca.key"), "-CAcreateserial", "-days", "30", "-extfile", self.path("extensions"), "-out",
                  self.path(f"{name}.pem.new"))
        for kind in ("key", "pem"):
            os.rename(self.path(f"{name}.{kind}.new"), self.path(f"{name}.{kind}"))

    def context(self):
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        context.load_cert_chain(self.path("client.pem"), self.path("client.key"))
        return context

    @property
    def options(self):
        return ("--ca", self.path("ca.pem"), "--cert", self.path("client.pem"), "--key", self.path("client.key"))


def text64(text):
    return base64.b64encode(text.encode()).decode()
