"""Routes, header rules, redirects, pages, mirrors and hedges, before origins that tell what came."""

import socket
import threading
import time

import pytest

import raw
from holdfast import until
from raw import OK, get, post


def named(name):
    """An origin that says who it is, and keeps what it saw."""
    seen = []

    def behaviour(peer):
        while True:
            seen.append(peer.message())
            peer.send(b"HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Length: %d\r\n\r\n%s"
                      % (len(name), name.encode()))

    behaviour.seen = seen
    return behaviour


class Front:
    """A service `web` with rules, and services behind it, each with one origin of its name."""

    def __init__(self, site, rules, services=("web",), settings=""):
        self.origins = {}
        self.port = site.port()
        config = ""
        for name in services:
            origin = raw.Origin(site.port(), named(name))
            self.origins[name] = origin
            listen = f"listen = http://127.0.0.1:{self.port}\n{rules}" if name == "web" else settings
            config += f"service {name} {{\n{listen}\n  check = none\n  backend {origin.address}\n}}\n"
        self.config = config
        self.node = site.node(config, self.port)

    def seen(self, name):
        return self.origins[name].behaviour.seen

    def ask(self, request):
        peer = raw.connect(self.port)
        try:
            peer.send(request)
            return peer.message()
        finally:
            peer.close()

    def who(self, *args, **options):
        return self.ask(get(*args, **options)).content.decode()

    def close(self):
        for o in self.origins.values():
            o.close()


@pytest.fixture
def front(site):
    made = []

    def make(*args, **options):
        made.append(Front(site, *args, **options))
        return made[-1]

    yield make
    for f in made:
        f.close()


def test_each_condition_leads_to_its_service(front):
    f = front("""
      route host   { host = "*.img.example"  to = img }
      route path   { path = {/api, "=/exact", "*.php"}  to = api }
      route method { method = {PUT, DELETE}  to = write }
      route beta   { header = {"x-beta: yes", "!x-old"}  to = beta }
      route query  { query = "beta=1"  to = beta }
      route cookie { cookie = "group=b"  to = beta }
    """, services=("web", "api", "img", "write", "beta"))
    assert f.who("/") == "web"
    assert f.who("/api/v1") == "api"
    assert f.who("/apis") == "web"
    assert f.who("/exact") == "api"
    assert f.who("/exact/") == "web"
    assert f.who("/a/b.php?x") == "api"
    assert f.who("/x", method="DELETE") == "write"
    assert f.who("/", "X-Beta: yes") == "beta"
    assert f.who("/", "X-Beta: yes", "X-Old: 1") == "web"
    assert f.who("/?a&beta=1") == "beta"
    assert f.who("/", "Cookie: a=b; group=b") == "beta"
    assert f.ask(b"GET / HTTP/1.1\r\nHost: a.IMG.example:80\r\n\r\n").content == b"img"


def test_a_disguised_path_does_not_go_round_a_route(front):
    f = front('route no { path = /admin  respond = 403  text = "no" }')
    for path in ("/admin", "/%61dmin/x", "//admin", "/a/../admin", "/a/%2e%2e/admin", "/./admin"):
        assert f.ask(get(path)).status == 403, path
    assert f.who("/administrator") == "web"
    assert [h.line for h in f.seen("web")] == ["GET /administrator HTTP/1.1"]


def test_without_backends_what_no_route_takes_is_not_found(site):
    origin = raw.Origin(site.port(), named("api"))
    port = site.port()
    site.node(f"""
service web {{ listen = http://127.0.0.1:{port}
  route api {{ path = /api  to = api }}
}}
service api {{ check = none  backend {origin.address} }}
""", port)
    peer = raw.connect(port)
    peer.send(get("/"))
    assert peer.message().status == 404
    peer.send(get("/api"))  # the connection goes on: nothing is wrong with it
    assert peer.message().content == b"api"
    peer.close()
    origin.close()


def test_weights_divide_the_requests(front):
    f = front("route all { to = {api:75, beta:25} }", services=("web", "api", "beta"))
    peer = raw.connect(f.port)
    answers = []
    for _ in range(400):
        peer.send(get())
        answers.append(peer.message().content)
    peer.close()
    # 400 draws of 1/4: 100, standard deviation 8.7; six of them
    assert 48 <= answers.count(b"beta") <= 152
    assert answers.count(b"api") + answers.count(b"beta") == 400


def test_rewriting_and_edits_of_requests(front):
    f = front("""
      request-set = {"X-Env: prod", "X-Client: {client}"}
      request-remove = {X-Secret}
      route v1 { path = /v1  rewrite = /v2  request-add = "X-Route: {route} {rest}"
                 request-set = "Host: inner.example" }
    """)
    f.ask(get("/v1/a?b=c", "X-Secret: s", "X-Env: fake", "X-Route: mine"))
    head = f.seen("web")[0]
    assert head.line == "GET /v2/a?b=c HTTP/1.1"
    assert head.fields["x-env"] == ["prod"]
    assert head.fields["x-client"] == ["127.0.0.1"]
    assert "x-secret" not in head
    assert head.fields["x-route"] == ["mine", "v1 /a"]
    assert head.fields["host"] == ["inner.example"]
    f.ask(get("/other"))
    assert f.seen("web")[1].fields["host"] == ["test.example"]


