"""Backends that come and go while the node serves: names, drop-in files, the admin API.

Under load of mixed requests no change of the instances may cost one; an instance that left finishes what it has.
"""

import json
import os
import time

import pytest

from holdfast import sample, until
from nameserver import NameServer


@pytest.fixture
def dns():
    with NameServer() as server:
        yield server


def config(port, backends, dns=None, more=""):
    resolver = f"resolver {{ nameserver = 127.0.0.1:{dns.port} timeout = 200ms ttl-min = 50ms ttl-max = 1s }}\n" if dns else ""
    return resolver + sample(port, backends, "http = /health every = 100ms rise = 1 fall = 2", more=more)


def instances(node, service="web"):
    status = node.status()
    found = [s for s in status["services"] if s["name"] == service][0]
    return {i["name"]: i for i in found["instances"]}


def await_instances(node, *wanted, seconds=10, service="web"):
    began = time.monotonic()
    until(lambda: set(instances(node, service)) == set(wanted), seconds,
          f"{sorted(wanted)}, are {sorted(instances(node, service))}")
    return time.monotonic() - began


def events(node, code):
    done = node.command("events", "--json", "--last", "1000")
    return [e for e in map(json.loads, done.stdout.splitlines()) if e["code"] == code]


def no_failure(load):
    total = load.stop()
    assert load.failed(total) == 0, total["failures"][:5]
    return total


@pytest.fixture
def three(site):
    """Backends on one port of three addresses, as one name has them."""
    port = site.port()
    return [site.backend(host=f"127.0.0.{i}", port=port) for i in (2, 3, 4)]


def ips(backends):
    return [b.address.split(":")[0] for b in backends]


def names(backends):
    return [b.address for b in backends]


# ---- names ----

def test_answers_change_under_load(site, dns, three):
    dns.set("api.test", A=ips(three[:2]), ttl=0)
    node = site.node(config(port := site.port(), [f"api.test:{three[0].port} {{ weight = 3 }}"], dns), port)
    await_instances(node, *names(three[:2]))
    node.await_all_healthy()
    assert {i["weight"] for i in instances(node).values()} == {3}
    assert {i["source"] for i in instances(node).values()} == {"dns api.test"}
    load = site.load(node.port, connections=32)
    load.carry(500)
    for turn in range(6):
        now = three[:2] if turn % 2 else three[1:]
        dns.set("api.test", A=ips(now), ttl=0)
        await_instances(node, *names(now))
        load.carry(300)
    assert min(b.stats()["requests"] for b in three) > 0
    no_failure(load)
    assert len(events(node, "instance-added")) >= 6 and len(events(node, "instance-removed")) >= 6


@pytest.mark.parametrize("how", ["SERVFAIL", "NXDOMAIN", "empty", "dead"])
def test_a_failure_keeps_the_last_good_answer(site, dns, three, how):
    dns.set("api.test", A=ips(three), ttl=0)
    node = site.node(config(port := site.port(), [f"api.test:{three[0].port}"], dns), port)
    await_instances(node, *names(three))
    node.await_all_healthy()
    if how == "dead":
        dns.close()
    elif how == "empty":
        dns.set("api.test", AAAA=[])
    else:
        dns.fail("api.test", how)
    told = until(lambda: events(node, "source-failed"), what="the failure to be told")
    assert told[-1]["subject"] == "api.test" and "the 3 addresses of before stay" in told[-1]["text"]
    assert set(instances(node)) == set(names(three))
    load = site.load(node.port, connections=8)
    load.carry(200)
    no_failure(load)
    # a new control, and a new daemon, know them too
    node.command("reload")
    assert set(instances(node)) == set(names(three))
    assert node.terminate() == 0
    node.start()
    await_instances(node, *names(three))
    until(lambda: events(node, "source-failed"))
    if how == "dead":
        return
    dns.set("api.test", A=ips(three[:1]), ttl=0)
    await_instances(node, *names(three[:1]))
    assert until(lambda: events(node, "source-back"))


def test_services_have_ports_weights_and_priorities(site, dns):
    backends = [site.backend() for _ in range(3)]
    records = [(10, 60, backends[0].port, "n0.api.test"), (10, 0, backends[1].port, "n1.api.test"),
               (20, 5, backends[2].port, "n2.api.test")]
    dns.set("_http._tcp.api.test", SRV=records, ttl=0)
    for i in range(3):
        dns.set(f"n{i}.api.test", A=["127.0.0.1"], ttl=0)
    node = site.node(config(port := site.port(), ["srv:_http._tcp.api.test"], dns), port)
    await_instances(node, *names(backends))
    node.await_all_healthy()
    assert [(instances(node)[b.address]["weight"], instances(node)[b.address]["priority"])
            for b in backends] == [(60, 0), (1, 0), (5, 1)]
    load = site.load(node.port, connections=16)
    load.carry(200)
    for turn in range(4):       # a target that nobody knows is waited for, not switched to
        dns.set("_http._tcp.api.test", SRV=records[:2] if turn % 2 else records[1:], ttl=0)
        await_instances(node, *names(backends[:2] if turn % 2 else backends[1:]))
        load.carry(200)
    no_failure(load)
    dns.set("_http._tcp.api.test", SRV=[(0, 0, 80, "nobody.test")], ttl=0)
    count = dns.count("nobody.test")
    until(lambda: dns.count("nobody.test") > count + 2)
    assert set(instances(node)) == set(names(backends[:2]))


