"""Placement by key, and algorithms that leave a slow instance alone, through the whole daemon."""

import socket

import pytest

import raw
from raw import OK, get


def named(name):
    """Answers every request with its own name."""
    def behaviour(peer):
        while True:
            peer.message()
            peer.send(OK.replace(b"ok", name))
    return behaviour


@pytest.fixture
def web(site):
    made = []

    def start(more, names=(b"aa", b"bb", b"cc"), tail=lambda i: ""):
        origins = [raw.Origin(site.port(), named(n)) for n in names]
        made.extend(origins)
        port = site.port()
        backends = "\n".join(f"  backend {o.address} {tail(i)}" for i, o in enumerate(origins))
        node = site.node(f"service web {{\n listen = http://127.0.0.1:{port}\n{backends}\n check = none\n{more}\n}}\n", port)
        return node, origins

    yield start
    for o in made:
        o.close()


def ask(node, *fields, target="/"):
    peer = raw.connect(node.port)
    peer.send(get(target, *fields))
    head = peer.message()
    peer.close()
    assert head.status == 200
    return head.content


@pytest.mark.parametrize("algorithm", ["consistent-hash", "maglev", "source-hash"])
@pytest.mark.parametrize("key, request_of", [
    ("header:X-User", lambda u: (("X-User: %d" % u,), "/")),
    ("cookie:id", lambda u: (("Cookie: a=b; id=%d" % u,), "/")),
    ("query:u", lambda u: ((), "/x?y=1&u=%d" % u)),
    ("path", lambda u: ((), "/user/%d?time=now" % u)),
])
def test_a_key_has_one_place(web, algorithm, key, request_of):
    node, _ = web(f"  balance = {algorithm}\n  hash-key = {key}")
    place = {}
    for _ in range(3):
        for user in range(30):
            fields, target = request_of(user)
            answer = ask(node, *fields, target=target)
            assert place.setdefault(user, answer) == answer
    assert len(set(place.values())) == 3, "every instance has some"


def test_one_client_is_one_key(web):
    node, _ = web("  balance = source-hash")
    assert len({ask(node) for _ in range(20)}) == 1


def test_a_key_moves_only_when_its_instance_fails(web):
    node, origins = web("  balance = consistent-hash\n  hash-key = header:X-User\n  eject { after = 2 }")
    before = {u: ask(node, f"X-User: {u}") for u in range(40)}
    gone = before[0]
    origins[(b"aa", b"bb", b"cc").index(gone)].close()
    for _ in range(3):
        for u in before:
            answer = ask(node, f"X-User: {u}")
            assert answer != gone
            if before[u] != gone:
                assert answer == before[u]


def test_the_second_group_waits(web):
    node, origins = web("  balance = round-robin\n  eject { after = 1 }", tail=lambda i: f"{{ priority = {i} }}" if i else "")
    assert {ask(node) for _ in range(12)} == {b"aa"}
    origins[0].close()
    assert {ask(node) for _ in range(12)} == {b"bb"}


@pytest.mark.parametrize("algorithm", ["two-choices", "least-time", "prequal", "least-requests"])
def test_a_slow_instance_gets_little(site, algorithm):
    backends = [site.backend() for _ in range(3)]
    port = site.port()
    lines = "\n".join(f"  backend {b.address}" for b in backends)
    node = site.node(f"service web {{\n listen = http://127.0.0.1:{port}\n{lines}\n balance = {algorithm}\n"
                     f" check {{ http = /health }}\n}}\n", port)
    node.await_all_healthy()
    backends[0].mode("slow")
    load = site.load(port, connections=32)
    load.carry(4000)
    figures = load.stop()
    assert load.failed(figures) == 0
    requests = {i["address"]: i["requests"] for i in node.status()["services"][0]["instances"]}
    total = sum(requests.values())
    assert requests[backends[0].address] < total / 6, f"{requests}: an even share is a third"


def test_instances_of_the_own_zone_are_preferred(web, site):
    node, origins = web("  balance = round-robin\n  eject { after = 1 }",
                        tail=lambda i: "{ zone = %s }" % "abb"[i])
    assert {ask(node) for _ in range(30)} == {b"aa", b"bb", b"cc"}  # this node says no zone
    with_zone = "zone = b\n" + open(node.file).read()
    node.reload(with_zone)
    assert {ask(node) for _ in range(60)} == {b"bb", b"cc"}
    for o in origins[1:]:
        o.refuse()
        for peer in o.peers:
            peer.sock.shutdown(socket.SHUT_RDWR)
    assert {ask(node) for _ in range(30)} == {b"aa"}
