"""Bodies: whole, chunked, huge, slow, early, cut (RFC 9112, 6 to 8; RFC 9110, 10.1.1)."""

import hashlib
import os
import threading

import pytest

from holdfast import SANITIZED, until
from raw import OK, Closed, chunks, get, post

BIG = int(os.environ.get("HOLDFAST_BIG", 256 << 20))
BLOCK = bytes(range(256)) * 1024


def echo(peer):
    """Answers a request with its own content, and with its trailers."""
    while True:
        m = peer.message()
        if "transfer-encoding" in m:
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n")
            peer.send(chunks(m.content, trailers=m.trailers) if m.content else chunks())
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(m.content) + m.content)


@pytest.mark.parametrize("size", [0, 1, 4095, 16384, 65536, 65537, 1 << 20])
def test_a_body_arrives_whole(proxy, size):
    proxy.behave(echo)
    body = os.urandom(size)
    peer = proxy.connect()
    for _ in range(2):
        peer.send(post(body))
        assert peer.message().content == body


def test_chunked_both_ways_with_trailers(proxy):
    proxy.behave(echo)
    peer = proxy.connect()
    for _ in range(2):
        peer.send(get("/", "Transfer-Encoding: chunked", "Trailer: X-T", "TE: trailers",
                      method="POST") + chunks(b"hello ", b"w" * 70000, trailers=["X-T: 1"]))
        m = peer.message()
        assert m.content == b"hello " + b"w" * 70000
        assert m.trailers in (["X-T: 1"], [])


def test_chunked_in_single_bytes(proxy):
    proxy.behave(echo)
    peer = proxy.connect()
    for b in get("/", "Transfer-Encoding: chunked", method="POST") + chunks(b"ab", b"c" * 20):
        peer.send(bytes([b]))
    assert peer.message().content == b"ab" + b"c" * 20


def test_chunk_extensions_do_no_harm(proxy):
    proxy.behave(echo)
    answer = proxy.exchange(get("/", "Transfer-Encoding: chunked", method="POST")
                            + b'5;a=b;c="d e"\r\nhello\r\n0\r\n\r\n')
    assert answer.content == b"hello"


def test_expect_100_continue(proxy):
    def behaviour(peer):
        head = peer.head()
        if "expect" in head:
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = peer.body(head)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    proxy.behave(behaviour)
    peer = proxy.connect()
    peer.send(get("/", "Content-Length: 5", "Expect: 100-continue", method="POST"))
    assert peer.head().status == 100
    peer.send(b"hello")
    final = peer.message()
    assert final.status == 200 and final.content == b"hello"


def test_expect_100_continue_refused(proxy):
    """A final status instead of 100: the client keeps its body."""
    def behaviour(peer):
        peer.head()
        peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    proxy.behave(behaviour)
    peer = proxy.connect()
    peer.send(get("/", "Content-Length: 5", "Expect: 100-continue", method="POST"))
    head = peer.head()
    while head.status == 100:  # a proxy may say it on its own behalf
        head = peer.head()
    assert head.status == 403


def test_interim_answers_are_passed_on(proxy):
    def behaviour(peer):
        peer.message()
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK)

    proxy.behave(behaviour)
    peer = proxy.connect()
    peer.send(get())
    head = peer.head()
    if head.status == 103:
        assert head.get("link") == "</a.css>"
        head = peer.head()
    assert head.status == 200 and peer.body(head) == b"ok"


def test_an_early_answer_arrives(proxy):
    """The origin answers and closes while the body is still on its way."""
    def behaviour(peer):
        peer.head()
        peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n"
                  b"Connection: close\r\n\r\nbig")

    proxy.behave(behaviour)
    peer = proxy.connect()
    peer.send(get("/", "Content-Length: 10000000", method="POST") + b"x" * 1000)
    answer = peer.message()
    assert answer.status == 413 and answer.content == b"big"


def test_a_cut_answer_is_not_made_whole(proxy):
    cut = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ]
    for data in cut:
        def behaviour(peer, data=data):
            peer.message()
            peer.send(data)

        proxy.behave(behaviour)
        peer = proxy.connect()
        peer.send(post(b"x"))
        head = peer.head()
        assert head.status == 200
        with pytest.raises(Closed):
            peer.body(head)
        peer.close()


def test_a_stream_is_passed_on_as_it_comes(proxy):
    """Server-sent events: each part must arrive before the next is made."""
    client_has = threading.Semaphore(0)

    def behaviour(peer):
        peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            peer.send(b"5\r\nevent\r\n")
            assert client_has.acquire(timeout=10)
        peer.send(b"0\r\n\r\n")

    proxy.behave(behaviour)
    peer = proxy.connect()
    peer.send(get())
    assert peer.head().status == 200
    for _ in range(5):
        assert peer.read_through(b"event\r\n").endswith(b"event\r\n")
        client_has.release()
    assert peer.read_through(b"0\r\n\r\n")


