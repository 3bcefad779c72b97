"""One proxy takes over from another, and one version of the program from another, under load: nothing is refused, nothing
fails, and no connection is cut before its time to drain is over.

HOLDFAST_ROUNDS (2 if not set) says how often; HOLDFAST_TUNNELS (40) how many tunnels stay open all the while.
"""
import json
import os
import re
import shutil
import socket
import time
import urllib.request

import pytest

from holdfast import BINARY, TOOLS, Load, sample, until

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "2"))
TUNNELS = int(os.environ.get("HOLDFAST_TUNNELS", "40"))
LONG = "timeout { connect = 500ms  first-byte = 2s  drain = 10m }"


def config(port, backends, timeouts=LONG, more=""):
    return re.sub(r"timeout \{[^}]*\}", timeouts, sample(port, backends, more=more))


def proxies(node, role):
    return [p for p in node.status()["proxies"] if p["role"] == role]


def metrics(node):
    """Name with labels -> value, of what must never fall."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(node.state, "admin.sock"))
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = b""
        while piece := s.recv(65536):
            text += piece
    found = {}
    for line in text.decode().split("\r\n\r\n", 1)[1].splitlines():
        name, _, value = line.rpartition(" ")
        if not line.startswith("#") and re.match(r"holdfast_(worker|service|instance)_\w*(_total|_count|_bucket|_sum)\b", name):
            found[name] = float(value)
    return found


class Watch:
    """Counters that must not fall, whatever happens to those who count."""

    def __init__(self, node):
        self.node, self.seen = node, metrics(node)
        assert self.seen

    def look(self):
        now = metrics(self.node)
        fallen = {name: (value, now.get(name)) for name, value in self.seen.items() if now.get(name, -1) < value}
        assert not fallen, fallen
        self.seen = now


def assert_untouched(load, tunnels, count):
    total, open_ = load.stop(), tunnels.stop()
    assert Load.failed(total) == 0, total["failures"][:5]
    assert total["requests"] > 0
    assert open_["opened"] == count and open_["cut"] == open_["refused"] == open_["garbled"] == open_["stalled"] == 0, open_
    return total


@pytest.fixture
def busy(site):
    """A node before three backends with a load of 32 connections and many tunnels."""
    backends = [site.backend(service_us=1000) for _ in range(3)]
    port = site.port()
    node = site.node(config(port, backends), port)
    node.await_all_healthy()
    node.backends = backends
    node.load = site.load(port, connections=32, think_us=5000)
    node.tunnels = site.tunnels(port, TUNNELS)
    return node


def test_a_new_proxy_takes_over_without_a_trace(site, busy):
    node, watch = busy, Watch(busy)
    first = node.pid("proxy")
    for i in range(5 * ROUNDS):
        before = node.pid("proxy")
        said = node.command("restart", "proxy").stdout
        assert "accepts" in said, said
        assert node.pid("proxy") != before
        node.load.carry(200)
        node.reload(config(node.port, node.backends, more=f"# {i}\n" * i))
        watch.look()
        # All but the first, which has the tunnels, end as soon as their clients have asked once more.
        until(lambda: [p["pid"] for p in proxies(node, "draining")] == [first], what="the ones between to end")
    assert proxies(node, "draining")[0]["connections"] == TUNNELS
    assert f"an old proxy (pid {first}) drains: {TUNNELS} connections" in node.command("status").stdout
    assert_untouched(node.load, node.tunnels, TUNNELS)
    until(lambda: not proxies(node, "draining"), what="the first to end with its last tunnel")
    watch.look()


ASK = b"GET /x HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\n\r\n"


def ask(s, number):
    s.sendall(ASK % number)
    answer = s.recv(65536)
    assert b" 200 " in answer, answer
    return answer


def test_an_old_proxy_still_learns_which_backends_died(site):
    """Its idle clients ask once more, long after the backend has died; and it takes views until its end."""
    backends = [site.backend() for _ in range(3)]
    port, dead, log = site.port(), backends[0], site.path("access")
    node = site.node(config(port, backends, more=f"access-log = {log}"), port)
    node.await_all_healthy()
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
    for i, s in enumerate(idle):
        ask(s, i)
    old = node.pid("proxy")
    node.command("restart", "proxy")
    assert [p["pid"] for p in proxies(node, "draining")] == [old]
    dead.kill()
    node.await_verdict(dead, "failed")
    # Longer than an idle client has when the node itself stops.
    until(lambda: proxies(node, "draining")[0]["drain_seconds_left"] < 598.5, what="time to pass in the old proxy")
    for i, s in enumerate(idle[:6]):
        assert b"onnection: close" in ask(s, 100 + i)
    lines = until(lambda: (lines := open(log).read().splitlines())[17:] and lines, what="the access log")
    assert len(lines) == 18
    for line in lines[12:]:
        instance, attempts = line.split()[-2:]
        assert instance != dead.address and attempts == "1", line
    # A reload reaches it too: what the file does not name any more gets nothing.
    node.reload(config(port, backends[2:], more=f"access-log = {log}"))
    epoch = node.status()["epoch"]
    until(lambda: [p["epoch"] for p in proxies(node, "draining")] == [epoch], what="the old proxy's epoch")
    for i, s in enumerate(idle[6:]):
        ask(s, 200 + i)
    lines = until(lambda: (lines := open(log).read().splitlines())[23:] and lines, what="the access log")
    assert {line.split()[-2] for line in lines[18:]} == {backends[2].address}
    until(lambda: not proxies(node, "draining"), what="the old proxy to end")


def test_what_an_old_proxy_sees_counts(site):
    """Nobody checks, and the new proxy has no clients: only the old one can tell that a backend died."""
    backends = [site.backend() for _ in range(2)]
    port, dead = site.port(), backends[0]
    node = site.node(config(port, backends).replace("check   {", "check = none #"), port)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for i, s in enumerate(idle):
        ask(s, i)
    old = node.pid("proxy")
    node.command("restart", "proxy")
    dead.kill()
    for i, s in enumerate(idle):
        ask(s, 100 + i)
    node.await_verdict(dead, "failed")
    assert node.pid("proxy") != old
    events = [json.loads(line) for line in node.command("events", "--json").stdout.splitlines()]
    verdicts = [e for e in events if e["code"] == "instance-verdict" and e["to"] == "failed"]
    assert verdicts and verdicts[-1]["evidence"][-1]["observer"].startswith("worker-"), verdicts


def test_what_is_left_at_the_end_of_a_drain_is_cut_and_said(site):
    backend = site.backend()
    port = site.port()
    node = site.node(config(port, [backend], "timeout { drain = 2s }"), port)
    node.await_all_healthy()
    tunnels = site.tunnels(port, 5)
    began = time.monotonic()
    node.command("restart", "proxy")
    assert tunnels.snapshot()["cut"] == 0
    left = proxies(node, "draining")[0]["drain_seconds_left"]
    assert 0 < left <= 2
    until(lambda: tunnels.snapshot()["cut"] == 5, 20, "the tunnels to be cut")
    assert time.monotonic() - began > 1.9
    until(lambda: not proxies(node, "draining"), what="the old proxy to end")
    assert sum(int(n) for n in re.findall(r"worker \d+: (\d+) connections? w\w+ cut: the time to drain is over", node.said())) == 5
    assert sum(v for k, v in metrics(node).items() if "drain_cut" in k) == 5


# --- another program in the same process ---

def program(site, name, fault=None):
    """A program to upgrade to: the real one, or one with a fault."""
    directory = site.path(name)
    os.mkdir(directory)
    shutil.copy(BINARY if fault is None else os.path.join(TOOLS, "faulty"), os.path.join(directory, "holdfast"))
    os.chmod(directory, 0o755)
    os.chmod(os.path.join(directory, "holdfast"), 0o755)
    if fault:
        with open(os.path.join(directory, "fault"), "w") as f:
            f.write(fault)
    return os.path.join(directory, "holdfast")


def upgrade(node, path, check=True):
    return node.command("upgrade", "--binary", path, check=check, seconds=60)


def runs(node):
    return os.readlink(f"/proc/{node.process.pid}/exe")


def test_upgrades_leave_no_trace(site, busy):
    node, watch = busy, Watch(busy)
    programs = [program(site, "one"), program(site, "two")]
    first, uptime = node.pid("proxy"), node.status()["uptime_seconds"]
    for i in range(ROUNDS + 1):
        before = node.pid("proxy")
        said = upgrade(node, programs[i % 2]).stdout
        assert "runs; proxy" in said, said
        assert runs(node) == programs[i % 2]
        assert node.pid("supervisor") == node.process.pid and node.pid("proxy") != before
        node.load.carry(300)
        watch.look()
        assert "reloaded" in node.reload(config(node.port, node.backends, f"timeout {{ first-byte = {3 + i}s  drain = 10m }}")).stdout
        until(lambda: [p["pid"] for p in proxies(node, "draining")] == [first], what="the proxies between to end")
    assert node.status()["uptime_seconds"] > uptime
    assert proxies(node, "draining")[0]["connections"] == TUNNELS
    assert_untouched(node.load, node.tunnels, TUNNELS)
    until(lambda: not proxies(node, "draining"), what="the first to end with its last tunnel")
    watch.look()
    assert node.terminate() == 0


def test_reloads_upgrades_and_ways_back_together(site, busy):
    """All of it one after the other: with HOLDFAST_ROUNDS=10 and HOLDFAST_TUNNELS=100 a hundred reloads, ten upgrades and five
    that are taken back."""
    node, watch, first = busy, Watch(busy), busy.pid("proxy")
    programs = [program(site, "one"), program(site, "two")]
    broken = [program(site, fault, fault) for fault in ("control-dies", "proxy-dies", "crashes")]
    reloads = upgrades = back = 0
    took = []
    for i in range(ROUNDS):
        for k in range(10):
            node.reload(config(node.port, node.backends, f"timeout {{ first-byte = {2 + k % 2}s  drain = 10m }}"))
            reloads += 1
        if i % 2 == 0:
            assert "taken back" in upgrade(node, broken[back % 3], check=False).stderr
            back += 1
        began = time.monotonic()
        upgrade(node, programs[i % 2])
        took.append(time.monotonic() - began)
        upgrades += 1
        node.load.carry(100)
        watch.look()
        until(lambda: [p["pid"] for p in proxies(node, "draining")] == [first], what="the proxies between to end")
    total = assert_untouched(node.load, node.tunnels, TUNNELS)
    site.report(f"{reloads} reloads, {upgrades} upgrades ({max(took):.2f} s at most) and {back} taken back under load with {TUNNELS} "
                f"tunnels: {total['requests']} requests, 0 failed, 0 refused, 0 cut; "
                f"p99 {total['idempotent']['p99_us'] / 1000:.1f} ms, max {total['idempotent']['max_us'] / 1000:.1f} ms")


REFUSED = [("refuses", "not in the mood"), ("check-dies", "killed by signal 9")]
TAKEN_BACK = [("file-gone", "does not exist"), ("control-dies", "the new control died"), ("proxy-dies", "the new proxy died"),
              ("crashes", "the new program crashed")]


def test_what_cannot_take_over_is_taken_back(site, busy):
    """Before the new program runs nothing changes; after that everything is as it was."""
    node, watch, proxy = busy, Watch(busy), busy.pid("proxy")
    for fault, why in REFUSED + TAKEN_BACK:
        done = upgrade(node, program(site, fault, fault), check=False)
        assert done.returncode == 1 and why in done.stderr, (fault, done.stdout, done.stderr)
        assert ("nothing has changed" if (fault, why) in REFUSED else "taken back, holdfast") in done.stderr
        assert runs(node) == os.path.realpath(BINARY), fault
        assert node.pid("proxy") == proxy, fault
        assert [p["pid"] for p in node.status()["proxies"]] == [proxy], fault
        node.load.carry(200)
        watch.look()
        if fault == "file-gone":
            os.rename(node.file + ".away", node.file)
        assert node.reload().returncode == 0
    upgrade(node, program(site, "good"))
    assert_untouched(node.load, node.tunnels, TUNNELS)
    watch.look()
    until(lambda: not proxies(node, "draining"), what="the old one to end")
    until(lambda: sorted(children_of(node)) == sorted({node.pid("control"), node.pid("proxy")}), what="no stranger to be left")
    assert node.terminate() == 0


def children_of(node):
    with open(f"/proc/{node.process.pid}/task/{node.process.pid}/children") as f:
        return [int(pid) for pid in f.read().split()]


def test_a_proxy_that_never_takes_the_view_is_taken_back(site, busy):
    node = busy
    done = upgrade(node, program(site, "mute", "proxy-mute"), check=False)
    assert done.returncode == 1 and "did not take the view in time" in done.stderr, done.stderr
    assert runs(node) == os.path.realpath(BINARY)
    assert_untouched(node.load, node.tunnels, TUNNELS)


def test_a_program_with_other_formats_takes_the_sockets(site, busy):
    """It can go on with nothing else: the view is compiled anew, and the counters begin at zero."""
    node, first = busy, busy.pid("proxy")
    epoch = node.status()["epoch"]
    assert "holdfast" in upgrade(node, program(site, "foreign", "foreign")).stdout
    node.load.carry(300)
    status = node.status()
    assert status["epoch"] > epoch
    assert [p["pid"] for p in proxies(node, "draining")] == [first]
    assert "counters begin anew" in node.said()
    node.await_all_healthy()
    node.backends[0].kill()
    node.await_verdict(node.backends[0], "failed")
    node.backends[0].start()
    node.reload(config(node.port, node.backends, "timeout { first-byte = 3s  drain = 10m }"))
    cut = node.tunnels.snapshot()["cut"]
    assert cut < TUNNELS  # those to the backend that died
    total = node.load.stop()
    assert total["idempotent"]["failed"] == 0, total["failures"][:5]
    node.tunnels.stop()
    until(lambda: not proxies(node, "draining"), what="the old proxy to end with its last tunnel")
    assert node.terminate() == 0


def test_only_a_trusted_program_is_run(site, busy):
    node = busy
    other = site.path("other")
    shutil.copy(BINARY, other)
    cases = [(other, "must be called holdfast"), ("/bin/sh", "must be called holdfast")]
    loose = program(site, "loose")
    os.chmod(loose, 0o777)
    cases.append((loose, "others may change"))
    open_directory = program(site, "open")
    os.chmod(os.path.dirname(open_directory), 0o777)
    cases.append((open_directory, "others may change"))
    script = site.path("script")
    os.mkdir(script)
    with open(os.path.join(script, "holdfast"), "w") as f:
        f.write("#!/bin/sh\nexit 0\n")
    os.chmod(os.path.join(script, "holdfast"), 0o755)
    cases.append((os.path.join(script, "holdfast"), "not an ELF program"))
    for path, why in cases:
        done = upgrade(node, path, check=False)
        assert done.returncode == 1 and why in done.stderr, (path, done.stderr)
    with open(node.file, "a") as f:
        f.write("nonsense\n")
    done = upgrade(node, program(site, "good"), check=False)
    assert done.returncode == 1 and "has 1 error" in done.stderr, done.stderr
    assert runs(node) == os.path.realpath(BINARY)
    assert_untouched(node.load, node.tunnels, TUNNELS)
