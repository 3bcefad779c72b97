"""An instance that is slower than its pool is left out, says so, and returns; a pool that is slow as a whole stays."""

import json
import time

from holdfast import sample, until

SLOW = "eject { slow = 300%  hold = 2s  hold-max = 8s }"


def described(node, backend):
    web = node.status()["services"][0]
    return [i for i in web["instances"] if i["address"] == backend.address][0]


def pool(site):
    backends = [site.backend(service_us=4000) for _ in range(4)]
    port = site.port()
    node = site.node(sample(port, backends, balance="round-robin", more=SLOW), port)
    node.await_all_healthy()
    return backends, port, node


def test_one_slow_instance_is_left_out_until_it_is_well(site):
    backends, port, node = pool(site)
    load = site.load(port, connections=16)
    sick = backends[1]
    load.carry(500)
    sick.mode("slow")   # ten times its time, and its checks pass
    until(lambda: described(node, sick)["reason"] == "slower-than-pool", 30, "the slow one to be seen")
    seen = described(node, sick)
    assert seen["verdict"] == "failed"
    assert "Slower than the pool: " in seen["explanation"] and " against " in seen["explanation"]
    left = len(sick.deliveries())
    load.carry(2000)    # while the others answer, it is tried on trial only, a few at a time
    tried = len(sick.deliveries()) - left
    assert tried < 200, f"{tried} of 2000 went to the slow one"
    sick.mode("normal")
    node.await_verdict(sick, "healthy", seconds=60)
    told = [e for e in node.command("events", "--json").stdout.splitlines() if "slower-than-pool" in e]
    assert told and sick.address in told[0]
    why = json.loads(node.command("why", f"web/{sick.address}", "--all", "--json").stdout)
    slow = next(r for r in why["records"] if r.get("reason") == "slower-than-pool")
    seen = next(s for s in slow["evidence"] if s["signal"] == "latency")
    assert seen["detail"] > 20000 and "the median of 3 others is" in seen["says"] and seen["observer"] == "control"
    total = load.stop()
    assert total["idempotent"]["failed"] == 0
    site.report(f"the slow one of four got {tried} of 2000 requests while it was known to be slow")


def test_a_pool_that_is_slow_as_a_whole_stays(site):
    backends, port, node = pool(site)
    load = site.load(port, connections=16)
    load.carry(500)
    for b in backends:
        b.mode("slow")
    began = time.monotonic()
    while time.monotonic() < began + 9:     # three windows, under load
        load.carry(200)
    assert set(node.verdicts().values()) == {"healthy"}
    assert "slower-than-pool" not in node.command("events", "--json").stdout
    load.stop()