def test_edits_of_responses_hold_for_every_answer(front):
    f = front("""
      response-set = {"Strict-Transport-Security: max-age=1", "X-Id: {request-id}"}
      response-remove = {Server}
      route api { path = /api  to = api  response-add = "X-Who: {service}" }
      route old { path = /old  redirect = "/new{rest}" }
      route no  { path = /no   respond = 451 }
    """, services=("web", "api"), settings='response-set = "X-Target: yes"')
    ids = set()
    for path, status in (("/", 200), ("/api", 200), ("/old", 302), ("/no", 451)):
        answer = f.ask(get(path))
        assert answer.status == status
        assert answer.fields["strict-transport-security"] == ["max-age=1"], path
        assert "server" not in answer
        ids.add(answer.get("x-id"))
        assert ("x-who" in answer) == ("x-target" in answer) == (path == "/api")
    assert len(ids) == 4 and all(len(i) == 32 for i in ids)
    assert f.ask(get("/api")).get("x-who") == "api"


def test_redirects_name_where(front):
    f = front("""
      route tls  { host = plain.example  redirect = "https://{host}{uri}"  status = 301 }
      route old  { path = /old  redirect = "https://new.example/base{rest}?was={path}"  status = 308 }
    """)
    answer = f.ask(b"GET /a?b=c HTTP/1.1\r\nHost: plain.example:8080\r\n\r\n")
    assert answer.status == 301
    assert answer.get("location") == "https://plain.example/a?b=c"
    answer = f.ask(get("/old/x%20y", method="HEAD"))
    assert (answer.status, answer.get("location")) == (308, "https://new.example/base/x%20y?was=/old/x%20y")
    # with a body that nobody reads, the connection ends behind the answer
    answer = f.ask(post(b"x" * 100, target="/old"))
    assert answer.status == 308
    assert f.seen("web") == []


def test_pages_of_our_own(site):
    with open(site.path("sorry.html"), "w") as page:
        page.write("<h1>Sorry</h1>" * 1000)
    port = site.port()
    site.node(f"""
service web {{ listen = http://127.0.0.1:{port}
  error-page 503 {{ file = sorry.html  type = "text/html" }}
  error-page 4xx {{ text = "What?" }}
  route maintenance {{ path = /closed  respond = 200  file = sorry.html  type = text/html }}
  route none {{ path = /none  respond = 204 }}
  check = none
  backend 127.0.0.1:{site.port()}
}}
""", port)

    def ask(request):
        peer = raw.connect(port)
        peer.send(request)
        answer = peer.message()
        peer.close()
        return answer

    answer = ask(get())
    assert (answer.status, answer.get("content-type")) == (503, "text/html")
    assert answer.content == b"<h1>Sorry</h1>" * 1000
    assert answer.get("retry-after") == "1"
    assert ask(b"NONSENSE\r\n\r\n").content.strip() == b"What?"
    assert ask(get("/closed")).content == b"<h1>Sorry</h1>" * 1000
    assert ask(get("/none")).status == 204


def test_a_reload_changes_routes_under_open_connections(front):
    f = front("route a { path = /a  to = api }", services=("web", "api"))
    peer = raw.connect(f.port)
    peer.send(get("/a"))
    assert peer.message().content == b"api"
    f.node.reload(f.config.replace("path = /a", "path = /b"))
    peer.send(get("/a"))
    assert peer.message().content == b"web"
    peer.send(get("/b"))
    assert peer.message().content == b"api"
    peer.close()


# --- mirrors ---

def test_copies_go_to_the_mirror_and_nobody_waits_for_them(front):
    f = front("mirror = shadow", services=("web", "shadow"))
    release = threading.Event()

    def slow(peer):
        while True:
            slow.seen.append(peer.message())
            release.wait(10)
            peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad")

    slow.seen = []
    f.origins["shadow"].behaviour = slow
    peer = raw.connect(f.port)
    for i in range(5):
        peer.send(post(b"body %d" % i, target=f"/{i}"))
        assert peer.message().content == b"web"
    until(lambda: len(slow.seen) == 5, what="five copies")
    assert sorted(h.content for h in slow.seen) == [b"body %d" % i for i in range(5)]
    assert sorted(h.content for h in f.seen("web")) == [b"body %d" % i for i in range(5)]
    release.set()
    peer.send(get())
    assert peer.message().status == 200
    peer.close()


