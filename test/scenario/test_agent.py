"""The agent process and etcd below it: what runs goes on without control, dies with the agent, and nothing that goes wrong
below the agent stops it.

agentctl (test/lib) stands in for supervisor and control; agent, etcd and their rights are real.
"""

import itertools
import json
import os
import pwd
import queue
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from holdfast import BINARY, PATIENCE, SANITIZED, TOOLS, until

SECRET = "42" * 32
numbers = itertools.count(1)
ROOT = os.geteuid() == 0


def user():
    """Whom the agent starts programs as."""
    for name in ("holdfast", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise AssertionError("neither a user holdfast nor nobody")


def give(path):
    """To that user, with all that is in it."""
    if not ROOT:
        return
    who = user()
    for at, _, files in os.walk(path):
        for name in [".", *files]:
            os.chown(os.path.join(at, name), who.pw_uid, who.pw_gid)


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def status(pid, field):
    with open(f"/proc/{pid}/status") as f:
        return next(line.split()[1] for line in f if line.startswith(field + ":"))


@pytest.fixture
def site(site):
    """With a directory that another user can reach: others' tests shut the usual one again."""
    site.top, site.members = tempfile.mkdtemp(prefix="holdfast-agent-", dir="/tmp"), []
    os.chmod(site.top, 0o755)
    yield site
    for m in site.members:
        m.driver.popen.kill()
        until(lambda m=m: not m.agent or not lives(m.agent), 10, "the agent to end")
    shutil.rmtree(site.top)


class Member:
    """One voter: a state directory, certificates, an agent in it, and perhaps etcd."""

    def __init__(self, site, name, number, secret=SECRET, inside=""):
        self.site, self.name, self.inside, self.agent = site, name, inside, 0
        self.ip = f"127.0.{next(numbers)}.{number}"     # that nobody of the test before may still have
        self.state = os.path.join(site.top, name)
        os.makedirs(self.state, exist_ok=True)
        site.members.append(self)
        self.tls = os.path.join(self.state, "etcd", "tls")
        self.certificates(secret)
        self.open()

    def certificates(self, secret=SECRET, use=0):
        subprocess.run([os.path.join(TOOLS, "certs"), self.tls, self.name, str(use), secret, self.ip], check=True)
        give(self.state)

    def open(self):
        command = [os.path.join(TOOLS, "agentctl"), BINARY, self.state]
        if self.inside:     # a file system of its own, in which some things are others
            # unshare's own way to keep mounts to itself needs "/" to be a mount, which it is not in a changed root
            private = ["unshare", *([] if ROOT else ["--user", "--map-root-user"]), "--mount", "--propagation", "unchanged"]
            alone = "mount --make-rprivate / 2>/dev/null || ! grep -q ' shared:' /proc/self/mountinfo"
            command = [*private, "sh", "-ec", f"{alone}\n{self.inside}\nexec \"$@\"", "sh", *command]
        self.log = open(self.site.path(f"{self.name}.log"), "ab")
        self.driver = self.site.process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.events, self.states = queue.Queue(), []
        threading.Thread(target=self._read, args=(self.driver.popen.stdout, self.events), daemon=True).start()
        self.agent = self.await_("agent")["pid"]

    @staticmethod
    def _read(lines, events):
        for line in lines:
            events.put(json.loads(line))

    def say(self, line):
        self.driver.popen.stdin.write(line + "\n")
        self.driver.popen.stdin.flush()

    def told(self):
        """Until all that was said to the driver has been done by it."""
        self.say("beats")
        self.await_("beats")

    def await_(self, kind, seconds=20, **fields):
        """The next event of that kind; of these fields, where others may come before."""
        while True:
            try:
                event = self.events.get(timeout=seconds * PATIENCE)
            except queue.Empty:
                raise AssertionError(f"{self.name}: no {kind} {fields}; log: {self.text()[-2000:]}") from None
            if event["event"] == "state":
                self.states.append(event)
            if event["event"] == kind and all(event[k] == v for k, v in fields.items()):
                return event

    def text(self):
        with open(self.site.path(f"{self.name}.log")) as f:
            return f.read()

    @property
    def peer(self):
        return f"{self.ip}:7402"

    def start(self, members=None, how="new"):
        members = members or [self]
        listed = ",".join(f"{m.name}={m.peer}" for m in members)
        self.say(f"start {self.name} token {self.ip}:7401 {self.peer} {how} {listed}")
        return self

    def running(self):
        state = self.await_("state", life="running")
        assert self.await_("answer")["code"] == "ok"
        self.etcd = state["pid"]
        return state

    def curl(self, path, body, member=None):
        member = member or self
        return subprocess.run(
            ["curl", "-sS", "-m", "5", "--cacert", f"{member.tls}/ca.pem", "--cert", f"{member.tls}/node.pem", "--key",
             f"{member.tls}/node.key", f"https://{self.ip}:7401/v3/{path}", "-d", json.dumps(body)], capture_output=True, text=True)

    def put(self, value):
        return "revision" in self.curl("kv/put", {"key": "Zm9v", "value": value}).stdout

    def get(self):
        kvs = json.loads(self.curl("kv/range", {"key": "Zm9v"}).stdout or "{}").get("kvs", [{}])
        return kvs[0].get("value")

    def serves(self):
        try:
            until(lambda: self.put("YmFy"), 20, f"etcd on {self.name} to take a write")
        except AssertionError as e:
            raise AssertionError(f"{e}; it says: {self.curl('kv/put', {})}; log: {self.text()[-3000:]}") from None


@pytest.fixture
def member(site):
    m = Member(site, "a", 11)
    assert m.await_("state")["life"] == "never"
    return m


@pytest.fixture
def serving(member):
    member.start().running()
    member.serves()
    return member


def test_three_members_with_certificates_of_one_secret(site):
    """Founded by TLS on both ports with certificates required, written through the JSON gateway (which is a client with the
    server's certificate), read on another; without a certificate, or with one of another secret, nobody is heard."""
    members = [Member(site, name, n) for name, n in (("a", 11), ("b", 12), ("c", 13))]
    for m in members:
        m.start(members)
    for m in members:
        m.running()
    for m in members:
        m.serves()
    assert members[0].put("MQ==") and members[1].get() == members[2].get() == "MQ=="
    bare = subprocess.run(["curl", "-sS", "-m", "5", "--cacert", f"{members[0].tls}/ca.pem", f"https://{members[0].ip}:7401/health"],
                          capture_output=True, text=True)
    assert bare.returncode and not bare.stdout
    stranger = Member.__new__(Member)
    stranger.site, stranger.name, stranger.ip, stranger.state = site, "x", "127.0.0.14", os.path.join(site.top, "x")
    os.makedirs(stranger.state)
    stranger.tls = os.path.join(stranger.state, "tls")
    stranger.certificates("43" * 32)
    shutil.copy(f"{members[0].tls}/ca.pem", stranger.tls)
    refused = members[0].curl("kv/range", {"key": "Zm9v"}, stranger)
    assert refused.returncode and not refused.stdout
    # The secret is replaced as a running cluster does it: both are accepted, then the new one is used.
    both = "44" * 32 + "," + SECRET
    for use in (1, 0):
        for m in members:
            m.certificates(both, use)
            if use == 1:    # new authorities are read at the start
                m.say("stop 10000")
                m.await_("answer")
                m.start(members, "existing").running()
            m.serves()
    assert members[0].put("Mg==") and members[2].get() == "Mg=="


def test_what_etcd_is_given(serving):
    pid = serving.etcd
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    with open(f"/proc/{pid}/environ") as f:
        assert not {"PATH", "HOME", "HOLDFAST"} & {e.partition("=")[0] for e in f.read().split("\0")}
    assert status(pid, "NoNewPrivs") == "1" and int(status(pid, "CapEff"), 16) == int(status(pid, "CapPrm"), 16) == 0
    with open(f"/proc/{pid}/limits") as f:
        limits = f.read()
    assert [line.split()[4] for line in limits.splitlines() if line.startswith("Max core")] == ["0"]
    if ROOT:
        assert int(status(pid, "Uid")) == user().pw_uid
        assert int(status(serving.agent, "CapPrm"), 16) == int(status(serving.agent, "CapBnd"), 16) == 0x8000e0
    if not SANITIZED:
        assert status(pid, "Seccomp") == status(serving.agent, "Seccomp") == "2"
    assert os.getsid(pid) == pid
    # Of its words the agent keeps the last; at debug they are in its log.
    assert "holdfast[agent] debug: etcd: {" in serving.text()
    serving.say("line")
    lines = serving.await_("state")["lines"]
    assert 0 < len(lines) <= 20 and all(0 < len(line) < 240 for line in lines)


def test_etcd_is_killed_and_told_at_once(serving):
    os.kill(serving.etcd, signal.SIGKILL)
    state = serving.await_("state")
    assert (state["life"], state["status"], state["wanted"], state["has_data"]) == ("ended", 9, False, True)
    serving.start().running()
    assert serving.states[-1]["starts"] == 2
    serving.serves()


def test_a_hung_etcd_is_stopped(serving):
    """It hears SIGTERM as soon as it is woken for that, and is killed when it does not end."""
    os.kill(serving.etcd, signal.SIGSTOP)
    serving.say("stop 20000")
    state = serving.await_("state", life="ended")
    assert state["wanted"] and serving.await_("answer")["code"] == "ok" and not lives(serving.etcd)


def test_control_is_killed_and_etcd_does_not_notice(serving):
    assert serving.get() == "YmFy"
    serving.say("drop")
    assert serving.put("MQ==") and lives(serving.etcd)
    serving.say("line")
    state = serving.await_("state")
    assert (state["life"], state["pid"], state["starts"], state["name"], state["members"]) == ("running", serving.etcd, 1, "a", 1)
    assert serving.get() == "MQ=="
    # A control that says nonsense changes nothing.
    serving.say("junk")
    assert serving.await_("answer")["code"] == "protocol"
    serving.start()
    answer = serving.await_("answer")
    assert answer["code"] == "busy" and str(serving.etcd) in answer["sentence"] and lives(serving.etcd)


@pytest.mark.parametrize("who", ["agent", "supervisor"])
def test_etcd_does_not_outlive_the_agent(serving, who):
    os.kill(serving.agent if who == "agent" else serving.driver.pid, signal.SIGKILL)
    until(lambda: not lives(serving.etcd) and not lives(serving.agent), 10, "etcd and the agent to end")
    serving.driver.wait()
    serving.open()      # as its supervisor starts it again: it knows of nothing that runs
    state = serving.await_("state")
    assert state["life"] == "never" and state["has_data"]
    serving.start().running()
    serving.serves()


def test_the_end_in_order_and_at_once(serving):
    serving.say("end 1")
    assert serving.await_("ended")["status"] == 0 and not lives(serving.etcd)
    assert '"msg":"closed etcd server"' in serving.text()       # it was asked, not killed
    serving.driver.wait()
    serving.open()
    serving.start().running()
    serving.say("end 0")
    assert serving.await_("ended")["status"] == 0 and not lives(serving.etcd)


def test_data_is_put_aside_and_removed(serving):
    etcd = os.path.join(serving.state, "etcd")
    for task in ("aside", "remove"):
        serving.say(f"task {task}")
        answer = serving.await_("answer")
        assert answer["code"] == "busy" and "etcd runs" in answer["sentence"]
    for n in (1, 2, 3, 4):
        serving.say("stop 10000")
        serving.await_("answer")
        serving.say("task aside")
        assert not serving.await_("state", has_data=False)["pid"]
        assert serving.await_("answer")["code"] == "ok"
        kept = sorted(d for d in os.listdir(etcd) if d.startswith("aside-"))
        assert kept == [f"aside-{i}" for i in range(max(1, n - 1), n + 1)] and "data" not in os.listdir(etcd)
        serving.start().running()
        serving.serves()
    serving.say("stop 0")
    serving.await_("answer")
    victim = os.path.join(serving.site.top, "victim")
    os.makedirs(victim)
    open(os.path.join(victim, "file"), "w").close()
    give(victim)
    os.symlink(victim, os.path.join(etcd, "data", "link"))
    serving.say("task remove")
    assert serving.await_("answer")["code"] == "ok"
    assert "data" not in os.listdir(etcd) and os.listdir(victim) == ["file"]


def test_the_disk_is_measured(member):
    member.say("task disk")
    answer = member.await_("answer")
    assert answer["code"] == "ok" and answer["writes"] >= 1
    assert 0 < answer["median"] <= answer["p99"] <= answer["worst"] < 10e9
    assert sorted(os.listdir(member.state)) == ["etcd"]
    member.site.report(f"fsync: median {answer['median'] / 1e6:.2f} ms, p99 {answer['p99'] / 1e6:.2f} ms")


def pretend(site, script):
    """A mount that puts a script in the place of etcd."""
    path = os.path.join(site.top, "pretended")
    with open(path, "w") as f:
        f.write(script)
    os.chmod(path, 0o755)
    return f"mount --bind {path} /usr/bin/etcd"


def test_a_flood_of_words(site):
    """Neither the agent's memory nor its beat suffers, and what is too much is counted."""
    m = Member(site, "a", 11, inside=pretend(site, "#!/bin/sh\ntrap 'exit 3' TERM\nyes 'flood flood flood' & wait\n"))
    assert m.await_("state")["life"] == "never"
    m.start().running()

    def beats():
        m.say("beats")
        return m.await_("beats")["beats"]

    def lost():
        m.say("line")
        state = m.await_("state")
        return state["life"] == "running" and state["lost"] > 1000000 and state

    state = until(lost, 30, "a million lines to be lost")
    assert state["lines"] == ["flood flood flood"] * 20
    before = beats()
    until(lambda: beats() > before + 4, 10, "the agent to beat on")
    assert int(status(m.agent, "VmRSS")) < (400 if SANITIZED else 40) * 1024
    assert m.text().count("flood") < 100 * 60 * PATIENCE
    m.say("stop 5000")
    state = m.await_("state", life="ended")
    assert state["status"] == 3 << 8 and m.await_("answer")["code"] == "ok"


def test_one_that_does_not_listen_is_killed_with_its_children(site):
    m = Member(site, "a", 11, inside=pretend(site, "#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho child $!\nwait; wait\n"))
    m.await_("state")
    m.start().running()

    def child():
        m.say("line")
        lines = m.await_("state")["lines"]
        return int(lines[0].split()[1]) if lines else 0

    pid = until(child, 10, "its words")
    assert lives(pid)
    m.say("stop 200")
    assert m.await_("state", life="ended")["status"] == signal.SIGKILL
    until(lambda: not lives(pid), 10, "its child to be killed")


def test_etcd_is_not_installed(site):
    m = Member(site, "a", 11, inside="mount -t tmpfs none /usr/bin/../local/bin; mount --bind /dev/null /usr/bin/etcd")
    m.await_("state")
    m.start()
    answer = m.await_("answer")
    assert answer["code"] in ("absent", "denied") and "etcd" in answer["sentence"]


def test_the_disk_is_full(site):
    """etcd says why it ends, and the agent goes on: control decides what becomes of it."""
    state = os.path.join(site.top, "a")
    os.makedirs(os.path.join(state, "etcd", "data"))
    m = Member(site, "a", 11, inside=f"mount -t tmpfs -o size=8m,mode=0700,uid={user().pw_uid} none {state}/etcd/data")
    m.await_("state")
    m.start().running()
    ended = m.await_("state", life="ended", seconds=30)
    assert not ended["wanted"] and ended["status"] and any("no space left" in line for line in ended["lines"]), ended["lines"]
    m.say("task disk")
    assert m.await_("answer")["code"] == "ok" and lives(m.agent)
