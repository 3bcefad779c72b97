"""Connections: kept, pipelined, upgraded, shared (RFC 9112, 9; RFC 9110, 7.8)."""

import pytest

from raw import OK, get, post


def test_both_sides_keep_their_connections(proxy):
    peer = proxy.connect()
    for _ in range(50):
        peer.send(get())
        assert peer.message().status == 200
    workers = 1 + proxy.node.status()["workers"]
    assert len(proxy.origin.peers) <= workers


def test_connections_to_the_origin_are_shared_by_clients(proxy):
    for _ in range(50):
        assert proxy.exchange(get()).status == 200
    assert len(proxy.origin.peers) < 25


def test_a_connection_ends_when_the_client_asks(proxy):
    peer = proxy.connect()
    peer.send(get("/", "Connection: close"))
    answer = peer.message()
    assert answer.status == 200 and answer.get("connection") == "close"
    assert peer.ended()


def test_http_1_0_ends_unless_asked(proxy):
    peer = proxy.connect()
    peer.send(get(version="1.0"))
    assert peer.message().status == 200
    assert peer.ended()
    peer = proxy.connect()
    for _ in range(2):
        peer.send(get("/", "Connection: keep-alive", version="1.0"))
        answer = peer.message()
        assert answer.status == 200 and answer.get("connection") == "keep-alive"


def test_pipelined_requests_are_answered_in_order(proxy):
    def behaviour(peer):
        while True:
            m = peer.message()
            text = m.line.split()[1].encode() + m.content
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    proxy.behave(behaviour)
    peer = proxy.connect()
    peer.send(b"".join(get(f"/{i}") if i % 3 else post(b"body", target=f"/{i}")
                       for i in range(40)))
    for i in range(40):
        assert peer.message().content == f"/{i}".encode() + (b"" if i % 3 else b"body")


def test_pipelined_requests_before_a_half_close_are_answered(proxy):
    peer = proxy.connect()
    peer.send(get() * 5)
    peer.half_close()
    assert [peer.message().status for _ in range(5)] == [200] * 5
    assert peer.ended()


def test_a_bad_request_after_good_ones_does_not_cost_them(proxy):
    peer = proxy.connect()
    peer.send(get() + get() + b"BAD\r\n\r\n")
    assert [peer.message().status for _ in range(3)] == [200, 200, 400]
    assert peer.ended()


def test_an_origin_that_closes_idle_connections_costs_nothing(proxy):
    def behaviour(peer):
        peer.message()
        peer.send(OK)  # and the connection ends, without a word

    proxy.behave(behaviour)
    peer = proxy.connect()
    for i in range(30):
        peer.send(get(f"/{i}"))
        assert peer.message().status == 200


def tunnel(peer):
    """101, then everything comes back, until the client's half ends; then a last word."""
    head = peer.head()
    assert head.get("upgrade") == "echo" and "upgrade" in head.get("connection").lower()
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
              b"first")
    try:
        while True:
            peer.send(peer.read(1))
    finally:
        peer.send(b"bye")


def open_tunnel(proxy, early=b""):
    peer = proxy.connect()
    peer.send(get("/", "Connection: Upgrade", "Upgrade: echo") + early)
    head = peer.head()
    assert head.status == 101 and head.get("upgrade") == "echo"
    return peer


def test_a_tunnel_carries_bytes_both_ways_and_half_closes(proxy):
    proxy.behave(tunnel)
    peer = open_tunnel(proxy)
    assert peer.read(5) == b"first"
    for data in (b"hello", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 100):
        peer.send(data)
        assert peer.read(len(data)) == data
    peer.half_close()
    assert peer.read_to_end() == b"bye"


def test_bytes_sent_right_behind_the_upgrade_are_not_lost(proxy):
    proxy.behave(tunnel)
    peer = open_tunnel(proxy, early=b"early")
    assert peer.read(10) == b"firstearly"


def test_a_tunnel_ends_when_the_origin_ends_it(proxy):
    def behaviour(peer):
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                  b"Upgrade: echo\r\n\r\nbye")

    proxy.behave(behaviour)
    assert open_tunnel(proxy).read_to_end() == b"bye"


def test_a_refused_upgrade_is_an_ordinary_answer(proxy):
    peer = proxy.connect()
    for _ in range(2):
        peer.send(get("/", "Connection: upgrade", "Upgrade: echo"))
        assert peer.message().content == b"ok"


def test_101_that_nobody_asked_for_is_refused(proxy):
    def behaviour(peer):
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                  b"Upgrade: echo\r\n\r\nbytes")

    proxy.behave(behaviour)
    assert proxy.exchange(post(b"x")).status == 502


@pytest.mark.parametrize("method", ["OPTIONS", "DELETE", "PATCH", "PURGE"])
def test_other_methods_pass(proxy, method):
    seen = []

    def behaviour(peer):
        seen.append(peer.message().line)
        peer.send(OK)

    proxy.behave(behaviour)
    assert proxy.exchange(get(method=method)).status == 200
    assert seen == [f"{method} / HTTP/1.1"]
