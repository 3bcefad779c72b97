"""How a node is asked: one connection, kept, and what happens when it breaks between two questions."""
import json
import socket
import threading

import pytest

from node import event, silent, status

BATCH = 1000    # events asked for at once: a full batch makes the next question follow


def batch(first, n):
    return {"schema": "holdfast.events.v1", "lost": 0, "next": first + n - 1, "events": [event(first + i) for i in range(n)]}


def head(c):
    data = b""
    while b"\r\n\r\n" not in data:
        data += c.recv(65536)
    return data.decode()


def plain(answer):
    text = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


def chunked(answer):
    text = json.dumps(answer).encode()
    chunks = [text[i:i + 7] for i in range(0, len(text), 7)]
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n")


@pytest.fixture
def play(tmp_path):
    """play(f) runs f(listening socket) beside the test and returns a function that waits for what f returned."""
    with silent(tmp_path) as s:
        s.settimeout(20)

        def go(f):
            result = []
            thread = threading.Thread(target=lambda: result.append(f(s)))
            thread.start()
            return lambda: thread.join() or result[0]
        yield go


def test_one_connection_serves_many_questions(run, node):
    node.answer("GET", "/v1/events", lambda q: batch(1, BATCH) if q["after"] == "0" else batch(BATCH + 1, 1))
    r = run("events", "--since", "0", "--json", "--state", node.state)
    assert (r.returncode, r.stdout.count("\n"), len(node.asked), len(node.connections)) == (0, BATCH + 1, 2, 1)


def test_a_kept_connection_that_was_closed_is_made_again(run, tmp_path, play):
    def serve(s):
        for answer in batch(1, BATCH), batch(BATCH + 1, 1):
            c, _ = s.accept()
            with c:
                head(c)
                c.sendall(plain(answer))
        return True
    served = play(serve)
    r = run("events", "--since", "0", "--json", "--state", str(tmp_path))
    assert served()
    assert (r.returncode, r.stderr, r.stdout.count("\n")) == (0, "", BATCH + 1)


@pytest.mark.parametrize("form", [plain, chunked, lambda a: b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(a).encode()])
def test_every_framing_is_read(run, tmp_path, play, form):
    def serve(s):
        c, _ = s.accept()
        with c:
            asked = head(c)
            c.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + form(status([])))
        return asked
    asked = play(serve)
    r = run("status", "--json", "--state", str(tmp_path))
    assert (r.returncode, json.loads(r.stdout)) == (0, status([]))
    assert asked().startswith("GET /v1/status HTTP/1.1\r\nHost: ")


@pytest.mark.parametrize("answer, why", [
    (b"nonsense\r\n\r\n", "broke off its answer"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "broke off its answer"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{", "larger than this program accepts"),
])
def test_what_is_no_answer(run, tmp_path, play, answer, why):
    def serve(s):
        c, _ = s.accept()
        with c:
            head(c)
            c.sendall(answer)
            return c.recv(1)
    closed = play(serve)
    r = run("status", "--state", str(tmp_path))
    assert closed() == b""
    assert (r.returncode, r.stdout) == (3, "") and why in r.stderr


def test_a_queue_without_room_is_a_node_that_does_not_answer(run, tmp_path):
    """A stopped control process, asked by many already."""
    with silent(tmp_path) as s:
        s.listen(0)
        full = []
        while not full or full[-1].connect_ex(f"{tmp_path}/admin.sock") == 0:
            full.append(socket.socket(socket.AF_UNIX))
            full[-1].setblocking(False)
        r = run("status", "--state", str(tmp_path))
        for c in full:
            c.close()
    assert (r.returncode, r.stdout) == (3, "")
    assert "does not answer: its control process is stopped or overloaded" in r.stderr


def test_a_name_without_end_is_refused(run, node):
    r = run("drain", "web/" + "x" * 20000, "--state", node.state)
    assert r.returncode == 3 and "too long" in r.stderr and node.asked == []
