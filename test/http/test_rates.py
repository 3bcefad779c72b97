"""Rate limits: what passes, what is told to who is refused, whose bucket it is, and what a reload leaves alone."""

import pytest

import raw
from holdfast import until
from metrics import of_service
from raw import get, post

FAST = "workers = 2\n"


class Limited:
    """One origin behind a service with these lines."""

    def __init__(self, site, lines):
        self.origin = raw.Origin(site.port())
        self.port = site.port()
        self.node = site.node(self.config(lines), self.port)

    def config(self, lines):
        return (f"{FAST}service web {{\n  listen = http://127.0.0.1:{self.port}\n  check = none\n"
                f"  backend {self.origin.address}\n{lines}\n}}\n")

    def ask(self, *args, **options):
        peer = raw.connect(self.port)
        try:
            peer.send(get(*args, **options))
            return peer.message()
        finally:
            peer.close()

    def statuses(self, n, *args):
        return [self.ask(*args).status for _ in range(n)]


@pytest.fixture
def limited(site):
    made = []

    def make(lines):
        made.append(Limited(site, lines))
        return made[-1]

    yield make
    for m in made:
        m.origin.close()


def test_a_burst_passes_then_429(limited):
    l = limited("rate { per = address  requests = 60  every = 60s  burst = 5 }")
    assert l.statuses(7) == [200] * 5 + [429] * 2    # over two workers, on connections of their own
    refused = l.ask()
    assert refused.get("retry-after") == "1"
    assert refused.get("ratelimit-policy") == '"address";q=60;w=60'
    assert refused.get("ratelimit") == '"address";r=0;t=1'
    assert b"try again" in refused.content
    assert of_service(l.node, "rate_limited_requests_total") == 3
    until(lambda: l.ask().status == 200)


def test_the_connection_goes_on_after_429(limited):
    l = limited("rate { per = all  requests = 1  every = 1h  burst = 1 }")
    peer = raw.connect(l.port)
    for wanted in (200, 429, 429):
        peer.send(get())
        assert peer.message().status == wanted
    peer.send(post(b"a body that nobody will read"))
    assert peer.message().status == 429
    assert peer.ended()
    assert b"POST" not in l.origin.received


def test_each_value_has_its_bucket(limited):
    l = limited("rate { per = header:X-Api-Key  requests = 1  every = 1h  burst = 2 }")
    for key in ("one", "two", "three"):
        assert l.statuses(3, "/", f"X-Api-Key: {key}") == [200, 200, 429]
    # without a key it counts for the address: leaving the key out is no way round
    assert l.statuses(3) == [200, 200, 429]


@pytest.mark.parametrize("per,one,two", [
    ("cookie:id", ("/", "Cookie: a=1; id=x"), ("/", "Cookie: id=y")),
    ("query:u", ("/?u=x&z=1",), ("/?u=y",)),
    ("path", ("/x?a",), ("/y?a",)),
])
def test_kinds(limited, per, one, two):
    l = limited(f"rate {{ per = {per}  requests = 1  every = 1h  burst = 1 }}")
    assert [l.statuses(2, *one), l.statuses(2, *two)] == [[200, 429], [200, 429]]


def test_the_service_and_its_route_limit_together(limited):
    l = limited("""
  rate { per = all  requests = 1  every = 1h  burst = 5 }
  route login { path = /login  rate { per = address  requests = 1  every = 1h  burst = 2 } }
""")
    assert l.statuses(3, "/login") == [200, 200, 429]
    assert l.statuses(3) == [200, 200, 429]


def test_header_rules_and_pages_hold_for_429(limited):
    l = limited("""
  rate { per = all  requests = 1  every = 1h  burst = 1 }
  response-set = "X-Said: yes"
  error-page 429 { text = "slow down"  type = text/plain }
""")
    l.ask()
    refused = l.ask()
    assert (refused.status, refused.content, refused.get("x-said")) == (429, b"slow down", "yes")


def test_a_reload_keeps_the_buckets_of_limits_that_stay(limited):
    rates = """
  rate { per = all  requests = 1  every = 1h  burst = 3 }
  route r { path = /r  rate { per = address  requests = 1  every = 1h  burst = 1 } }
"""
    l = limited(rates)
    assert l.statuses(2, "/r") == [200, 429]
    assert l.statuses(2) == [200, 429]      # the route's refusal had taken one of the service's
    l.node.reload(l.config(rates + "retry { attempts = 5 }"))
    assert l.statuses(2, "/r") + l.statuses(2) == [429] * 4
    l.node.reload(l.config(rates.replace("burst = 3", "burst = 4")))      # another limit: a new bucket
    assert l.statuses(4) == [200] * 4
    assert l.statuses(1) == [429]


def test_a_reload_knows_a_route_by_its_name(limited):
    def rates(order):
        lines = {n: f"  route {n} {{ path = /{n}  rate {{ per = address  requests = 1  every = 1h  burst = 1 }} }}\n"
                 for n in ("one", "two")}
        return "".join(lines[n] for n in order)

    l = limited(rates(("one", "two")))
    assert l.statuses(2, "/one") == [200, 429]
    l.node.reload(l.config(rates(("two", "one"))))
    assert l.statuses(1, "/one") == [429]
    assert l.statuses(2, "/two") == [200, 429]
