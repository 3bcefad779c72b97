"""Real redis-servers below real agents: promoted, followed, fenced, demoted, killed, stopped, with a full disk, with control
dead.

agentctl (test/lib) stands in for supervisor and control, so that a test decides what is ordered and for how long the lease
is held; agents, Redis and their rights are real.
"""
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from holdfast import PATIENCE, until
from test_agent import Member, give, lives, status, user
from test_agent import site     # noqa: F401 (a fixture)

ADMIN = ("holdfast", "00112233445566778899aabbccddeeff")
GATE = ("default", "ffeeddccbbaa99887766554433221100")
D = 100     # ms
HANG = 400  # ms
numbers = itertools.count(1)


class Redis:
    """A connection to one, as the gate or as an agent has it."""

    def __init__(self, ip, who=GATE, seconds=5):
        self.socket = socket.create_connection((ip, 6379), timeout=seconds * PATIENCE)
        self.file = self.socket.makefile("rb")
        assert self("AUTH", *who) == "OK"

    def send(self, *words):
        words = [str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))

    def read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"$":
            return None if rest == "-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest if kind == b"+" else Exception(rest)

    def __call__(self, *words):
        self.send(*words)
        return self.read()

    def info(self, section="replication"):
        return dict(line.split(":", 1) for line in self("INFO", section).splitlines() if ":" in line)


class Node(Member):
    """A node of the service cache."""

    def __init__(self, site, net, place, inside="", hang=HANG):     # noqa: F811
        self.site, self.name, self.inside, self.agent = site, "abc"[place], inside, 0
        self.place, self.ip, self.net = place, f"127.0.{net}.{place + 1}", net
        self.state = os.path.join(site.top, self.name)
        os.makedirs(self.state, exist_ok=True)
        give(self.state)
        site.members.append(self)
        self.open()
        self.await_("state")
        self.answers, self.last = [], None
        self.has(hang)

    def has(self, hang=HANG):
        places = ",".join(f"{n}=127.0.{self.net}.{i + 1}:6379" for i, n in enumerate("abc"))
        self.say(f"instance cache redis {self.place} {D} {hang} {places}")

    def report(self, what="a report", seconds=15, **fields):
        """The next one of these fields."""
        try:
            self.last = self.await_("report", seconds, **fields)
        except AssertionError as e:
            raise AssertionError(f"{what}: {e}") from None
        return self.last

    def order(self, what, epoch, place="", code="ok"):
        self.say(f"role cache {what} {epoch} {place}")
        answer = self.await_("answer")
        assert answer["code"] == code, answer
        return answer

    def lease(self, epoch, ms=60000):
        self.say(f"lease {epoch} {ms}")

    def promote(self, epoch, ms=60000):
        self.lease(epoch, ms)
        return self.order("promote", epoch)

    def redis(self, who=GATE):
        return Redis(self.ip, who)

    def follows(self, epoch, node):
        self.order("follow", epoch, node.place)
        return self.report(f"{self.name} joins {node.name}", joined=True, history=epoch)


def nodes(site, n, **more):     # noqa: F811
    net = 200 + next(numbers)
    all_ = [Node(site, net, i, **more) for i in range(n)]
    for node in all_:
        node.report("it starts", state="replica", well=True)
    return all_


@pytest.fixture
def one(site):      # noqa: F811
    return nodes(site, 1)[0]


@pytest.fixture
def three(site):        # noqa: F811
    a, b, c = nodes(site, 3)
    a.promote(1)
    b.follows(1, a)
    c.follows(1, a)
    return a, b, c


def is_refused(answer, word):
    assert isinstance(answer, Exception) and word in str(answer), answer


