"""Two parties that read one message differently are how requests are smuggled: every ambiguous
framing is refused, the connection ends, and the origin sees not a byte (RFC 9112, 2.2, 5, 6, 7)."""

import re

from raw import get

H = "Host: test.example\r\n"
GET = "GET / HTTP/1.1\r\n"
POST = "POST / HTTP/1.1\r\n"

REFUSED = {
    "length-and-chunked": POST + H + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked-and-length": POST + H + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two-lengths": POST + H + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "same-length-twice": POST + H + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "length-list": POST + H + "Content-Length: 4, 4\r\n\r\nabcd",
    "length-plus": POST + H + "Content-Length: +4\r\n\r\nabcd",
    "length-minus": POST + H + "Content-Length: -1\r\n\r\n",
    "length-hex": POST + H + "Content-Length: 0x4\r\n\r\nabcd",
    "length-empty": POST + H + "Content-Length:\r\n\r\n",
    "length-words": POST + H + "Content-Length: 4 4\r\n\r\nabcd",
    "length-huge": POST + H + "Content-Length: 18446744073709551617\r\n\r\na",
    "chunked-not-last": POST + H + "Transfer-Encoding: chunked, gzip\r\n\r\n",
    "chunked-twice": POST + H + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked-in-two-fields": POST + H + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
    "coding-unknown": POST + H + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding-tab": POST + H + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding-in-1.0": "POST / HTTP/1.0\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded": GET + H + "X: a\r\n b\r\n\r\n",
    "folded-first": GET + " " + H + "\r\n",
    "space-colon": POST + H + "Content-Length : 4\r\n\r\nabcd",
    "tab-colon": POST + H + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "bare-cr": GET + H + "X: a\rY: b\r\n\r\n",
    "bare-lf": "GET / HTTP/1.1\nHost: test.example\n\n",
    "bare-lf-inside": GET + H + "X: a\nContent-Length: 4\r\n\r\nabcd",
    "nul-in-value": GET + H + "X: a\x00b\r\n\r\n",
    "nul-in-name": GET + H + "X\x00: a\r\n\r\n",
    "name-not-token": GET + H + "X(y): a\r\n\r\n",
    "name-empty": GET + H + ": a\r\n\r\n",
    "no-colon": GET + H + "Xyz\r\n\r\n",
    "method-not-token": "G\x01T / HTTP/1.1\r\n" + H + "\r\n",
    "two-spaces": "GET  / HTTP/1.1\r\n" + H + "\r\n",
    "no-version": "GET /\r\n" + H + "\r\n",
    "no-host": GET + "\r\n",
    "two-hosts": GET + H + "Host: other.example\r\n\r\n",
    "host-with-path": GET + "Host: a/b\r\n\r\n",
    "space-in-target": "GET /a b HTTP/1.1\r\n" + H + "\r\n",
}

REFUSED_BODIES = {
    "size-not-hex": "xyz\r\n",
    "size-empty": "\r\n",
    "size-plus": "+4\r\nabcd\r\n0\r\n\r\n",
    "size-0x": "0x4\r\nabcd\r\n0\r\n\r\n",
    "size-huge": "11111111111111111\r\n",
    "size-space": "4 \r\nabcd\r\n0\r\n\r\n",
    "size-lf": "4\nabcd\r\n0\r\n\r\n",
    "extension-lf": "4;a=b\nabcd\r\n0\r\n\r\n",
    "extension-cr": "4;a\rb\r\nabcd\r\n0\r\n\r\n",
    "no-crlf-after": "4\r\nabcdX0\r\n\r\n",
    "lf-after": "4\r\nabcd\n0\r\n\r\n",
    "trailer-folded": "0\r\nX: a\r\n b\r\n\r\n",
    "trailer-space": "0\r\nX : a\r\n\r\n",
}




def all_said(peer):
    try:
        return peer.read_to_end()
    except TimeoutError:
        return b"nothing, for too long"


def test_ambiguous_heads_are_refused(proxy):
    wrong = []
    for name, request in REFUSED.items():
        peer = proxy.connect(seconds=3)
        # what would be smuggled, if the proxy read on
        peer.send(request.encode("latin-1") + get("/smuggled"))
        said = all_said(peer)
        peer.close()
        status = said[9:12]
        if status not in (b"400", b"501", b"505", b"411") or len(re.findall(rb"HTTP/1\.1 \d{3} ", said)) != 1:
            wrong.append((name, said[:80]))
    assert wrong == []
    assert proxy.origin.received == b"", "the origin saw bytes of a refused request"


def test_ambiguous_bodies_end_the_connection(proxy):
    """The head may be with the origin already: the origin must then not see a complete request."""
    wrong = []
    for name, body in REFUSED_BODIES.items():
        complete = []

        def behaviour(peer):
            complete.append(peer.message())
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        proxy.behave(behaviour)
        peer = proxy.connect(seconds=3)
        peer.send((POST + H + "Transfer-Encoding: chunked\r\n\r\n" + body).encode("latin-1")
                  + get("/smuggled"))
        said = all_said(peer)
        peer.close()
        if said and said[9:12] not in (b"400", b"502") or complete:
            wrong.append((name, said[:80], [m.line for m in complete]))
    assert wrong == []
    assert b"/smuggled" not in proxy.origin.received


def test_byte_by_byte_is_the_same(proxy):
    peer = proxy.connect()
    for b in get("/slow", "X-A: 1") :
        peer.send(bytes([b]))
    assert peer.message().status == 200
    peer.close()
    peer = proxy.connect()
    for b in (POST + H + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n").encode():
        peer.send(bytes([b]))
    assert peer.message().status == 400
    assert peer.ended()


def test_an_empty_line_before_a_request_is_skipped(proxy):
    peer = proxy.connect()
    peer.send(b"\r\n" + get())
    assert peer.message().status == 200
