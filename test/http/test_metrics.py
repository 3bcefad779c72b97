"""Metrics as a scraper gets them: both forms, over TCP, of a node that has really served."""

import http.client
import socket

from holdfast import PATIENCE, sample, until
import prometheus


def scrape(port, accept=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10 * PATIENCE)
    c.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
    r = c.getresponse()
    body = r.read()
    c.close()
    assert r.status == 200
    return r.getheader("Content-Type"), body


def of(**labels):
    return frozenset(labels.items())


def served(site, requests=200):
    """A node that has answered so many requests, and its metrics' port."""
    backend = site.backend(service_us=3000)
    port, metrics = site.port(), site.port()
    node = site.node(sample(port, [backend]) + f"admin {{ metrics = http://127.0.0.1:{metrics} }}\n", port)
    node.await_all_healthy()
    load = site.load(port, connections=4, think_us=1000)
    load.carry(requests)
    load.stop()
    return node, backend, metrics


def test_native_histograms_hold_what_was_served(site):
    node, backend, port = served(site)

    def ended():
        """All families, once the last request is counted: that is after its client has the answer."""
        form, body = scrape(port, prometheus.ACCEPT)
        assert form.startswith("application/vnd.google.protobuf")
        families = prometheus.messages(body)
        count = families["holdfast_service_response_seconds"][1][of(service="web")].count
        return families if count == families["holdfast_service_requests_total"][1][of(service="web")] else None

    families = until(ended, what="every request to be counted")
    kind, samples = families["holdfast_service_response_seconds"]
    assert kind == "histogram"
    h = samples[of(service="web")]
    assert h.schema == 2 and h.zero_threshold == 2 ** -16
    assert h.count >= 200
    # each took 3 ms at least, and its bucket says so: (2^((i-1)/4), 2^(i/4)] seconds
    assert all(2 ** (i / 4) > 0.003 for i, n in h.buckets.items() if n)
    assert h.sum >= 0.003 * h.count
    low = sum(n * 2 ** ((i - 1) / 4) for i, n in h.buckets.items())
    high = sum(n * 2 ** (i / 4) for i, n in h.buckets.items())
    assert low <= h.sum <= high, (low, h.sum, high)
    assert h.classic[2 ** -9] == 0 and max(h.classic.values()) <= h.count
    instance = families["holdfast_instance_response_seconds"][1][of(service="web", instance=backend.address)]
    assert instance.count >= 200


def test_both_forms_say_the_same(site):
    node, backend, port = served(site, 50)
    until(lambda: prometheus.text(scrape(port)[1].decode())
          ["holdfast_instance_inflight_requests"][of(service="web", instance=backend.address)] == 0)
    form, body = scrape(port)
    assert form == "text/plain; version=0.0.4; charset=utf-8"
    text, families = prometheus.text(body.decode()), prometheus.messages(scrape(port, prometheus.PROTOBUF)[1])
    moving = ("uptime", "beats", "connections")
    for name, (kind, samples) in families.items():
        for labels, value in samples.items():
            if any(word in name for word in moving):
                continue
            if kind == "histogram":
                assert text[name + "_count"][labels] == value.count
                for bound, below in value.classic.items():
                    assert text[name + "_bucket"][labels | {("le", f"{bound:.17g}")}] == below
            else:
                assert text[name][labels] == value, name


def test_each_listener_counts_for_itself(site):
    backend = site.backend(service_us=100)
    first, second, third, proxied, metrics = (site.port() for _ in range(5))
    node = site.node(f"""service web {{
  listen = {{http://127.0.0.1:{first}, http://127.0.0.1:{second}}}
  backend {backend.address}
}}
service behind {{
  listen = http://127.0.0.1:{proxied}
  accept-proxy = yes
  backend {backend.address}
}}
admin {{ metrics = http://127.0.0.1:{metrics} }}
""", first)
    node.await_all_healthy()

    def count(name, port, service="web"):
        rows = prometheus.text(scrape(metrics)[1].decode())[f"holdfast_listener_{name}"]
        return rows[of(service=service, listener=f"http://127.0.0.1:{port}")]

    before = count("accepted_connections_total", first)
    kept = [http.client.HTTPConnection("127.0.0.1", second, timeout=10) for _ in range(3)]
    for c in kept:
        c.request("POST", "/", body=b"12345")
        assert c.getresponse().read()
    until(lambda: count("received_bytes_total", second) == 15, what="three bodies")
    assert count("accepted_connections_total", second) == 3 and count("connections", second) == 3
    assert count("sent_bytes_total", second) > 0
    assert count("accepted_connections_total", first) == before and count("received_bytes_total", first) == 0
    with socket.create_connection(("127.0.0.1", second), 5) as s:
        s.sendall(b"nonsense\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 400")
    assert count("refused_heads_total", second) == 1 and count("refused_heads_total", first) == 0
    with socket.create_connection(("127.0.0.1", proxied), 5) as s:
        s.sendall(b"GET / HTTP/1.1\r\n\r\n")
        try:
            assert s.recv(100) == b""
        except ConnectionResetError:
            pass
    until(lambda: count("bad_proxy_headers_total", proxied, "behind") == 1, what="the missing PROXY header")
    # a reload that moves the addresses about keeps every count, and who is connected
    with open(node.file) as f:
        text = f.read()
    node.reload(text.replace(f"{{http://127.0.0.1:{first}, http://127.0.0.1:{second}}}",
                             f"{{http://127.0.0.1:{third}, http://127.0.0.1:{second}}}"))
    assert count("accepted_connections_total", second) == 4 and count("connections", second) == 3
    for c in kept:
        c.close()
    until(lambda: count("connections", second) == 0, what="the connections to end")
    web = next(s for s in node.status()["services"] if s["name"] == "web")
    assert [(row["url"], row["accepted"]) for row in web["listeners"]] == [
        (f"http://127.0.0.1:{third}", 0), (f"http://127.0.0.1:{second}", 4)]