def test_it_starts_refusing_writes_and_takes_them_when_it_is_promoted(one):
    r = one.redis()
    is_refused(r("SET", "x", 1), "READONLY")
    one.order("promote", 1, code="denied")      # no lease
    is_refused(r("SET", "x", 1), "READONLY")
    one.lease(2)
    one.order("promote", 1, code="denied")      # of another epoch
    one.promote(2)
    assert one.report(state="primary")["history"] == 2
    assert r("SET", "x", 1) == "OK" and r("DBSIZE") == 1
    one.order("follow", 1, 1, code="denied")        # an old epoch
    assert r("SET", "x", 2) == "OK"
    until(lambda: "db16" in one.redis(ADMIN).info("keyspace"), 5, "the probe's own key")
    assert r("DBSIZE") == 1 and r("KEYS", "*") == ["x"]


def test_what_runs_is_the_users_and_its_secrets_are_nowhere(one):
    one.promote(1)
    pid = one.report(state="primary")["pid"]
    if os.geteuid() == 0:
        assert int(status(pid, "Uid")) == user().pw_uid and int(status(pid, "CapPrm"), 16) == 0
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        assert ADMIN[1].encode() not in f.read()
    assert ADMIN[1] not in one.text() and GATE[1] not in one.text()
    found = subprocess.run(["grep", "-rl", "-e", ADMIN[1], "-e", GATE[1], one.state], capture_output=True, text=True)
    assert found.stdout == ""
    r = one.redis()
    for words in (("REPLICAOF", "NO", "ONE"), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("SHUTDOWN",), ("PSYNC", "?", "-1"),
                  ("SYNC",), ("REPLCONF", "ack", 1), ("DEBUG", "SLEEP", 0), ("MODULE", "LIST"), ("FAILOVER",), ("SAVE",)):
        assert isinstance(r(*words), Exception), words
    assert isinstance(r("INFO"), str) and r("WAIT", 0, 1) == 0
    with pytest.raises(AssertionError):
        Redis(one.ip, ("default", "0" * 32))


def test_the_agent_comes_to_its_turn_before_others_and_its_redis_does_not(one):
    def nice(pid):
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rsplit(")", 1)[1].split()[16])
    assert nice(one.last["pid"]) == nice(os.getpid())
    if status(one.agent, "CapEff") and int(status(one.agent, "CapEff"), 16) >> 23 & 1:      # CAP_SYS_NICE
        assert nice(one.agent) == -11


def test_a_fence_takes_nothing_more_and_tells_the_exact_position(three):
    a, b, c = three
    r = a.redis()
    for i in range(100):
        assert r("SET", f"k{i}", i) == "OK"
    assert r("WAIT", 2, 5000) == 2
    fence = b.order("fence", 2)
    assert fence["history"] == 1
    for i in range(100):
        r("SET", f"late{i}", i)
    assert r("WAIT", 1, 5000) == 1
    assert b.redis().info()["slave_repl_offset"] == str(fence["position"])
    assert b.redis()("GET", "late0") is None and b.redis()("GET", "k99") == "99"
    again = b.order("fence", 2)
    assert again["position"] == fence["position"] and again["history"] == 1
    further = c.order("fence", 2)
    assert further["position"] > fence["position"] and further["history"] == 1
    # Who lacks something fetches it from a fenced one, without a full resynchronisation.
    b.follows(2, c)
    assert b.order("fence", 2)["position"] == further["position"]
    assert b.redis()("GET", "late99") == "99"


def test_a_switch_needs_no_full_resynchronisation(three):
    a, b, c = three
    r = a.redis()
    assert r("SET", "x", 1) == "OK" and r("WAIT", 2, 5000) == 2
    before = sum(n.text().count("Full resync from master") for n in three)
    end = a.order("demote", 1)
    assert end["history"] == 1
    with pytest.raises((ConnectionError, AssertionError)):      # its clients are cut
        r("SET", "x", 2)
    is_refused(a.redis()("SET", "x", 2), "READONLY")
    until(lambda: b.order("fence", 2)["position"] == end["position"], 5, "b to have everything")
    b.promote(2)
    assert b.redis()("SET", "x", 3) == "OK"
    a.follows(2, b)
    c.follows(2, b)
    for n in (a, c):
        until(lambda n=n: n.redis()("GET", "x") == "3", 5, f"{n.name} to follow")
    assert sum(n.text().count("Full resync from master") for n in three) == before
    until(lambda: sum(f["connected"] for f in b.report()["followers"]) == 2, 5, "both to be reported")


