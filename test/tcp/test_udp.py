"""UDP services: a client's datagrams go to one instance, its answers come back, and dead instances are left."""

import os
import shutil
import socket
import subprocess
import threading

import pytest

from holdfast import until


def config(port, backends, more="", replies=1):
    lines = "\n".join(f"  backend 127.0.0.1:{b}" for b in backends)
    return (f"service names {{\n  listen = udp://127.0.0.1:{port}\n  replies = {replies}\n{lines}\n{more}\n"
            f"  timeout {{ flow = 2s  first-byte = 500ms }}\n}}\n"
            f"service web {{ listen = http://127.0.0.1:{port}  check = none\n backend 127.0.0.1:1 }}\n")


class Answerer:
    """Answers each datagram with its own name and what it got, `times` times."""

    def __init__(self, port, name, times=1):
        self.port, self.name, self.times, self.seen = port, name, times, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", port))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            data, who = self.sock.recvfrom(65536)
            if data == b"stop" + self.name:
                return
            self.seen.append((who, data))
            for _ in range(self.times):
                self.sock.sendto(self.name + b":" + data[:60000], who)

    def close(self):
        if self.thread.is_alive():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.sendto(b"stop" + self.name, ("127.0.0.1", self.port))
            self.thread.join(5)
        self.sock.close()


@pytest.fixture
def answerers(site):
    made = []

    def make(name, **options):
        made.append(Answerer(site.port(), name, **options))
        return made[-1]

    yield make
    for a in made:
        a.close()


class Client:
    def __init__(self, port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))
        self.sock.settimeout(5)

    def ask(self, data):
        self.sock.send(data)
        return self.sock.recv(65536)


def start(site, backends, **options):
    port = site.port()
    return site.node(config(port, backends, **options), port)


def test_answers_come_back_from_where_was_asked(site, answerers):
    node = start(site, [answerers(b"a").port])
    c = Client(node.port)
    assert c.ask(b"question") == b"a:question"
    assert c.ask(b"") == b"a:"
    big = os.urandom(60000)
    assert c.ask(big) == b"a:" + big


def test_a_client_stays_with_its_instance(site, answerers):
    node = start(site, [answerers(b"a").port, answerers(b"b").port], replies=0, more="  balance = round-robin")
    names = set()
    for _ in range(10):
        c = Client(node.port)
        first = c.ask(b"1")[:1]
        names.add(first)
        assert all(c.ask(b"%d" % i)[:1] == first for i in range(10))
    assert names == {b"a", b"b"}


def test_questions_spread_when_each_has_one_answer(site, answerers):
    node = start(site, [answerers(b"a").port, answerers(b"b").port], more="  balance = round-robin")
    c = Client(node.port)
    got = [c.ask(b"x")[:1] for _ in range(10)]
    assert got.count(b"a") == got.count(b"b") == 5


def test_several_answers(site, answerers):
    node = start(site, [answerers(b"a", times=3).port], replies=3)
    c = Client(node.port)
    assert [c.ask(b"x"), c.sock.recv(100), c.sock.recv(100)] == [b"a:x"] * 3


def test_a_dead_instance_is_left(site, answerers):
    a, b = answerers(b"a"), answerers(b"b")
    node = start(site, [a.port, b.port], replies=0)
    clients = [Client(node.port) for _ in range(8)]
    for c in clients:
        c.ask(b"x")
    a.close()

    def all_by_b():
        for c in clients:
            c.sock.settimeout(0.2)
            try:
                if c.ask(b"y")[:1] != b"b":
                    return False
            except TimeoutError:
                return False
        return True

    until(all_by_b, 20, "every client to be with the instance that lives")


def test_silence_is_evidence_where_an_answer_is_due(site, answerers):
    quiet, good = answerers(b"q", times=0), answerers(b"g")
    node = start(site, [quiet.port, good.port], more="  balance = round-robin")

    def failed():
        c = Client(node.port)
        c.sock.send(b"x")
        return node.verdicts("names")[f"127.0.0.1:{quiet.port}"] == "failed"

    until(failed, 20, "the silent instance to be ejected")


def test_flows_end_and_are_counted(site, answerers):
    node = start(site, [answerers(b"a").port], replies=0)
    Client(node.port).ask(b"x")
    service = node.status()["services"][0]
    assert service["mode"] == "udp" and service["tunnels"] == 1 and service["relayed"] == 1
    until(lambda: node.status()["services"][0]["tunnels"] == 0, 10, "the flow to end by its time")


def test_a_new_proxy_takes_the_datagrams(site, answerers):
    """A question that the old one has passed on is still answered, and from where it was asked."""
    slow = Answerer(site.port(), b"s", times=0)
    node = start(site, [slow.port], replies=0)
    asked = Client(node.port)
    asked.sock.send(b"x")
    until(lambda: slow.seen, what="the question")
    old = node.pid("proxy")
    node.command("restart", "proxy")
    assert [p["pid"] for p in node.status()["proxies"] if p["role"] == "draining"] == [old]
    slow.sock.sendto(b"late", slow.seen[0][0])
    assert asked.sock.recv(100) == b"late"
    Client(node.port).sock.send(b"y")
    until(lambda: len(slow.seen) == 2, what="the question that the new one passes on")
    until(lambda: all(p["role"] == "accepting" for p in node.status()["proxies"]), 10, "the old flow to end by its time")
    slow.close()


def test_no_question_is_lost_while_proxies_change(site, answerers):
    node = start(site, [answerers(b"a").port, answerers(b"b").port], more="  balance = round-robin")
    client = Client(node.port)
    for i in range(3):
        restart = threading.Thread(target=node.command, args=("restart", "proxy"))
        restart.start()
        while restart.is_alive():
            assert client.ask(b"%d" % i)[1:] == b":%d" % i
        restart.join()


def test_flows_outlive_reloads(site, answerers):
    a, b = answerers(b"a"), answerers(b"b")
    node = start(site, [a.port], replies=0)
    c = Client(node.port)
    assert c.ask(b"x") == b"a:x"
    source = a.seen[-1][0]
    node.reload(config(node.port, [a.port, b.port], replies=0))
    assert c.ask(b"y") == b"a:y"
    assert a.seen[-1][0] == source, "the same flow"
    node.reload(config(node.port, [b.port], replies=0))
    assert c.ask(b"z") == b"b:z"


def test_stopping_does_not_wait_for_quiet_flows(site, answerers):
    node = start(site, [answerers(b"a").port], replies=0)
    Client(node.port).ask(b"x")
    assert node.terminate(seconds=5) == 0


def test_dig_through_a_real_name_server(site):
    """A name server and a client that know nothing of each other's proxy."""
    dnsmasq, dig = shutil.which("dnsmasq") or "/usr/sbin/dnsmasq", shutil.which("dig")
    assert os.path.exists(dnsmasq) and dig, "install dnsmasq-base and bind9-dnsutils"
    ports = [site.port(), site.port()]
    for p in ports:
        site.process([dnsmasq, "--keep-in-foreground", f"--port={p}", "--listen-address=127.0.0.1", "--bind-interfaces",
                      "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root", "--pid-file=",
                      "--address=/www.test.example/192.0.2.80"])
    node = start(site, ports)

    def asked():
        done = subprocess.run([dig, "+short", "+time=1", "+tries=1", "@127.0.0.1", "-p", str(node.port), "www.test.example"],
                              capture_output=True, text=True)
        return done.stdout.strip() == "192.0.2.80"

    until(asked, 20, "an answer")
    assert all(asked() for _ in range(20))
