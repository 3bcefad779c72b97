"""The processes of a node die, hang, reload and end under load, and the traffic does not notice.

What dies with the proxy are the connections that it had; nothing else may fail. HOLDFAST_ROUNDS (2
if not set) says how often: five reloads a round, and a kill of the proxy.
"""

import os
import signal
import statistics
import time

import pytest

from busy import Late
from holdfast import BINARY, PATIENCE, Load, connects, sample, until

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "2"))
RELOADS = 5 * ROUNDS
PROXY_KILLS = 1 + ROUNDS


@pytest.fixture
def running(site):
    """A node before three backends, all seen healthy, and 64 connections of load."""
    for _ in range(3):
        site.backend()
    port = site.port()
    site.running = site.node(sample(port, site.backends), port)
    site.running.await_all_healthy()
    site.traffic = site.load(port, connections=64, think_us=10000)
    site.traffic.carry(200)
    return site


def assert_nothing_failed(figures):
    assert Load.failed(figures) == 0, figures["failures"][:5]


def assert_only_posts_refused(figures):
    assert figures["idempotent"]["failed"] == 0, figures["failures"][:5]
    once = figures["non_idempotent"]
    assert once["failed"] == once["status"], figures["failures"][:5]


def restarted(node, name, before):
    """True when `name` runs anew and its loop turns."""
    status = node.status(check=False)
    found = [p for p in status["processes"] if p["name"] == name] if status else []
    return bool(found and found[0]["pid"] != before and found[0].get("turning", True))


def carry_for(load, seconds):
    """Keeps the load on for a time that the scenario itself asks for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        load.carry(50)


def test_control_killed(running):
    node, load = running.running, running.traffic
    before = node.pid("control")
    os.kill(before, signal.SIGKILL)
    until(lambda: restarted(node, "control", before), what="control to be restarted")
    load.carry(500)
    assert_nothing_failed(load.phase("after"))
    # It judges again, and what it judges has effect.
    running.backends[0].kill()
    node.await_verdict(running.backends[0], "failed")
    running.backends[0].start()
    node.await_verdict(running.backends[0], "healthy")
    assert_only_posts_refused(load.stop())
    assert running.delivered_twice() == []


def test_control_stopped_while_a_backend_dies(running):
    node, load = running.running, running.traffic
    control = node.pid("control")
    os.kill(control, signal.SIGSTOP)
    running.backends[1].kill()
    carry_for(load, 5)
    if os.path.exists(f"/proc/{control}"):  # a node may also have replaced it: it was hung
        os.kill(control, signal.SIGCONT)
    seconds = node.await_verdict(running.backends[1], "failed")
    running.report(f"control caught up {seconds:.2f} s after it went on")
    running.backends[1].start()
    node.await_verdict(running.backends[1], "healthy")
    assert_only_posts_refused(load.stop())
    assert running.delivered_twice() == []


@pytest.mark.quiet
def test_proxy_killed(running):
    node, load = running.running, running.traffic
    prober = running.load(node.port, connections=1, fresh=1, think_us=1000, post=0, put=0)
    gaps, late = [], []
    for _ in range(PROXY_KILLS):
        load.carry(500)
        # One that has just been started would be held back a little: it might crash in a loop.
        until(lambda: node.processes()["proxy"]["uptime_seconds"] > 2.2, what="the proxy to be steady")
        before = node.pid("proxy")
        prober.carry(100)
        prober.phase("killed")
        with Late() as machine:
            os.kill(before, signal.SIGKILL)
            prober.carry(100)
        gaps.append(prober.phase("between")["max_gap_us"] / 1000)
        late.append(max(machine.late, default=0) / 1000)
        until(lambda: restarted(node, "proxy", before), what="the proxy to be restarted")
    median = statistics.median(gaps)
    running.report(f"{PROXY_KILLS} kills of the proxy: serving again after {median:.1f} ms "
                   f"(median; at most {max(gaps):.1f} ms); the machine woke another program up to {max(late):.1f} ms late meanwhile")
    gaps = [gap - lost for gap, lost in zip(gaps, late)]
    # The median, because a busy machine may take its time with any single one; but not much.
    assert median < 100 * PATIENCE and max(gaps) < 500 * PATIENCE, gaps
    load.carry(500)
    for total, connections in ((load.stop(), 64), (prober.stop(), 1)):
        died = total["idempotent"]["died"] + total["non_idempotent"]["died"]
        running.report(f"{died} requests of {total['requests']} died with it ({connections} connections)")
        assert Load.failed(total) == died, total["failures"][:5]
        assert died <= connections * PROXY_KILLS
    assert running.delivered_twice() == []


def reload_variant(i, backends):
    """Each differs from the one before in its backends and in its checks."""
    chosen = [b for k, b in enumerate(backends) if i % 4 == 3 or k != i % 4]
    check = ["http = /health  every = 500ms  rise = 1  fall = 2", "tcp = yes  every = 1s  rise = 2  fall = 3"]
    return chosen, check[i % 2]


def test_reloads_cut_nothing(running):
    node, load = running.running, running.traffic
    tunnels = running.tunnels(node.port, 100)
    epoch = node.status()["epoch"]
    for i in range(RELOADS):
        chosen, check = reload_variant(i, running.backends)
        node.reload(sample(node.port, chosen, check=check))
        status = node.status()
        assert status["epoch"] > epoch
        epoch = status["epoch"]
        assert set(node.verdicts()) == {b.address for b in chosen}
        load.carry(100)
    node.reload(sample(node.port, running.backends))
    load.carry(200)
    total, figures = load.stop(), tunnels.stop()
    running.report(f"{RELOADS} reloads, {total['requests']} requests, {Load.failed(total)} failed; "
                   f"{figures['opened']} tunnels, {figures['cut']} cut, longest silence of one "
                   f"{figures['max_gap_us'] / 1000:.0f} ms")
    assert_nothing_failed(total)
    assert figures["open"] == 100, figures
    assert figures["cut"] == figures["stalled"] == figures["garbled"] == figures["refused"] == 0


def test_an_invalid_reload_changes_nothing(running):
    node, load = running.running, running.traffic
    before = node.status()["epoch"]
    verdicts = node.verdicts()
    wrong = sample(node.port, running.backends[:1]).replace("balance", "balnce")
    done = node.reload(wrong, check=False)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert os.path.basename(node.file) in said and "balance" in said, said
    assert node.status()["epoch"] == before
    assert node.verdicts() == verdicts
    load.carry(200)
    assert_nothing_failed(load.stop())


def test_a_reload_onto_a_taken_port_changes_nothing(running):
    node, load = running.running, running.traffic
    before = node.status()["epoch"]
    both = sample(node.port, running.backends[:2])
    both += sample(running.backends[2].port, running.backends[:1], name="other")
    done = node.reload(both, check=False)
    assert done.returncode != 0
    assert str(running.backends[2].port) in done.stdout + done.stderr
    assert node.status()["epoch"] == before
    assert len(node.verdicts()) == 3
    load.carry(200)
    assert_nothing_failed(load.stop())


def test_a_reload_moves_the_listener(running):
    node, load = running.running, running.traffic
    load.stop()
    old, new = node.port, running.port()
    node.reload(sample(new, running.backends))
    until(lambda: connects(new), what="the new port to listen")
    until(lambda: not connects(old), what="the old port to be closed")


def test_sigterm_drains(site):
    backend = site.backend(service_us=600_000)
    port = site.port()
    node = site.node(sample(port, [backend]), port)
    node.await_all_healthy()
    load = site.load(port, connections=8, post=50, put=0)
    already = backend.stats()["requests"]
    until(lambda: backend.stats()["requests"] >= already + 8, what="eight requests in flight")
    load.stop_begin()
    assert node.terminate() == 0
    total = load.stop(begun=True)
    assert_nothing_failed(total)
    assert total["requests"] >= 8
    assert not connects(port)


def test_a_killed_supervisor_leaves_nothing_behind(running):
    node = running.running
    running.traffic.stop()
    pids = [p["pid"] for p in node.status()["processes"]]
    node.process.signal(signal.SIGKILL)
    node.process.wait()
    until(lambda: not any(alive(pid) for pid in pids), what="its children to end")
    node.start()
    node.await_all_healthy()


def alive(pid):
    """A process that runs; not one that waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_taken_port_is_said_and_ends_the_start(site):
    backend = site.backend()
    node = site.node(sample(backend.port, [backend]), backend.port, start=False)
    with open(node.errors, "wb") as err:
        process = site.process([BINARY, "run", node.file, "--state", node.state],
                               stdout=err, stderr=err)
    assert process.wait() == 1
    assert backend.address in node.said(), node.said()