def test_a_write_that_nobody_else_has_is_dropped_by_who_rejoins(three):
    a, b, c = three
    assert a.redis()("SET", "x", 1) == "OK" and a.redis()("WAIT", 2, 5000) == 2
    b.order("fence", 2)
    c.order("fence", 2)
    assert a.redis()("SET", "lost", 1) == "OK"
    b.promote(2)
    c.follows(2, b)
    a.order("demote", 1)
    a.follows(2, b)
    assert a.redis()("GET", "lost") is None and a.redis()("GET", "x") == "1"


@pytest.mark.quiet
def test_a_killed_primary_is_known_at_once_and_comes_back_refusing_writes(three):
    a, b, _ = three
    assert a.redis()("SET", "x", 1) == "OK"
    time.sleep(1.2 * PATIENCE)      # appendfsync everysec
    pid = a.report(state="primary")["pid"]
    while not a.events.empty():
        a.events.get()
    killed = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    os.kill(pid, signal.SIGKILL)
    down = a.report("it is known", state="down")
    assert "killed by signal 9" in down["sentence"] and down["history"] == 0 and not down["well"]
    assert down["at"] - killed < 50e6 * PATIENCE
    back = a.report("it is back", state="replica", well=True)
    assert back["pid"] != pid and back["starts"] == 2 and back["history"] == 0
    is_refused(a.redis()("SET", "x", 2), "READONLY")
    b.order("fence", 2)
    b.promote(2)
    a.follows(2, b)
    assert a.redis()("GET", "x") == "1"


def damage(node):
    """Zeros in the middle of the file that it reads at its start, as a full disk may leave them; and it is killed."""
    folder = os.path.join(node.state, "redis-cache", "appendonlydir")
    time.sleep(1.2 * PATIENCE)      # appendfsync everysec
    path = next(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".incr.aof"))
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        f.write(bytes(64))
    os.kill(node.last["pid"], signal.SIGKILL)
    node.report("it is killed", state="down")


def test_one_that_cannot_read_its_data_gets_all_of_it_from_the_primary(three):
    a, b, _ = three
    for i in range(200):
        assert a.redis()("SET", f"key{i}", i) == "OK"
    assert a.redis()("WAIT", 2, 5000) == 2
    for _ in range(2):      # what was set aside before makes room
        damage(b)
        b.report("it cannot read its data", state="down", sentence="redis-server ended with status 1: it cannot read its data")
        b.report("it joins again", joined=True, history=1)
        assert b.redis()("GET", "key199") == "199"
        assert os.path.isdir(os.path.join(b.state, "redis-cache.unreadable", "appendonlydir"))
    assert "redis-cache.unreadable" in b.text()


def test_one_that_follows_nobody_keeps_what_it_cannot_read(one):
    one.promote(1)
    for i in range(200):
        assert one.redis()("SET", f"key{i}", i) == "OK"
    damage(one)
    for _ in range(3):
        one.report("it cannot read its data", state="down", sentence="redis-server ended with status 1: it cannot read its data")
    assert not os.path.exists(os.path.join(one.state, "redis-cache.unreadable"))
    assert os.listdir(os.path.join(one.state, "redis-cache", "appendonlydir"))


def test_it_may_be_promoted_again_with_what_lies_on_its_disk(one):
    one.promote(1)
    assert one.redis()("SET", "x", 1) == "OK"
    time.sleep(1.2 * PATIENCE)
    os.kill(one.report(state="primary")["pid"], signal.SIGKILL)
    one.report(state="replica", well=True)
    one.promote(2)
    r = one.redis()
    assert r("GET", "x") == "1" and r("SET", "x", 2) == "OK"


