"""What the proxy changes in a head, and what it must not (RFC 9110, 7.6; RFC 7239)."""

import pytest

from raw import OK, get, post


def forwarded(proxy, request):
    """The head that the origin saw for a request."""
    seen = []

    def behaviour(peer):
        while True:
            seen.append(peer.message())
            peer.send(OK)

    proxy.behave(behaviour)
    answer = proxy.exchange(request)
    assert answer.status == 200
    return seen[0]


def answered(proxy, response, request=None):
    """The answer that a client gets when the origin says these bytes and closes."""
    def behaviour(peer):
        peer.message()
        peer.send(response)

    proxy.behave(behaviour)
    return proxy.exchange(request or get())


def test_target_and_fields_arrive_as_sent(proxy):
    seen = forwarded(proxy, get("/a/../b?c=%20&d", "X-Plain: 1", "x-odd-CASE:  two words \t",
                                "X-Empty:", "X-Twice: a", "X-Twice: b"))
    assert seen.line == "GET /a/../b?c=%20&d HTTP/1.1"
    assert seen.get("x-plain") == "1"
    assert seen.get("x-odd-case") == "two words"
    assert seen.get("x-empty") == ""
    assert seen.fields["x-twice"] == ["a", "b"]
    assert seen.fields["host"] == ["test.example"]


def test_the_client_is_named(proxy):
    seen = forwarded(proxy, get())
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert seen.get("x-forwarded-proto") == "http"
    assert seen.get("x-forwarded-host") == "test.example"
    assert "for=127.0.0.1" in seen.get("forwarded")
    assert "proto=http" in seen.get("forwarded")
    assert "host=test.example" in seen.get("forwarded").replace('"', "")
    assert seen.get("via").startswith("1.1 ")


def test_earlier_hops_stay_named(proxy):
    seen = forwarded(proxy, get("/", "X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7",
                                "Via: 1.0 before"))
    assert seen.get("x-forwarded-for") == "192.0.2.7, 127.0.0.1"
    assert seen.get("forwarded").startswith("for=192.0.2.7, ")
    assert "for=127.0.0.1" in seen.get("forwarded").replace("for=192.0.2.7, ", "")
    assert seen.get("via").startswith("1.0 before, 1.1 ")


@pytest.mark.parametrize("field", ["Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
                                   "Proxy-Authorization: Basic eA==", "Upgrade: h2c", "TE: gzip"])
def test_hop_by_hop_fields_end_here(proxy, field):
    seen = forwarded(proxy, get("/", field))
    name = field.split(":")[0].lower()
    assert name not in seen or seen.get(name) != field.split(": ")[1]


def test_fields_named_by_connection_end_here(proxy):
    seen = forwarded(proxy, get("/", "Connection: keep-alive, X-Private", "X-Private: secret",
                                "X-Public: 1"))
    assert "x-private" not in seen
    assert seen.get("x-public") == "1"
    assert "x-private" not in (seen.get("connection") or "").lower()


def test_connection_cannot_remove_what_frames_the_message(proxy):
    seen = forwarded(proxy, post(b"hello", "Connection: content-length, host"))
    assert seen.content == b"hello"
    assert seen.get("host") == "test.example"


def test_an_absolute_target_names_the_host(proxy):
    seen = forwarded(proxy, get("http://other.example/path?q"))
    assert seen.get("host") == "other.example"
    assert seen.line.split()[1] in ("/path?q", "http://other.example/path?q")


def test_the_answers_fields_arrive_and_hops_do_not(proxy):
    head = (b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-App: 1\r\nSet-Cookie: a=1\r\n"
            b"Set-Cookie: b=2\r\nKeep-Alive: timeout=1\r\nConnection: X-Hop\r\nX-Hop: no\r\n\r\nhi")
    answer = answered(proxy, head)
    assert answer.status == 200 and answer.content == b"hi"
    assert answer.get("x-app") == "1"
    assert answer.fields["set-cookie"] == ["a=1", "b=2"]
    assert "x-hop" not in answer and "keep-alive" not in answer
    assert answer.get("via").startswith("1.1 ")
    assert "date" in answer


def test_a_head_answer_keeps_its_length_and_has_no_body(proxy):
    def behaviour(peer):
        while True:
            assert peer.head().line.startswith("HEAD ")
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")

    proxy.behave(behaviour)
    peer = proxy.connect()
    for _ in range(2):
        peer.send(get(method="HEAD"))
        head = peer.head()
        assert head.status == 200 and head.get("content-length") == "1000"
    assert peer.buffer == b""


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_body_keeps_the_connection(proxy, status):
    def behaviour(peer):
        while True:
            peer.head()
            length = b"Content-Length: 5\r\n" if status == 304 else b""
            peer.send(b"HTTP/1.1 %d X\r\n%sETag: x\r\n\r\n" % (status, length))

    proxy.behave(behaviour)
    peer = proxy.connect()
    for _ in range(2):
        peer.send(get())
        head = peer.head()
        assert head.status == status and head.get("etag") == "x"
        assert "transfer-encoding" not in head
    assert peer.buffer == b""


@pytest.mark.parametrize("response", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: x=1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 OK\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
], ids=["two-lengths", "length-and-chunked", "bare-cr", "nul", "space-colon", "folded", "no-status",
        "not-http"])
def test_an_ambiguous_answer_becomes_502(proxy, response):
    answer = answered(proxy, response, post(b"x"))
    assert answer.status == 502
    assert "set-cookie" not in answer


def test_no_answer_is_split_off(proxy):
    """Bytes after an answer belong to nobody: they are not the answer to the next request."""
    def behaviour(peer):
        peer.message()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                  b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        while True:
            peer.message()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")

    proxy.behave(behaviour)
    peer = proxy.connect()
    for _ in range(2):
        peer.send(get())
        answer = peer.message()
        assert (answer.status, answer.content) == (200, b"ok"), answer.raw
        proxy.behave(lambda p: (p.message(), p.send(OK)))