def test_two_nodes_side_by_side(site):
    backends = [site.backend() for _ in range(2)]
    ports = [site.port(), site.port()]
    nodes = [site.node(sample(p, [b]), p) for p, b in zip(ports, backends)]
    loads = [site.load(p, connections=4, think_us=2000) for p in ports]
    for node, backend in zip(nodes, backends):
        assert set(node.verdicts()) == {backend.address}
        node.await_all_healthy()
    loads[0].stop()
    assert nodes[0].terminate() == 0
    loads[1].carry(200)
    assert_nothing_failed(loads[1].stop())


def test_one_state_directory_serves_one_node(site):
    backend = site.backend()
    first = site.node(sample(port := site.port(), [backend]), port)
    other = site.node(sample(site.port(), [backend]), 0, start=False)
    with open(other.errors, "wb") as err:
        process = site.process([BINARY, "run", other.file, "--state", first.state],
                               stdout=err, stderr=err)
    assert process.wait() == 1
    assert first.state in other.said(), other.said()
    assert first.status()["services"][0]["name"] == "web"


def test_an_operator_drains_and_resumes(running):
    node, load = running.running, running.traffic
    backend = running.backends[2]
    node.command("drain", f"web/{backend.address}")
    load.carry(50)  # what was under way when the drain began
    settled = app_requests(backend)
    load.carry(500)
    assert app_requests(backend) == settled, "a drained instance got new requests"
    node.command("resume", f"web/{backend.address}")
    until(lambda: app_requests(backend) > settled, what="requests after the resume")
    assert_nothing_failed(load.stop())


def app_requests(backend):
    """Without the checks, which carry no id."""
    return len(backend.deliveries())