def test_one_that_dies_again_and_again_is_started_ever_more_slowly(one):
    gaps = []
    for _ in range(4):
        began = time.monotonic()
        os.kill(one.last["pid"], signal.SIGKILL)
        one.report(state="down", pid=0)
        one.report("it is started again", state="down", well=False, starts=len(gaps) + 2)
        gaps.append(time.monotonic() - began)
        one.report(state="replica", well=True)
    assert gaps[-1] > gaps[0] + 0.1, gaps


class Writer(threading.Thread):
    """Writes as fast as it can, over connections of its own, and remembers when it sent the last one that was answered OK: when it
    reads the answer is its own affair."""

    def __init__(self, ip):
        super().__init__(daemon=True)
        self.ip, self.last, self.count, self.over = ip, 0, 0, False
        self.start()

    def run(self):
        r = None
        while not self.over:
            try:
                r = r or Redis(self.ip, seconds=0.5)
                sent = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                if r("SET", "w", self.count) == "OK":
                    self.last = sent
                    self.count += 1
            except (OSError, AssertionError, ConnectionError):
                r = None

    def end(self):
        self.over = True
        self.join(5)


@pytest.mark.quiet
@pytest.mark.parametrize("how", ["the line is gone", "control hangs"])
def test_past_the_lease_it_takes_no_write_whoever_is_dead(one, how):
    one.promote(1, 60000)
    writer = Writer(one.ip)
    until(lambda: writer.count > 100, 10, "writes")
    one.lease(1, 300)
    one.told()
    until_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 300_000_000
    if how == "the line is gone":
        one.say("drop")
    else:
        os.kill(one.driver.popen.pid, signal.SIGSTOP)
    until(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) > until_ns + 1_000_000_000, 5, "a second more")
    writer.end()
    if how != "the line is gone":
        os.kill(one.driver.popen.pid, signal.SIGCONT)
    assert writer.count > 100 and writer.last < until_ns + D * 1_000_000 * PATIENCE, (writer.last - until_ns) / 1e6
    is_refused(one.redis()("SET", "x", 1), "READONLY")
    if how == "the line is gone":
        one.say("line")
    assert one.report("it says so", state="replica")["epoch"] == 1


def test_a_lease_that_is_renewed_goes_on(one):
    one.promote(1, 300)
    for _ in range(10):
        one.lease(1, 300)
        time.sleep(0.1)
    assert one.redis()("SET", "x", 1) == "OK"


def test_a_stopped_primary_is_not_well_and_is_killed_at_its_deadline(one):
    one.promote(1)
    pid = one.report(state="primary")["pid"]
    os.kill(pid, signal.SIGSTOP)
    stopped = time.monotonic()
    hung = one.report("it hangs", state="primary", well=False)
    assert HANG / 1000 * 0.5 < time.monotonic() - stopped < 2 * PATIENCE
    for part in ("not answered well for", "waited for: ", "it is stopped"):
        assert part in hung["sentence"], hung
    one.lease(1, 100)
    one.report("it is killed", state="down")
    assert not lives(pid)
    one.report("and is back", state="replica", well=True)
    is_refused(one.redis()("SET", "x", 1), "READONLY")