def test_a_body_until_close_reaches_both_kinds_of_client(proxy):
    def behaviour(peer):
        peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"z" * 100000)

    proxy.behave(behaviour)
    assert proxy.exchange(get()).content == b"z" * 100000
    old = proxy.exchange(get(version="1.0"))
    assert "transfer-encoding" not in old and old.content == b"z" * 100000


def test_an_http_1_0_client_gets_no_chunks(proxy):
    def behaviour(peer):
        peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"ab", b"cd"))

    proxy.behave(behaviour)
    peer = proxy.connect()
    peer.send(get(version="1.0"))
    head = peer.head()
    assert "transfer-encoding" not in head
    assert peer.read_to_end() == b"abcd"


# ---- big and slow ----


def rss_kb(proxy):
    with open(f"/proc/{proxy.node.pid('proxy')}/status") as f:
        return int([line for line in f if line.startswith("VmHWM")][0].split()[1])


def produce(peer, size, digest):
    sent = 0
    while sent < size:
        part = BLOCK[: min(len(BLOCK), size - sent)]
        digest.update(part)  # before the other side can have it, and compare
        peer.send(part)
        sent += len(part)


def consume(peer, size, digest):
    peer.keep = False
    while size:
        if not peer.buffer:
            peer._more()
        part, peer.buffer = peer.buffer[:size], peer.buffer[size:]
        digest.update(part)
        size -= len(part)


def test_huge_bodies_stream_in_bounded_memory(proxy):
    sums = {name: hashlib.blake2b() for name in ("up-in", "up-out", "down-in", "down-out")}

    def behaviour(peer):
        peer.keep = False
        peer.head()
        consume(peer, BIG, sums["up-out"])
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
        produce(peer, BIG, sums["down-in"])

    proxy.behave(behaviour)
    before = rss_kb(proxy)
    peer = proxy.connect(seconds=60)
    peer.send(get("/", f"Content-Length: {BIG}", method="POST"))
    produce(peer, BIG, sums["up-in"])
    assert peer.head().status == 200
    consume(peer, BIG, sums["down-out"])
    assert sums["up-in"].digest() == sums["up-out"].digest()
    assert sums["down-in"].digest() == sums["down-out"].digest()
    grown = rss_kb(proxy) - before
    proxy.site.report(f"{2 * BIG >> 20} MiB went through; the proxy's memory grew by {grown} KiB")
    assert grown < (64 if SANITIZED else 8) * 1024     # a sanitizer keeps what was freed for a while


def test_a_slow_reader_holds_the_origin_back(proxy):
    """What the client does not read must wait at the origin, not in the proxy."""
    sent = [0]
    go_on = threading.Event()

    def behaviour(peer):
        peer.keep = False
        peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
        while sent[0] < BIG:
            peer.send(BLOCK)
            sent[0] += len(BLOCK)

    proxy.behave(behaviour)
    before = rss_kb(proxy)
    peer = proxy.connect(seconds=60)
    peer.send(get())
    assert peer.head().status == 200
    last = [-1]

    def stands_still():
        go_on.wait(0.3)
        still, last[0] = sent[0] == last[0], sent[0]
        return still

    until(stands_still, 20, "the origin to be held back")
    assert sent[0] < 64 << 20, "the origin was never held back"
    assert rss_kb(proxy) - before < 8 * 1024
    consume(peer, BIG, hashlib.blake2b())


def test_a_slow_origin_holds_the_client_back(proxy):
    let_go = threading.Event()

    def behaviour(peer):
        peer.keep = False
        head = peer.head()
        let_go.wait(30)
        consume(peer, int(head.get("content-length")), hashlib.blake2b())
        peer.send(OK)

    proxy.behave(behaviour)
    before = rss_kb(proxy)
    peer = proxy.connect(seconds=60)
    peer.send(get("/", f"Content-Length: {64 << 20}", method="POST"))
    sent = [0]

    def sender():
        while sent[0] < 64 << 20:
            peer.send(BLOCK)
            sent[0] += len(BLOCK)

    thread = threading.Thread(target=sender, daemon=True)
    thread.start()
    last = [-1]

    def stands_still():
        thread.join(0.3)
        still, last[0] = sent[0] == last[0], sent[0]
        return still

    until(stands_still, 20, "the client to be held back")
    assert sent[0] < 64 << 20
    assert rss_kb(proxy) - before < 8 * 1024
    let_go.set()
    assert peer.message().status == 200
