"""Backends that come and go while the node serves: names, drop-in files, the admin API.

Under load of mixed requests no change of the instances may cost one; an instance that left finishes what it has.
"""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from holdfast import PATIENCE, sample, until
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
    # whoever stays keeps its verdict over all the views
    told = [e["to"] for e in events(node, "instance-verdict") if e["subject"] == f"web/{three[1].address}"]
    assert told == ["healthy"]


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


def test_reloads_change_what_is_followed(site, dns, three):
    dns.set("api.test", A=ips(three[:1]), ttl=0)
    dns.set("other.test", A=ips(three[1:]), ttl=0)
    port = three[0].port
    node = site.node(config(own := site.port(), [f"api.test:{port}"], dns), own)
    await_instances(node, *names(three[:1]))
    load = site.load(node.port, connections=8)
    load.carry(100)
    node.reload(config(own, [f"api.test:{port}", f"other.test:{port}"], dns))
    await_instances(node, *names(three))
    assert node.reload(config(own, ["api..test"], dns), check=False).returncode == 1
    assert set(instances(node)) == set(names(three))
    node.await_all_healthy()
    node.reload(config(own, [f"other.test:{port} {{ weight = 5 }}"], dns))
    await_instances(node, *names(three[1:]))
    assert {i["weight"] for i in instances(node).values()} == {5}
    count = dns.count("api.test")
    load.carry(300)
    assert dns.count("api.test") <= count + 2       # nobody asks for it any more
    node.reload(config(own, three[:2], dns))
    await_instances(node, *names(three[:2]))
    assert {i["source"] for i in instances(node).values()} == {"file"}
    no_failure(load)


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


# ---- the admin API ----

