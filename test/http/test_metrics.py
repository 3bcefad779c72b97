"""Metrics as a scraper gets them: both forms, over TCP, of a node that has really served."""

import http.client

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
    form, body = scrape(port, prometheus.ACCEPT)
    assert form.startswith("application/vnd.google.protobuf")
    families = prometheus.messages(body)
    kind, samples = families["holdfast_service_response_seconds"]
    assert kind == "histogram"
    h = samples[of(service="web")]
    assert h.schema == 2 and h.zero_threshold == 2 ** -16
    assert h.count == families["holdfast_service_requests_total"][1][of(service="web")] >= 200
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
