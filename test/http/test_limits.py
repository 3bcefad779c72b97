"""What is too large, too many or too slow is refused with its own status, in bounded time."""

import time

from holdfast import PATIENCE
from raw import get, post

SETTINGS = """
  timeout { connect = 500ms  first-byte = 400ms  request-head = 300ms  client-idle = 500ms
            idle = 400ms  tunnel = 400ms }
  retry { on = {connect, reset}  attempts = 3  budget = 20% }
  limit { head = 4k  fields = 20  body = 10k }
"""


def small(make_proxy, **options):
    return make_proxy(settings=SETTINGS, **options)


def took(function, least, most):
    """The function's result; its time must lie within the bounds."""
    began = time.monotonic()
    result = function()
    seconds = time.monotonic() - began
    assert least <= seconds <= most * PATIENCE + least, f"took {seconds:.2f} s"
    return result


def test_a_head_that_is_too_large(make_proxy):
    proxy = small(make_proxy)
    assert proxy.exchange(get("/", "X: " + "a" * 3000)).status == 200
    before = proxy.origin.received
    answer = proxy.exchange(get("/", "X: " + "a" * 5000))
    assert answer.status == 431
    assert proxy.exchange(get("/" + "a" * 5000)).status in (414, 431)
    assert proxy.origin.received == before


def test_too_many_fields(make_proxy):
    proxy = small(make_proxy)
    assert proxy.exchange(get("/", *[f"X-{i}: 1" for i in range(15)])).status == 200
    assert proxy.exchange(get("/", *[f"X-{i}: 1" for i in range(40)])).status == 431


def test_a_body_that_is_too_large(make_proxy):
    proxy = small(make_proxy)
    assert proxy.exchange(post(b"x" * 10000)).status == 200
    peer = proxy.connect()
    peer.send(get("/", "Content-Length: 20000", method="POST"))  # refused before it is sent
    assert peer.head().status == 413


def test_a_chunked_body_that_grows_too_large(make_proxy):
    proxy = small(make_proxy)
    peer = proxy.connect()
    try:
        peer.send(get("/", "Transfer-Encoding: chunked", method="POST")
                  + b"1000\r\n" + b"x" * 4096 + b"\r\n")
        for _ in range(10):
            peer.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass
    said = peer.read_to_end()
    assert said[9:12] in (b"413", b""), said[:100]


def test_an_answers_head_that_is_too_large(make_proxy):
    proxy = small(make_proxy)

    def behaviour(peer):
        peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100000 + b"\r\nContent-Length: 0\r\n\r\n")

    proxy.behave(behaviour)
    assert proxy.exchange(post(b"x")).status == 502


def test_a_head_that_comes_too_slowly(make_proxy):
    proxy = small(make_proxy)
    peer = proxy.connect()
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    answer = took(peer.message, 0.2, 1)
    assert answer.status == 408
    assert peer.ended()


def test_a_connection_without_a_request_ends(make_proxy):
    proxy = small(make_proxy)
    peer = proxy.connect()
    assert took(peer.ended, 0.2, 2)
    peer = proxy.connect()
    peer.send(get())
    assert peer.message().status == 200
    assert took(peer.ended, 0.3, 2)


def test_no_first_byte_is_504(make_proxy):
    proxy = small(make_proxy)

    def behaviour(peer):
        peer.message()
        peer.read_to_end()

    proxy.behave(behaviour)
    answer = took(lambda: proxy.exchange(post(b"x")), 0.3, 1)
    assert answer.status == 504


def test_an_answer_that_stops_is_cut(make_proxy):
    proxy = small(make_proxy)

    def behaviour(peer):
        peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf")
        peer.read_to_end()

    proxy.behave(behaviour)
    peer = proxy.connect()
    peer.send(get())
    assert peer.head().status == 200
    assert took(peer.read_to_end, 0.2, 2) == b"half"


def test_a_request_body_that_stops_ends(make_proxy):
    proxy = small(make_proxy)
    complete = []
    proxy.behave(lambda peer: complete.append(peer.message()))
    peer = proxy.connect()
    peer.send(get("/", "Content-Length: 100", method="POST") + b"part")
    said = took(peer.read_to_end, 0.2, 2)
    assert said[9:12] in (b"408", b"")
    assert complete == []


def test_a_silent_tunnel_ends(make_proxy):
    proxy = small(make_proxy)

    def behaviour(peer):
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                  b"Upgrade: x\r\n\r\n")
        peer.read_to_end()

    proxy.behave(behaviour)
    peer = proxy.connect()
    peer.send(get("/", "Connection: upgrade", "Upgrade: x"))
    assert peer.head().status == 101
    assert took(peer.ended, 0.3, 2)


def test_nobody_to_ask_is_503_at_once(make_proxy):
    proxy = small(make_proxy)
    proxy.origin.refuse()
    peer = proxy.connect()
    for method in ("GET", "POST"):
        peer.send(get("/", "Content-Length: 0", method=method))
        answer = took(peer.message, 0, 1)
        assert answer.status in (502, 503)
