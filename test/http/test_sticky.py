"""Sticky sessions: clients stay with their instance, by a cookie of ours or the application's own."""

import re

import pytest

import raw
from holdfast import until
from metrics import of_service
from raw import get


def named(name, extra=""):
    """Says who it is; sets `extra`, if that is a cookie, on the first request without one."""
    def behaviour(peer):
        while True:
            head = peer.message()
            cookie = f"Set-Cookie: {extra}; Path=/\r\n" if extra and "cookie" not in head else ""
            peer.send(f"HTTP/1.1 200 OK\r\n{cookie}Content-Length: {len(name)}\r\n\r\n{name}".encode())
    return behaviour


class Sessions:
    def __init__(self, site, sticky, cookies=("", "", ""), more=""):
        self.names = "abc"
        self.origins = [raw.Origin(site.port(), named(n, c)) for n, c in zip(self.names, cookies)]
        self.port = site.port()
        self.lines = (sticky, more)
        self.node = site.node(self.config(*self.lines), self.port)

    def config(self, sticky, more="", order=None):
        backends = "".join(f"  backend {o.address} {{ name = {n} }}\n"
                           for n, o in (order or list(zip(self.names, self.origins))))
        return (f"workers = 2\nservice web {{\n  listen = http://127.0.0.1:{self.port}\n  check = none\n"
                f"  balance = round-robin\n{backends}  {sticky}\n  {more}\n}}\n")

    def ask(self, cookie=None):
        """Who answered, and the cookie that was set; on a connection of its own."""
        peer = raw.connect(self.port)
        try:
            peer.send(get("/", *([f"Cookie: {cookie}"] if cookie else [])))
            answer = peer.message()
        finally:
            peer.close()
        return answer.content.decode(), answer.get("set-cookie")


@pytest.fixture
def sessions(site):
    made = []

    def make(*args, **options):
        made.append(Sessions(site, *args, **options))
        return made[-1]

    yield make
    for m in made:
        for o in m.origins:
            o.close()


def value(set_cookie):
    return set_cookie.split(";")[0]


def test_insert_keeps_each_client_with_its_instance(sessions):
    s = sessions("sticky { cookie = SRV }")
    given = {}
    until(lambda: given.update([s.ask()]) or len(given) == 3)
    assert all(re.fullmatch(r"SRV=[0-9a-f]{16}; Path=/; HttpOnly; SameSite=Lax", c) for c in given.values())
    assert len(set(given.values())) == 3
    for name, cookie in given.items():
        for _ in range(6):
            assert s.ask(f"other=1; {value(cookie)}; more=2") == (name, None)   # nothing new to be told
    assert of_service(s.node, "sticky_requests_total") == 18


def test_insert_attributes(sessions):
    s = sessions("sticky { cookie = SRV  ttl = 90s  secure = yes }")
    assert s.ask()[1].endswith("; Path=/; Max-Age=90; HttpOnly; Secure; SameSite=Lax")


def test_a_cookie_that_names_nobody_is_replaced(sessions):
    s = sessions("sticky { cookie = SRV }")
    for cookie in ("SRV=0123456789abcdef", "SRV=", "SRV=" + "f" * 200, "SRV=ABCDEF0123456789"):
        assert s.ask(cookie)[1].startswith("SRV=")


def test_a_drained_instance_gives_its_clients_away(sessions):
    s = sessions("sticky { cookie = SRV }")
    name, cookie = s.ask()
    s.node.command("drain", f"web/{name}")
    until(lambda: s.ask(value(cookie))[0] != name)
    other, new = s.ask(value(cookie))
    assert other != name and value(new) != value(cookie)
    assert s.ask(value(new)) == (other, None)
    assert of_service(s.node, "moved_sessions_total") > 0


def test_a_dead_instance_gives_its_clients_away(sessions):
    s = sessions("sticky { cookie = SRV }")
    name, cookie = s.ask()
    s.origins[s.names.index(name)].refuse()
    for p in s.origins[s.names.index(name)].peers:
        p.half_close()      # which the proxy takes for the end of its pooled connections
    other, new = s.ask(value(cookie))   # the retry's cookie, in the same answer
    assert other != name and value(new) != value(cookie)
    assert of_service(s.node, "moved_sessions_total") == 1


def test_insert_survives_restart_and_reordering(sessions):
    s = sessions("sticky { cookie = SRV }")
    name, cookie = s.ask()
    s.node.terminate()
    s.node.write(s.config("sticky { cookie = SRV }", order=list(zip("cba", s.origins[::-1]))))
    s.node.start()
    assert s.ask(value(cookie)) == (name, None)


LEARN = "sticky { cookie = SID  mode = learn  ttl = 1h }"


def test_learn_follows_the_application(sessions):
    s = sessions(LEARN, cookies=("SID=one", "SID=two", "SID=three"))
    owner = {}
    until(lambda: owner.update([s.ask()[::-1]]) or len(owner) == 3)
    for cookie, name in owner.items():
        for _ in range(6):
            assert s.ask(value(cookie))[0] == name
    # one that nobody set goes anywhere
    assert {s.ask("SID=unheard")[0] for _ in range(20)} == {"a", "b", "c"}
    s.node.reload(s.config(LEARN, "retry { attempts = 5 }"))     # sessions outlive a reload
    for cookie, name in owner.items():
        assert [s.ask(value(cookie))[0] for _ in range(3)] == [name] * 3


def test_a_learnt_session_moves_when_its_instance_drains(sessions):
    s = sessions(LEARN, cookies=("SID=one", "SID=two", "SID=three"))
    name, cookie = s.ask()
    assert s.ask(value(cookie))[0] == name
    s.node.command("drain", f"web/{name}")
    until(lambda: s.ask(value(cookie))[0] != name)
    other = s.ask(value(cookie))[0]
    s.node.command("resume", f"web/{name}")
    assert [s.ask(value(cookie))[0] for _ in range(6)] == [other] * 6    # and stays there
