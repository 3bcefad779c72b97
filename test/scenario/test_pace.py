"""An instance that is slow, errs or hangs while its checks pass is told, without a threshold that anybody set; and nobody else is."""

import json

import pytest
from cluster import now
from holdfast import PATIENCE, sample, until


def described(node, backend):
    web = node.status()["services"][0]
    return [i for i in web["instances"] if i["address"] == backend.address][0]


@pytest.fixture
def pool(site):
    backends = [site.backend(service_us=4000) for _ in range(4)]
    port = site.port()
    node = site.node(sample(port, backends, balance="round-robin"), port)
    node.await_all_healthy()
    load = site.load(port, connections=16)
    load.carry(2000)
    yield backends, node, load
    load.stop()


def found(node, load, backend, *reasons):
    """Requests go on until that is told of this one; the seconds that it took."""
    at = now()

    def look():
        load.carry(100)
        return described(node, backend)["reason"] in reasons

    until(look, 20 * PATIENCE, f"{' or '.join(reasons)} to be told")
    return (now() - at) / 1e9


def others(node, backend):
    return {d["verdict"] for d in node.status()["services"][0]["instances"] if d["address"] != backend.address}


def test_one_that_has_become_slow_is_degraded_and_recovers(pool, site):
    backends, node, load = pool
    sick = backends[1]
    sick.mode("slow")   # ten times its time, and its checks pass
    took = found(node, load, sick, "slower-than-others", "slower-than-before")
    seen = described(node, sick)
    assert seen["verdict"] == "degraded" and others(node, sick) == {"healthy"}
    why = json.loads(node.command("why", f"web/{sick.address}", "--all", "--json").stdout)
    assert any("slower-than-others" in json.dumps(r) and "the median of 3 others" in json.dumps(r) for r in why["records"])
    sick.mode("normal")

    def well():
        load.carry(100)
        return described(node, sick)["verdict"] == "healthy"

    until(well, 60, "it to be well again")
    site.report(f"one of four at a tenth of its pace: told after {took:.1f} s")


def test_one_that_errs_is_told(pool, site):
    backends, node, load = pool
    sick = backends[2]
    sick.mode("error")
    took = found(node, load, sick, "more-errors", "error-rate", "requests-fail")
    assert others(node, sick) == {"healthy"}
    site.report(f"one of four answers errors: told after {took:.1f} s")


def test_nobody_is_told_of_while_all_is_well(pool):
    backends, node, load = pool
    at = now()
    while now() - at < 12e9:
        load.carry(200)
    assert set(node.verdicts().values()) == {"healthy"}
    assert "finding-" not in node.command("events", "--json").stdout
