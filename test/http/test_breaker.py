"""The breaker: a service that fails gets rest, its clients an answer at once, and it comes back by itself."""

import threading

import pytest

import raw
from holdfast import until
from metrics import metrics, of_service
from raw import OK, get

SICK = b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nsick"
BREAKER = "breaker { failed = 50%  least = 10  window = 10s  rest = 1s }"


class Service:
    def __init__(self, site, lines=BREAKER, listen="http"):
        self.answer = OK
        self.origin = raw.Origin(site.port(), self.behave)
        self.port = site.port()
        self.lines = lines
        self.node = site.node(self.config(), self.port)

    def config(self, more=""):
        return (f"workers = 2\nservice web {{\n  listen = http://127.0.0.1:{self.port}\n  check = none\n"
                f"  backend {self.origin.address}\n  eject {{ after = 0 }}\n  retry {{ attempts = 1 }}\n"
                f"  {self.lines}\n  {more}\n}}\n")

    def behave(self, peer):
        while True:
            peer.message()
            peer.send(self.answer)

    def ask(self):
        peer = raw.connect(self.port)
        try:
            peer.send(get())
            return peer.message()
        finally:
            peer.close()

    def await_open(self):
        """What came of a request is told once its answer is sent: the next one may meet another worker before."""
        until(lambda: of_service(self.node, "breaker_state") == 1)

    def statuses(self, n):
        return [self.ask().status for _ in range(n)]

    def served(self):
        return len([p for p in self.origin.peers]) and self.origin.received.count(b"GET / HTTP")


@pytest.fixture
def service(site):
    made = []

    def make(*args):
        made.append(Service(site, *args))
        return made[-1]

    yield make
    for m in made:
        m.origin.close()


def test_it_opens_rests_and_closes(service):
    s = service()
    assert s.statuses(9) == [200] * 9
    s.answer = SICK
    assert s.statuses(9) == [500] * 9     # 9 of 18 failed: open
    s.await_open()
    before = s.served()
    refused = s.ask()
    assert (refused.status, refused.get("retry-after")) == (503, "1")
    assert b"rest" in refused.content
    assert s.statuses(5) == [503] * 5
    assert s.served() == before, "the service had no rest"
    assert of_service(s.node, "breaker_state") == 1
    assert of_service(s.node, "broken_requests_total") == 6
    assert of_service(s.node, "opened_breakers_total") == 1
    assert "its breaker is open" in s.node.said()
    until(lambda: s.ask().status == 500)  # a probe, which fails: open again
    assert s.ask().status == 503
    s.answer = OK
    until(lambda: s.statuses(4) == [200] * 4)
    until(lambda: of_service(s.node, "breaker_state") == 0)
    assert "its breaker is closed" in s.node.said()


def test_few_failures_do_not_open_it(service):
    s = service()
    s.answer = SICK
    assert s.statuses(9) == [500] * 9
    s.answer = OK
    assert s.statuses(20) == [200] * 20
    s.answer = SICK
    assert s.statuses(9) == [500] * 9     # 18 of 38


def test_a_dead_service_is_not_asked(service):
    s = service()
    s.origin.refuse()
    assert s.statuses(10) == [503] * 10
    s.await_open()
    assert s.statuses(2) == [503] * 2
    assert of_service(s.node, "broken_requests_total") == 2


def test_what_our_own_limits_refuse_says_nothing(service):
    s = service(BREAKER + "\n  concurrency { requests = 1  queue = 0 }")
    held = threading.Event()

    def hold(peer):
        peer.message()
        held.wait(20)
        peer.send(OK)

    s.origin.behaviour = hold
    first = raw.connect(s.port, 20)
    first.send(get())
    until(lambda: s.origin.received)
    s.origin.behaviour = s.behave
    assert s.statuses(15) == [503] * 15
    held.set()
    assert first.message().status == 200
    first.close()
    until(lambda: s.ask().status == 200)
    assert of_service(s.node, "opened_breakers_total") == 0


def test_it_outlives_a_reload(service):
    s = service("breaker { failed = 50%  least = 10  window = 10s  rest = 30s }")
    s.answer = SICK
    assert s.statuses(10) == [500] * 10
    s.answer = OK
    assert s.ask().status == 503
    s.node.reload(s.config("limit { fields = 50 }"))
    assert s.statuses(4) == [503] * 4
    s.lines = "breaker { failed = 0% }"
    s.node.reload(s.config())
    assert s.statuses(4) == [200] * 4


def test_clients_that_leave_say_nothing(service):
    s = service()
    held = threading.Event()

    def hold(peer):
        peer.message()
        held.wait(20)

    s.origin.behaviour = hold
    for received in range(1, 16):
        peer = raw.connect(s.port)
        peer.send(get())
        until(lambda n=received: sum(bool(p.received) for p in s.origin.peers) == n)
        peer.reset()
    held.set()
    s.origin.behaviour = s.behave
    until(lambda: sum(n for name, n in metrics(s.node).items()
                      if name.startswith("holdfast_worker_client_connections")) == 0)
    assert s.statuses(5) == [200] * 5
    assert of_service(s.node, "opened_breakers_total") == 0
