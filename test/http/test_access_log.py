"""The access log of a node that serves: its forms, its sample, slow requests, and that it cannot be forged."""

import http.client
import json
import os
import re
import socket
import time

from holdfast import PATIENCE, TOP, sample, until


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path, errors="surrogateescape") as f:
        return f.read().splitlines()


def get(port, path="/", headers=None, method="GET", body=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10 * PATIENCE)
    c.request(method, path, body=body, headers=headers or {})
    r = c.getresponse()
    r.read()
    c.close()
    return r.status


def logged(site, settings, service_us=100, **more):
    backend = site.backend(service_us=service_us)
    port, log = site.port(), site.path("access.log")
    node = site.node(sample(port, [backend], more=f"access-log = {log}\n  {settings}", **more), port)
    node.await_all_healthy()
    return node, backend, port, log


def test_json_lines_are_json(site):
    node, backend, port, log = logged(site, "access-log-format = json")
    trace = "0af7651916cd43dd8448eb211c80319c"
    assert get(port, "/a%20b/c?d=1", {
        "User-Agent": "x \"y\" \\ \xe4", "Referer": "http://r/", "Host": "example.com",
        "traceparent": f"00-{trace}-b7ad6b7169203331-01"}) == 200
    assert get(port, "/post", method="POST", body=b"12345") == 200
    until(lambda: len(lines(log)) == 2, what="two lines")
    one, two = (json.loads(line) for line in lines(log))
    assert one["method"] == "GET" and one["path"] == '/a%20b/c' and one["host"] == "example.com"
    assert one["user_agent"] == 'x "y" \\ \ufffd' and one["referer"] == "http://r/"
    assert one["trace_id"] == trace
    assert one["client"] == "127.0.0.1" and one["client_port"] > 0 and one["listener"] == f"127.0.0.1:{port}"
    assert one["status"] == 200 and one["instance"] == backend.address and one["service"] == "web"
    assert one["attempts"] == 1 and one["cause"] == "" and one["bytes_out"] > 0
    assert one["connect_us"] + one["wait_us"] <= one["duration_us"] and one["first_byte_us"] <= one["duration_us"]
    assert two["method"] == "POST" and two["bytes_in"] == 5 and two["user_agent"] == ""
    assert abs(time.time() - time.mktime(time.strptime(one["time"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 3600


def test_forms(site):
    node, backend, port, log = logged(site, "access-log-format = combined")
    get(port, "/x", {"User-Agent": "agent", "Referer": "there"})
    until(lambda: lines(log), what="a line")
    assert re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /x HTTP/1\.1" 200 \d+ '
                        r'"there" "agent"', lines(log)[0])
    with open(node.file) as f:
        config = f.read()
    # a reload changes the form of the lines that follow
    node.reload(config.replace("combined", '"{method} {path} {header:X-Id} {{{status}}}"'))
    get(port, "/y", {"X-Id": "forged\"\\line"})
    until(lambda: len(lines(log)) == 2, what="another line")
    assert lines(log)[1] == r"GET /y forged\x22\x5cline {200}"


def test_a_sample_is_exact_and_failures_are_always_told(site):
    node, backend, port, log = logged(site, "access-log-sample = 10%\n  access-log-format = \"{status} {cause} {path}\"")
    with open(node.file) as f:
        node.reload("workers = 1\n" + f.read(), check=False)
    for i in range(100):
        assert get(port, f"/ok/{i}") == 200
    backend.kill()
    for _ in range(3):
        assert get(port, "/failed") in (502, 503, 504)
    until(lambda: sum("/failed" in line for line in lines(log)) == 3, what="every failure")
    workers = node.status()["workers"]
    told = sum("/ok/" in line for line in lines(log))
    assert 10 - workers < told <= 10, told
    assert all(re.fullmatch(r"50\d (refused|no-instance|stale|reset) /failed", line)
               for line in lines(log) if "/failed" in line)


def test_slow_requests_are_told_with_their_phases(site):
    node, backend, port, log = logged(site, "access-log-sample = 0%\n  slow-log = 50ms", service_us=120000)
    assert get(port, "/slow?secret=1") == 200
    until(lambda: lines(log), what="its line")
    said = until(lambda: re.search(
        r"slow request: GET /slow of service web took (\d+) us \(connect (\d+), wait (\d+), transfer (\d+); "
        r"1 attempts, the last at (\S+)\), status 200", node.said()), what="the sentence")
    took, connect, wait, transfer = (int(said[i]) for i in range(1, 5))
    assert took >= 120000 and wait >= 120000 and connect + wait + transfer <= took + 3 and said[5] == backend.address
    assert "secret" not in node.said()


def test_fast_ones_are_not_told_of(site):
    node, backend, port, log = logged(site, "access-log-sample = 0%\n  slow-log = 10s")
    for _ in range(5):
        get(port)
    assert get(port, method="TRACE") == 501
    until(lambda: lines(log), what="the failure's line")
    assert len(lines(log)) == 1 and "slow request" not in node.said()


def test_what_is_no_request_has_a_line(site):
    node, backend, port, log = logged(site, "access-log-format = \"{status} {cause} {request}\"")
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 400")
    until(lambda: lines(log) == ["400 bad-request -"], what="its line")


def test_a_rotated_log_is_let_go(site):
    node, backend, port, log = logged(site, "access-log-format = \"{path}\"")
    get(port, "/one")
    until(lambda: lines(log) == ["/one"])
    os.rename(log, log + ".1")
    node.reload()
    get(port, "/two")
    until(lambda: lines(log) == ["/two"], what="a line in the new file")
    assert lines(log + ".1") == ["/one"]


def test_every_field_and_form_is_documented():
    with open(os.path.join(TOP, "src/view/log_format.c")) as f:
        source = f.read()
    with open(os.path.join(TOP, "docs/access-log.md")) as f:
        doc = f.read()
    fields = [name for name in re.findall(r'\[LOG_\w+\] = "([^"]+)"', source)]
    assert len(fields) > 20
    assert [name for name in fields if f"| `{{{name}}}` |" not in doc] == []
    assert len(re.findall(r"^\| `\{", doc, re.M)) == len(fields)
    causes = set()
    for name in os.listdir(os.path.join(TOP, "src/proxy")):
        with open(os.path.join(TOP, "src/proxy", name)) as f:
            causes |= set(re.findall(r'cause = (?:STR\()?"([a-z0-9-]+)"', f.read()))
    assert "no-instance" in causes and [c for c in causes if f"`{c}`" not in doc] == []


def test_a_route_is_named(site):
    a, b = site.backend(), site.backend()
    port, log = site.port(), site.path("access.log")
    node = site.node(f"""service web {{
  listen = http://127.0.0.1:{port}
  access-log = {log}
  access-log-format = "{{path}} {{route}} {{service}} {{instance}} {{cause}}"
  route api {{ path = /api  to = api }}
  route old {{ path = /old  redirect = /new  status = 301 }}
  backend {a.address}
}}
service api {{
  listen = http://127.0.0.1:{site.port()}
  backend {b.address}
}}
""", port)
    until(lambda: set(node.verdicts("api").values()) | set(node.verdicts().values()) == {"healthy"})
    assert [get(port, "/api/x"), get(port, "/old"), get(port, "/")] == [200, 301, 200]
    # Each worker has its ring: the order between them is not promised.
    until(lambda: set(lines(log)) == {f"/api/x api api {b.address} -", "/old old web - route",
                                      f"/ - web {a.address} -"}, what=lambda: lines(log))