def test_an_answer_that_is_too_long_is_asked_for_over_tcp(site, dns):
    many = [f"127.0.1.{i}" for i in range(1, 201)]
    dns.set("many.test", A=many, ttl=5)
    dns.fail("many.test", "truncate")
    node = site.node(config(port := site.port(), ["many.test:9"], dns), port)
    until(lambda: len(instances(node)) == 200)
    assert any(over == "tcp" for name, _, over in dns.asked if name == "many.test")


def test_aliases_both_families_and_the_systems_own_names(site, dns):
    dns.set("www.test", CNAME=["web.test"], ttl=0)
    dns.set("web.test", A=["127.0.0.9"], AAAA=["::1"], ttl=0)
    node = site.node(config(port := site.port(), ["www.test:81"], dns), port)
    await_instances(node, "127.0.0.9:81", "[::1]:81")
    dns.set("web.test", AAAA=["::1"], ttl=0)
    await_instances(node, "[::1]:81")


def test_silence_of_a_name_server_leads_to_the_next(site, dns):
    with NameServer() as mute:
        mute.fail("api.test", "silent")
        dns.set("api.test", A=["127.0.0.9"], ttl=0)
        text = config(port := site.port(), ["api.test:81"], dns)
        text = text.replace("nameserver = ", f"nameserver = {{127.0.0.1:{mute.port}, ").replace(" timeout", "} timeout", 1)
        node = site.node(text, port)
        await_instances(node, "127.0.0.9:81")
        assert mute.count("api.test") > 0


# ---- drop-in files ----

def put(directory, name, text):
    """As one should: readers see the old or the new file."""
    with open(os.path.join(directory, "." + name), "w") as f:
        f.write(text)
    os.rename(os.path.join(directory, "." + name), os.path.join(directory, name))


def lines(backends):
    return "".join(f"backend {b.address} {{ weight = 2 }}\n" for b in backends)


def test_files_come_and_go_under_load(site, tmp_path):
    backends = [site.backend() for _ in range(3)]
    directory = tmp_path / "web.d"
    directory.mkdir()
    put(directory, "a.conf", lines(backends[:1]))
    node = site.node(config(port := site.port(), [], more=f"backends-from = {directory}"), port)
    await_instances(node, *names(backends[:1]))
    node.await_all_healthy()
    load = site.load(node.port, connections=32)
    load.carry(200)
    waits = []
    for _ in range(4):
        put(directory, "b.conf", lines(backends[1:]))
        waits.append(await_instances(node, *names(backends)))
        load.carry(200)
        os.unlink(directory / "b.conf")
        waits.append(await_instances(node, *names(backends[:1])))
        load.carry(200)
    no_failure(load)
    site.report(f"a file was picked up within {max(waits) * 1000:.0f} ms, commands included")
    assert instances(node)[backends[0].address]["source"] == f"drop-in {directory}/a.conf"
    assert instances(node)[backends[0].address]["weight"] == 2


def test_a_broken_file_keeps_what_it_gave(site, tmp_path):
    backends = [site.backend() for _ in range(2)]
    directory = tmp_path / "web.d"
    directory.mkdir()
    put(directory, "a.conf", lines(backends[:1]))
    put(directory, "b.conf", lines(backends[1:]))
    node = site.node(config(port := site.port(), [], more=f"backends-from = {directory}"), port)
    await_instances(node, *names(backends))
    put(directory, "b.conf", "backend 127.0.0.1:1\nbackent 127.0.0.1:2\n")
    told = until(lambda: events(node, "source-failed"))
    assert told[-1]["subject"] == f"{directory}/b.conf"
    assert told[-1]["text"].startswith(f"{directory}/b.conf:2:1: ") and "1 backend of before stays" in told[-1]["text"]
    assert set(instances(node)) == set(names(backends))
    # a new control has nothing of before but the view in force
    pid = node.pid("control")
    os.kill(pid, 9)
    until(lambda: node.pid("control") != pid)
    until(lambda: events(node, "source-failed"))
    assert set(instances(node)) == set(names(backends))
    put(directory, "b.conf", "")
    await_instances(node, *names(backends[:1]))
    # a directory that is gone keeps what it gave
    os.rename(directory, tmp_path / "away")
    until(lambda: [e for e in events(node, "source-failed") if e["subject"] == str(directory)])
    assert set(instances(node)) == set(names(backends[:1]))
    os.rename(tmp_path / "away", directory)
    put(directory, "a.conf", lines(backends))
    await_instances(node, *names(backends))


def test_what_is_under_way_at_a_removed_instance_ends(site, tmp_path):
    backend = site.backend(service_us=2_000_000)
    directory = tmp_path / "web.d"
    directory.mkdir()
    put(directory, "a.conf", lines([backend]))
    node = site.node(config(port := site.port(), [], more=f"backends-from = {directory}").replace(
        "first-byte = 2s", "first-byte = 10s").replace("every = 100ms", "every = 1m"), port)
    await_instances(node, backend.address)
    load = site.load(node.port, connections=4)
    until(lambda: instances(node)[backend.address]["inflight"] == 4)
    load.stop_begin()
    os.unlink(directory / "a.conf")
    await_instances(node)
    total = load.stop(begun=True)
    assert load.failed(total) == 0 and total["requests"] >= 4