def test_a_dead_mirror_costs_nothing(front):
    f = front("mirror = shadow", services=("web", "shadow"))
    f.origins["shadow"].refuse()
    for _ in range(50):
        assert f.who() == "web"


def test_a_share_is_mirrored(front):
    f = front("mirror = shadow  mirror-share = 25%", services=("web", "shadow"))
    peer = raw.connect(f.port)
    for _ in range(400):
        peer.send(get())
        assert peer.message().status == 200
    peer.close()
    until(lambda: len(f.seen("shadow")) >= 48, what="copies")
    assert len(f.seen("shadow")) <= 152


# --- hedges ---

HEDGED = """
workers = 1
service web {{ listen = http://127.0.0.1:{port}
  balance = round-robin
  check = none  eject {{ after = 0 }}
  retry {{ budget = 100%  reserve = 1000 }}
  {rule}
  backend {a}
  backend {b}
}}
"""


class Pair:
    """A quick and a silent origin; the silent one answers after `delay`."""

    def __init__(self, site, rule, silent):
        self.quick = raw.Origin(site.port(), named("quick"))
        self.silent = raw.Origin(site.port(), silent)
        self.port = site.port()
        self.node = site.node(HEDGED.format(port=self.port, rule=rule, a=self.silent.address,
                                            b=self.quick.address), self.port)

    def ask(self, request):
        peer = raw.connect(self.port)
        peer.send(request)
        start = time.monotonic()
        answer = peer.message()
        peer.close()
        return answer, time.monotonic() - start

    def close(self):
        self.quick.close()
        self.silent.close()


def asleep(seconds, answer=OK):
    def behaviour(peer):
        while True:
            behaviour.seen.append(peer.message())
            behaviour.woken.wait(seconds)
            peer.send(answer)

    behaviour.seen, behaviour.woken = [], threading.Event()
    return behaviour


@pytest.fixture
def pair(site):
    made = []

    def make(*args):
        made.append(Pair(site, *args))
        return made[-1]

    yield make
    for p in made:
        p.silent.behaviour.woken.set()
        p.close()


def test_a_silent_instance_is_overtaken(pair):
    p = pair("hedge-after = 50ms", asleep(5))
    for _ in range(6):
        answer, took = p.ask(get())
        assert answer.content == b"quick"
        assert took < 2
    assert len(p.silent.behaviour.seen) >= 2  # it was asked first, half of the time


def test_what_is_not_idempotent_is_not_hedged(pair):
    p = pair("hedge-after = 20ms", asleep(0.4))
    answers = [p.ask(post(b"x")) for _ in range(4)]
    assert {a.content for a, _ in answers} == {b"quick", b"ok"}
    assert len(p.quick.behaviour.seen) + len(p.silent.behaviour.seen) == 4


def test_a_route_marked_idempotent_is_hedged(pair):
    p = pair("route all { path = /  idempotent = yes  hedge-after = 20ms }", asleep(5))
    for _ in range(4):
        answer, took = p.ask(post(b"x"))
        assert answer.content == b"quick" and took < 2


def test_a_failing_rival_does_not_win(site):
    def fails(peer):
        while True:
            peer.message()
            peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    slow, bad = asleep(0.3), raw.Origin(site.port(), fails)
    good = raw.Origin(site.port(), slow)
    port = site.port()
    site.node(HEDGED.format(port=port, rule="hedge-after = 30ms", a=good.address,
                            b=bad.address), port)
    statuses = []
    for _ in range(4):
        peer = raw.connect(port)
        peer.send(get())
        statuses.append(peer.message().status)
        peer.close()
    # asked first, the bad one's answer is its own; as a rival it never wins
    assert statuses.count(200) >= 2
    slow.woken.set()
    good.close()
    bad.close()


def test_the_rival_takes_over_when_the_first_one_dies(pair):
    def dies(peer):
        dies.seen.append(peer.message())
        dies.woken.wait(0.2)

    dies.seen, dies.woken = [], threading.Event()
    p = pair("hedge-after = 20ms", dies)
    for _ in range(4):
        answer, _ = p.ask(get())
        assert answer.content == b"quick"


def test_the_percentile_is_learnt(pair):
    p = pair("hedge-percentile = 90%", named("silent"))
    p.silent.behaviour.woken = threading.Event()
    peer = raw.connect(p.port)
    for _ in range(300):
        peer.send(get())
        peer.message()
    p.silent.behaviour = asleep(5)
    peer.close()
    # connections that the old behaviour serves go on; a fresh node has none of them: the quick one
    # must answer within what it took before, times a few
    for o in p.silent.peers:
        o.sock.shutdown(socket.SHUT_RDWR)
    slowest = 0
    for _ in range(6):
        answer, took = p.ask(get())
        assert answer.content == b"quick"
        slowest = max(slowest, took)
    assert slowest < 1
