"""Corners of failing: before the first check, two at once, all of them, half-broken ones, little load.

The figures that users care about are the same as in test_faults.py: no idempotent request fails as
long as one backend can answer, and what fails does so at once and with a clear answer."""

import os
import signal
import time

import pytest

from holdfast import Load, sample, until


def behind_three(site, **options):
    backends = [site.backend(**options) for _ in range(3)]
    port = site.port()
    return backends, port, site.node(sample(port, backends), port)


def assert_no_idempotent_failed(figures):
    assert figures["idempotent"]["failed"] == 0, figures["failures"][:5]


def test_dead_before_the_first_check(site):
    """No crude first seconds: a backend that was never there costs nobody anything."""
    backends = [site.backend() for _ in range(3)]
    backends[1].kill()
    port = site.port()
    node = site.node(sample(port, backends), port)
    load = site.load(port, connections=64, think_us=5000)
    load.carry(2000)
    total = load.stop()
    assert Load.failed(total) == 0, total["failures"][:5]
    assert node.verdicts()[backends[1].address] == "failed"


def test_a_backend_that_comes_later_is_used(site):
    backends, port, node = behind_three(site)
    backends[0].kill()
    node.await_verdict(backends[0], "failed")
    backends[0].start()
    before = len(backends[0].deliveries())
    load = site.load(port, connections=8, think_us=5000)
    node.await_verdict(backends[0], "healthy")
    until(lambda: len(backends[0].deliveries()) > before + 20, what="requests for it")
    assert_no_idempotent_failed(load.stop())


def test_two_of_three_die_at_once(site):
    backends, port, node = behind_three(site)
    node.await_all_healthy()
    load = site.load(port, connections=64, think_us=10000)
    load.carry(500)
    backends[0].kill()
    backends[2].kill()
    load.carry(2000)
    backends[0].start()
    backends[2].start()
    node.await_all_healthy()
    total = load.stop()
    assert_no_idempotent_failed(total)
    assert site.delivered_twice() == []


def test_all_die_and_return(site):
    backends, port, node = behind_three(site)
    node.await_all_healthy()
    load = site.load(port, connections=16, think_us=10000)
    load.carry(200)
    for b in backends:
        b.kill()
    for b in backends:
        node.await_verdict(b, "failed")
    load.phase("nobody there")
    load.carry(200)
    dark = load.phase("returning")
    statuses = set(dark["idempotent"]["statuses"]) | set(dark["non_idempotent"]["statuses"])
    assert statuses <= {"502", "503"}, statuses
    assert dark["failed_max_us"] < 1_000_000
    began = time.monotonic()
    for b in backends:
        b.start()
    load.phase("back")
    until(lambda: load.phase("again")["idempotent"]["ok"] > 0, what="the first good answer")
    site.report(f"first good answer {time.monotonic() - began:.2f} s after the backends were started")
    node.await_all_healthy()
    load.phase("well")
    load.carry(300)
    assert Load.failed(load.phase("end")) == 0
    load.stop()
    assert site.delivered_twice() == []


@pytest.mark.parametrize("mode", ["reset", "close", "sick", "hang"])
def test_half_broken(site, mode):
    """It listens, and in `sick` its checks even pass, but real requests fail."""
    backends, port, node = behind_three(site)
    node.await_all_healthy()
    load = site.load(port, connections=32, think_us=10000)
    load.carry(300)
    backends[1].mode(mode)
    load.carry(1500)
    backends[1].mode("normal")
    node.await_verdict(backends[1], "healthy")
    load.carry(300)
    total = load.stop()
    assert_no_idempotent_failed(total)
    once = total["non_idempotent"]
    assert once["failed"] == once["status"], total["failures"][:5]
    assert site.delivered_twice() == []


@pytest.mark.parametrize("balance", ["round-robin", "random", "least-requests"])
def test_little_load_loses_nothing_either(site, balance):
    """A handful of requests a second fills no window and leaves little budget for retries."""
    backends = [site.backend() for _ in range(3)]
    port = site.port()
    node = site.node(sample(port, backends, balance=balance), port)
    node.await_all_healthy()
    load = site.load(port, connections=3, think_us=50000, post=0)
    load.carry(20)
    backends[0].kill()
    load.carry(60)
    backends[0].start()
    node.await_verdict(backends[0], "healthy")
    backends[1].mode("error")
    load.carry(60)
    backends[1].mode("normal")
    assert Load.failed(load.stop()) == 0


def test_a_proxy_that_hangs_is_replaced(site):
    backends, port, node = behind_three(site)
    node.await_all_healthy()
    before = node.pid("proxy")
    os.kill(before, signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: node.pid("proxy") != before, 30, "the proxy to be replaced")
    load = site.load(port, connections=4)
    load.carry(100)
    site.report(f"replaced and serving {time.monotonic() - began:.1f} s after it hung")
    assert Load.failed(load.stop()) == 0


def test_proxy_and_control_die_together(site):
    backends, port, node = behind_three(site)
    node.await_all_healthy()
    load = site.load(port, connections=16, think_us=5000)
    load.carry(100)
    pids = node.pid("proxy"), node.pid("control")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    load.carry(300)
    until(lambda: node.status(check=False) and node.pid("control") not in pids, what="control")
    assert set(node.verdicts().values()) <= {"healthy", "suspect"}
    node.await_all_healthy()
    total = load.stop()
    died = total["idempotent"]["died"] + total["non_idempotent"]["died"]
    assert Load.failed(total) == died <= 16, total["failures"][:5]


def test_reloads_while_backends_die(site):
    backends, port, node = behind_three(site)
    node.await_all_healthy()
    load = site.load(port, connections=32, think_us=5000)
    for i in range(6):
        victim = backends[i % 3]
        victim.kill()
        node.reload(sample(port, [b for b in backends if b is not backends[(i + 1) % 3]]))
        load.carry(200)
        victim.start()
        node.reload(sample(port, backends))
        node.await_all_healthy()
    total = load.stop()
    assert_no_idempotent_failed(total)
    assert site.delivered_twice() == []


def test_a_node_killed_under_load_starts_again_on_its_state(site):
    backends, port, node = behind_three(site)
    node.await_all_healthy()
    epoch = node.status()["epoch"]
    node.command("drain", f"web/{backends[0].address}")
    node.process.signal(signal.SIGKILL)
    node.process.wait()
    node.start()
    assert node.status()["epoch"] >= epoch
    before = len(backends[0].deliveries())
    load = site.load(port, connections=8)
    load.carry(200)
    assert Load.failed(load.stop()) == 0
    assert len(backends[0].deliveries()) == before, "the drain was forgotten"