def api(node, method, path, body=None):
    """(status, answer) of one request to the admin socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20 * PATIENCE)
        s.connect(os.path.join(node.state, "admin.sock"))
        data = b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: n\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(text)


def put_all(node, addresses, method="PUT", service="web", **more):
    listed = [{"address": a, **more} for a in addresses]
    return api(node, method, f"/v1/services/{service}/instances", {"instances": listed})


def counts(answer):
    return {k: answer[k] for k in ("changed", "added", "removed", "updated", "drained")}


@pytest.fixture
def empty(site):
    """A node whose service has only what it is told."""
    port = site.port()
    return site.node(config(port, [], more="dynamic = yes"), port)


def test_the_set_is_replaced_under_load(site, empty):
    backends = [site.backend() for _ in range(3)]
    node = empty
    assert put_all(node, names(backends[:2]))[1]["added"] == 2
    assert set(instances(node)) == set(names(backends[:2]))     # in force when the answer comes
    node.await_all_healthy()
    load = site.load(node.port, connections=32)
    load.carry(200)
    for turn in range(6):
        now = backends[turn % 2:turn % 2 + 2]
        status, answer = put_all(node, names(now))
        assert status == 200 and set(instances(node)) == set(names(now))
        status, again = put_all(node, names(now))
        assert status == 200 and counts(again) == dict.fromkeys(counts(again), 0) and again["epoch"] == answer["epoch"]
        load.carry(300)
    no_failure(load)
    assert {i["source"] for i in instances(node).values()} == {"api"}


def test_changes_are_whole_and_idempotent(site, empty):
    node = empty
    a, b, c = "127.0.0.1:1", "127.0.0.1:2", "[::1]:3"
    before = node.status()["epoch"]
    assert counts(put_all(node, [a, b], "POST")[1]) == {"changed": 2, "added": 2, "removed": 0, "updated": 0, "drained": 0}
    assert put_all(node, [a, b], "POST")[1]["changed"] == 0
    assert counts(put_all(node, [b, c], "POST", weight=7, draining=True)[1]) == {
        "changed": 4, "added": 1, "removed": 0, "updated": 1, "drained": 2}
    now = instances(node)
    assert [(now[x]["weight"], now[x]["draining"]) for x in (a, b, c)] == [(1, False), (7, True), (7, True)]
    assert put_all(node, [b, c], "POST", draining=False)[1]["drained"] == 2
    # one mistake, and nothing happens
    for wrong, code in [
            ({"instances": [{"address": a, "weight": 3}, {"address": b, "weight": 1001}]}, "invalid"),
            ({"instances": [{"address": a, "weight": 3}, {"address": "api.internal:80"}]}, "invalid"),
            ({"instances": [{"address": a, "weight": 3}, {"address": b, "wieght": 1}]}, "invalid"),
            ({"instances": [{"address": a, "weight": 3}, "nobody"]}, "absent"),
            ({"instances": [{"address": a, "weight": 3}, {"address": f"127.0.0.1:{node.port}"}]}, "invalid"),
            ({"instances": {}}, "invalid"), (b"{", "invalid"), (b"", "invalid"), ([], "invalid")]:
        status, answer = api(node, "POST", "/v1/services/web/instances", wrong)
        assert status in (404, 422) and answer["error"]["code"] == code, (wrong, answer)
    status, answer = put_all(node, [a, a])
    assert (status, answer["error"]["code"]) == (422, "invalid") and "twice" in answer["error"]["text"]
    status, answer = put_all(node, [f"10.0.{i // 250}.{i % 250 + 1}:80" for i in range(1025)])
    assert (status, answer["error"]["code"]) == (422, "limit")
    assert instances(node)[a]["weight"] == 1 and set(instances(node)) == {a, b, c}
    assert api(node, "DELETE", "/v1/services/web/instances/127.0.0.1:1")[1]["removed"] == 1
    assert api(node, "DELETE", "/v1/services/web/instances/127.0.0.1:1")[1]["changed"] == 0
    assert api(node, "DELETE", "/v1/services/web/instances", {"instances": [b, c, "nobody"]})[1]["removed"] == 2
    assert not instances(node)
    status, answer = put_all(node, [a], service="wbe")
    assert status == 404 and answer["suggestions"] == ["web"]
    assert api(node, "PATCH", "/v1/services/web/instances")[0] == 405
    assert node.status()["epoch"] == before + 4     # one view a change: drains need none


def test_instances_of_other_sources(site):
    port, mine = site.port(), site.backend()
    node = site.node(config(port, [mine]), port)
    name = mine.address
    assert put_all(node, [name], "POST", weight=9)[1]["updated"] == 1
    assert (instances(node)[name]["weight"], instances(node)[name]["own_weight"], instances(node)[name]["source"]) == (9, 1, "file")
    node.command("reload")
    assert instances(node)[name]["weight"] == 9
    status, answer = api(node, "DELETE", f"/v1/services/web/instances/{name}")
    assert status == 409 and "configuration file" in answer["error"]["text"]
    assert put_all(node, [name], "POST", weight=None)[1]["updated"] == 1
    assert instances(node)[name]["weight"] == 1
    assert put_all(node, [name], "PUT", weight=3)[1]["added"] == 1     # the file's own counts first
    assert (instances(node)[name]["weight"], instances(node)[name]["source"]) == (1, "file")


def test_what_was_told_survives_control_and_the_daemon(site, empty):
    node, wanted = empty, [f"127.0.0.1:{i}" for i in range(1, 21)]
    assert put_all(node, wanted, weight=5, priority=1)[0] == 200
    assert put_all(node, wanted[:1], "POST", draining=True)[1]["drained"] == 1
    epoch = node.status()["epoch"]
    pid = node.pid("control")
    os.kill(pid, 9)
    until(lambda: node.status(check=False) and node.pid("control") != pid)
    assert set(instances(node)) == set(wanted) and instances(node)[wanted[0]]["draining"]
    assert put_all(node, wanted, weight=5, priority=1)[1]["changed"] == 0
    assert node.status()["epoch"] == epoch      # and no view for nothing
    assert node.terminate() == 0
    node.start()
    assert set(instances(node)) == set(wanted)
    one = instances(node)[wanted[0]]
    assert (one["weight"], one["priority"], one["draining"]) == (5, 1, True)
    # a damaged file is set aside
    assert node.terminate() == 0
    kept = os.path.join(node.state, "discovered.json")
    with open(kept, "r+") as f:
        f.write("?")
    node.start()
    assert not instances(node) and os.path.exists(kept + ".damaged")
    assert [e["subject"] for e in events(node, "state-damaged")] == [kept]
    assert put_all(node, wanted)[1]["added"] == 20


@pytest.mark.quiet
def test_a_thousand_instances_in_one_request(site, empty):
    node, wanted = empty, [f"127.0.{i // 250}.{i % 250 + 1}:9" for i in range(1000)]
    began = time.monotonic()
    status, answer = put_all(node, wanted)
    took = time.monotonic() - began
    assert (status, answer["added"]) == (200, 1000) and len(instances(node)) == 1000
    began = time.monotonic()
    assert put_all(node, wanted)[1]["changed"] == 0
    again = time.monotonic() - began
    site.report(f"1,000 instances by one PUT: {took * 1000:.0f} ms until they are served; the same again: {again * 1000:.0f} ms")
    assert took < 1 * PATIENCE


def test_many_changes_are_few_views(site, empty):
    node = empty
    before = node.status()["epoch"]
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: put_all(node, [f"127.0.1.{i}:9"], "POST"), range(1, 101)))
    assert all(status == 200 and answer["added"] == 1 for status, answer in answers)
    assert len(instances(node)) == 100
    views = node.status()["epoch"] - before
    assert views <= (time.monotonic() - began) * 20 + 2, views


def test_the_command(site, empty):
    node, a, b = empty, "127.0.0.1:1", "127.0.0.1:2"
    say = lambda *words: node.command("instance", *words).stdout
    assert say("add", "web", a, b, "--weight", "2", "--priority", "1", "--drained") == "web: 2 added, 2 drained or resumed\n"
    assert say("add", "web", a, "--weight", "2") == "web: nothing to change\n"
    assert say("undrain", "web", a) == "web: 1 drained or resumed\n"
    assert say("weight", "web", a, b, "--weight", "5") == "web: 2 changed\n"
    listed = say("list", "web").splitlines()
    assert listed[1].split() == [a, "5", "1", "suspect", "api"] or listed[1].split()[:3] == [a, "5", "1"]
    assert "draining" in listed[2]
    assert len(json.loads(say("list", "web", "--json"))["instances"]) == 2
    assert say("remove", "web", a, b) == "web: 2 removed\n"
    for words, code, text in [
            (("add", "web", "api:80"), 1, "address is numeric"), (("weight", "web", a, "--weight", "2"), 1, "does not exist"),
            (("ad", "web", a), 2, "did you mean 'add'?"), (("add", "web"), 2, "which instance?"),
            (("weight", "web", a), 2, "needs --weight"), (("add", "web", a, b, "--name", "x"), 2, "--name"),
            (("list", "wbe"), 1, "did you mean 'web'?")]:
        done = node.command("instance", *words, check=False)
        assert done.returncode == code and text in done.stderr, (words, done.stderr)


# ---- a real name server ----

def test_dnsmasq(site, three):
    """Its hosts change, it dies, it comes back: under load."""
    port, hosts, conf = site.port(), site.path("hosts"), site.path("dnsmasq.conf")

    def serve(addresses):
        with open(hosts, "w") as f:
            f.writelines(f"{a} api.test\n" for a in addresses)

    def start():
        return site.process(["dnsmasq", "-k", "-C", conf], env={"PATH": "/usr/sbin:/usr/bin"}, stderr=subprocess.DEVNULL)
    with open(conf, "w") as f:
        f.write(f"port={port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\naddn-hosts={hosts}\n"
                f"local-ttl=1\nlocal=/test/\nuser=root\npid-file=\nsrv-host=_http._tcp.api.test,api.test,{three[0].port},5,7\n")
    os.chmod(site.directory, 0o755)
    serve(ips(three[:2]))
    server = start()
    text = config(own := site.port(), ["srv:_http._tcp.api.test"]).replace(
        "service web", f"resolver {{ nameserver = 127.0.0.1:{port} timeout = 200ms ttl-max = 1s }}\nservice web", 1)
    node = site.node(text, own)
    await_instances(node, *names(three[:2]))
    node.await_all_healthy()
    load = site.load(node.port, connections=16)
    load.carry(300)
    serve(ips(three[1:]))
    server.signal(signal.SIGHUP)
    await_instances(node, *names(three[1:]))
    load.carry(300)
    server.end()
    until(lambda: events(node, "source-failed"), 20)
    assert set(instances(node)) == set(names(three[1:]))
    serve(ips(three))
    start()
    await_instances(node, *names(three), seconds=40)
    load.carry(300)
    no_failure(load)