HOG = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end: pass
"""


def waited(pid):
    """s that it was ready to run and did not."""
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[1]) / 1e9


def test_a_redis_that_gets_no_processor_is_not_blamed(one):
    one.promote(1)
    pid = one.report(state="primary", well=True)["pid"]
    while not one.events.empty():
        one.events.get()
    cpu, before = max(os.sched_getaffinity(0)), waited(pid)
    os.sched_setaffinity(pid, {cpu})
    subprocess.run([sys.executable, "-c", HOG, str(cpu), str(1.8 * HANG / 1000)], check=True)
    assert one.redis()("SET", "x", 1) == "OK"
    assert waited(pid) - before > 1.3 * HANG / 1000
    ill = [e for e in list(one.events.queue) if e["event"] == "report" and not e["well"]]
    assert not ill, ill


def test_an_agent_that_was_stopped_does_not_blame_its_redis(one):
    """Stopped for 3 s, and again as soon as it has asked anew, while Redis is slow to answer: what counts is the time in which it ran."""
    one.promote(1)
    pid = one.report(state="primary", well=True)["pid"]
    writer = Writer(one.ip)
    until(lambda: writer.count > 20, 10, "writes")
    while not one.events.empty():
        one.events.get()
    for stopped in (3, 0.5, 0.5, 0.5, 0.5):
        os.kill(one.agent, signal.SIGSTOP)
        time.sleep(stopped)
        os.kill(pid, signal.SIGSTOP)        # what the agent finds when it goes on is a question without an answer
        os.kill(one.agent, signal.SIGCONT)
        time.sleep(HANG / 1000 / 4)
        os.kill(pid, signal.SIGCONT)
        time.sleep(HANG / 1000 / 4)
    writer.end()
    ill = [e for e in list(one.events.queue) if e["event"] == "report" and not e["well"]]
    assert not ill, ill
    one.order("fence", 1)       # it runs and looks; under its own epoch this only asks
    assert one.redis()("SET", "x", 1) == "OK" and lives(pid)


def test_a_stopped_primary_that_is_demoted_is_killed(one):
    one.promote(1)
    pid = one.report(state="primary")["pid"]
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert one.order("demote", 1)["history"] == 0
    assert time.monotonic() - began < (D / 1000 + 0.3) * PATIENCE and not lives(pid)


def test_a_full_disk_makes_it_not_well_and_room_makes_it_well(site):        # noqa: F811
    inside_user = "0" if os.geteuid() else str(user().pw_uid)
    net, state = 200 + next(numbers), os.path.join(site.top, "a")
    os.makedirs(state)
    inside = f"mount -t tmpfs -o size=24m,mode=755,uid={inside_user} tmpfs {state}"
    node = Node(site, net, 0, inside=inside)
    node.report(state="replica", well=True)
    node.promote(1)
    r = node.redis()
    assert r("SET", "x", "y" * 1000) == "OK"
    ns = f"/proc/{node.agent}/root{state}"
    blob = os.path.join(ns, "full")
    try:
        with open(blob, "wb") as f:
            while True:
                f.write(b"x" * 65536)
                f.flush()
    except OSError:
        pass
    r("SET", "big", "z" * 10000)      # in memory; the file does not take it
    sick = node.report("the disk is full", state="primary", well=False, seconds=20)
    assert "disk" in sick["sentence"] or "MISCONF" in sick["sentence"], sick
    os.unlink(blob)
    node.report("there is room", state="primary", well=True)
    until(lambda: r("SET", "x", 1) == "OK", 5, "a write")


def test_it_goes_on_without_control_and_a_new_one_is_told(one):
    one.promote(1)
    one.say("drop")
    assert one.redis()("SET", "x", 1) == "OK"
    one.say("line")
    assert one.report("the first message", state="primary")["history"] == 1


def test_stop_ends_it_for_good_and_it_may_be_named_again(one):
    one.promote(1)
    pid = one.report(state="primary")["pid"]
    one.order("stop", 1)
    assert not lives(pid)
    one.order("fence", 1, code="absent")
    one.has()
    one.report("it is there again", state="replica", well=True)


def test_the_agent_takes_it_along_in_order(one):
    one.promote(1)
    assert one.redis()("SET", "x", 1) == "OK"
    pid = one.report(state="primary")["pid"]
    one.say("end 1")
    assert one.await_("ended")["status"] == 0 and not lives(pid)
