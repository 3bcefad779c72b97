"""A request of which no byte was written is always retried; a non-idempotent one of which any byte
was written is never sent again; idempotent ones are, on another instance, with their bodies."""

import pytest

from raw import OK, get, post


def counted(behaviour, seen):
    """Records the heads that arrive anywhere, then does what it is told."""
    def run(peer):
        while True:
            m = peer.message()
            seen.append((peer, m, peer.port))
            if not behaviour(peer, len(seen)):
                return
    return run


def fail_first(how):
    def behaviour(peer, n):
        if n == 1:
            return how(peer)
        peer.send(OK)
        return True
    return behaviour


def resets(peer):
    peer.reset()


def closes(peer):
    return False


def says_500(peer):
    peer.send(b"HTTP/1.1 500 Sick\r\nContent-Length: 4\r\n\r\nsick")
    return True


def says_nothing(peer):
    peer.read_to_end()


def says_half_a_head(peer):
    peer.send(b"HTTP/1.1 200 O")


FAILURES = {"reset": (resets, 502), "close": (closes, 502), "500": (says_500, 500),
            "silence": (says_nothing, 504), "half a head": (says_half_a_head, 502)}


REQUESTS = {"GET": get("/x"), "PUT": post(b"b" * 50000, method="PUT"),
            "DELETE": get("/x", method="DELETE")}


@pytest.mark.parametrize("method", REQUESTS)
@pytest.mark.parametrize("how", FAILURES)
def test_an_idempotent_request_is_retried_elsewhere(make_proxy, how, method):
    proxy = make_proxy(origins=3)
    seen = []
    proxy.behave(counted(fail_first(FAILURES[how][0]), seen))
    answer = proxy.exchange(REQUESTS[method])
    assert answer.status == 200 and answer.content == b"ok"
    assert len(seen) == 2
    assert seen[0][2] != seen[1][2], "the same instance was asked again"
    assert seen[1][1].content == seen[0][1].content
    assert seen[1][1].line == seen[0][1].line


ONCE = {"POST": post(b"pay"), "empty POST": post(b""), "bare POST": get(method="POST"),
        "PATCH": post(b"pay", method="PATCH"), "unknown": get(method="PAY")}


@pytest.mark.parametrize("what", ONCE)
@pytest.mark.parametrize("how", FAILURES)
def test_a_post_is_never_sent_twice(make_proxy, how, what):
    proxy = make_proxy(origins=3)
    seen = []
    proxy.behave(counted(fail_first(FAILURES[how][0]), seen))
    answer = proxy.exchange(ONCE[what])
    assert answer.status == FAILURES[how][1]
    assert len(seen) == 1


def test_a_post_is_not_sent_twice_over_a_kept_connection(make_proxy):
    """The usual trap: an idle connection that the origin has just closed."""
    proxy = make_proxy(origins=2)
    seen = []
    proxy.behave(counted(lambda peer, n: peer.send(OK), seen))  # one answer a connection
    statuses = []
    peer = proxy.connect()
    for i in range(60):
        peer.send(post(b"pay", target=f"/{i}"))
        statuses.append(peer.message().status)
    lines = [m.line for _, m, _ in seen]
    assert len(lines) == len(set(lines))
    assert set(statuses) <= {200, 502}
    assert lines.count("POST /0 HTTP/1.1") == 1


def test_a_refused_connection_costs_nobody_anything(make_proxy):
    proxy = make_proxy(origins=3)
    for o in proxy.origins[:2]:
        o.refuse()
    for i in range(20):
        request = post(b"pay") if i % 2 else get()
        assert proxy.exchange(request).status == 200


def test_a_body_too_large_to_keep_is_not_replayed(make_proxy):
    proxy = make_proxy(origins=3)
    seen = []
    proxy.behave(counted(fail_first(resets), seen))
    answer = proxy.exchange(post(b"b" * 500_000, method="PUT"))
    assert answer.status == 502
    assert len(seen) == 1


def test_attempts_are_bounded(make_proxy):
    proxy = make_proxy(origins=3)
    seen = []
    proxy.behave(counted(lambda peer, n: says_500(peer), seen))
    answer = proxy.exchange(get())
    assert answer.status == 500 and answer.content == b"sick"
    assert len(seen) == 3


def says_half_an_answer(peer):
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")


def test_half_of_a_short_answer_costs_an_attempt(make_proxy):
    proxy = make_proxy(origins=3)
    seen = []
    proxy.behave(counted(fail_first(says_half_an_answer), seen))
    answer = proxy.exchange(get())
    assert answer.status == 200 and answer.content == b"ok"
    assert len(seen) == 2


def test_a_started_answer_is_not_retried(make_proxy):
    proxy = make_proxy(origins=3)
    seen = []

    def behaviour(peer, n):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf")

    proxy.behave(counted(behaviour, seen))
    peer = proxy.connect()
    peer.send(get())
    assert peer.head().status == 200
    assert peer.read_to_end() == b"half"
    assert len(seen) == 1


def test_the_budget_bounds_retries(make_proxy):
    """A sick service does not get its own load doubled: share plus a small reserve."""
    proxy = make_proxy(origins=3)
    seen = []
    proxy.behave(counted(lambda peer, n: says_500(peer), seen))
    peer = proxy.connect()
    for _ in range(300):
        peer.send(get())
        answer = peer.message()
        assert answer.status in (500, 503), (answer.raw, answer.content, len(seen))
    assert len(seen) < 300 * 1.2 + 60, f"{len(seen)} attempts for 300 requests"
