"""What several nodes see of one instance: a node whose own path is cut says so and harms nobody else, an instance that is dead
is dead everywhere, and nothing on a node in maintenance is judged."""
import os

import pytest

from cluster import BACKEND_PORT, Cluster, Origin, answered, both_ways
from holdfast import PATIENCE, TOOLS, until

LOCAL = "10.77.0.2:4000"        # on node b's machine
MORE = f"""
service local {{
  listen  = http://0.0.0.0:8081
  backend {LOCAL}
  check   {{ http = /health  every = 1s  rise = 1  fall = 3 }}
}}
"""


def instance(node, service, address):
    status = node.ask("/v1/status")
    return next(i for s in status["services"] if s["name"] == service for i in s["instances"] if i["address"] == address)


@pytest.fixture
def cluster(site):
    with Cluster(site, "abc", more=MORE) as c:
        local = ["--listen", LOCAL, "--control", "127.0.0.1:4001", "--log", site.path("local.log"), "--name", "local",
                 "--service-us", "500"]
        c.local = site.process([*c["b"].machine.prefix, os.path.join(TOOLS, "backend"), *local])
        yield c.start()


def verdicts(cluster, address, service="web"):
    seen = {name: instance(cluster[name], service, address) for name in cluster.names}
    return {name: (i["verdict"], i["reason"]) for name, i in seen.items()}


def everywhere(cluster, address, verdict, service="web"):
    return {v for v, _ in verdicts(cluster, address, service).values()} == {verdict}


def test_what_the_others_see_is_shown(cluster):
    for origin in cluster.origins:
        until(lambda: all([o["verdict"] for o in instance(cluster[name], "web", origin.address)["observers"] if o["counts"]] ==
                          ["healthy", "healthy"] for name in "abc"), 20, "every node to know what the others see")
    seen = instance(cluster["a"], "web", cluster.origins[0].address)
    assert sorted(o["node"] for o in seen["observers"]) == ["b", "c"]
    assert seen["own_verdict"] == seen["verdict"] == "healthy" and not seen["maintenance"]


def test_a_cut_of_the_own_path_harms_nobody_else(cluster):
    first = cluster.origins[0].address
    loads = [cluster.load(name) for name in "bc"]
    at = cluster.net.cut(*both_ways(["a"], ["origin0"]))
    until(lambda: verdicts(cluster, first)["a"] == ("failed", "own-path"), 30, "a to see that it is its own path")
    assert verdicts(cluster, first)["b"][0] == verdicts(cluster, first)["c"][0] == "healthy"
    seen = instance(cluster["a"], "web", first)
    assert "failed here, healthy from b and c: my path" in seen["explanation"]
    told = [e for e in cluster["a"].events("instance-verdict", since=at) if e["reason"] == "own-path"]
    assert told and "healthy from b and c" in told[0]["text"]
    for name in "bc":       # they know of it, and are not moved
        until(lambda: any(o["node"] == "a" and o["verdict"] == "failed" for o in instance(cluster[name], "web", first)["observers"]),
              what=f"{name} to hear what a sees")
        assert not [e for e in cluster[name].events("instance-verdict", since=at) if e["to"] == "failed"]
    cluster.net.heal()
    until(lambda: everywhere(cluster, first, "healthy"), 60, "a to reach it again")
    for load in loads:
        answered(load)


def test_what_is_dead_is_dead_everywhere(cluster):
    first = cluster.origins[0]
    load = cluster.load("a")
    first.process.end()
    until(lambda: everywhere(cluster, first.address, "failed"), 30, "all nodes to see that it is dead")
    until(lambda: all(i["observers"] and all(o["verdict"] == "failed" for o in i["observers"])
                      for i in (instance(cluster[n], "web", first.address) for n in "abc")), what="all to have told")
    assert "own-path" not in {reason for _, reason in verdicts(cluster, first.address).values()}
    cluster.origins[0] = Origin(cluster, "origin0", cluster.net.machines["origin0"])
    until(lambda: everywhere(cluster, first.address, "healthy"), 60, "it to be back everywhere")
    answered(load, killed=True)


def test_a_node_that_is_cut_off_decides_nothing_for_others(cluster):
    """a reaches neither the others nor the instances: there everything is failed, elsewhere nothing is."""
    at = cluster.net.alone("a")
    until(lambda: {v for o in cluster.origins for v in [verdicts(cluster, o.address)["a"][0]]} == {"failed"}, 30, "a to see nothing")
    until(lambda: all(not [o for o in instance(cluster[n], "web", cluster.origins[0].address)["observers"] if o["node"] == "a" and o["counts"]]
                      for n in "bc"), 20, "a to count no more")
    until(lambda: not [o for o in instance(cluster["a"], "web", cluster.origins[0].address)["observers"] if o["counts"]], 20,
          "others to count no more at a")
    assert {instance(cluster["a"], "web", o.address)["reason"] for o in cluster.origins} & {"own-path", "observers-agree"} == set()
    for name in "bc":
        assert not [e for e in cluster[name].events("instance-verdict", since=at) if e["to"] == "failed" and e["subject"].startswith("web/")]
    cluster.net.heal()
    until(lambda: all(everywhere(cluster, o.address, "healthy") for o in cluster.origins), 60, "a to see them again")


def test_nothing_on_a_node_in_maintenance_is_judged_failed(cluster):
    until(lambda: everywhere(cluster, LOCAL, "healthy", "local"), 20, "the instance on b to be well")
    cluster["a"].command("maintenance", "on", "b")
    until(lambda: all(cluster[n].members()["b"]["maintenance"] for n in "abc"), what="all to know of the maintenance")
    at = max(e["boot_ns"] for n in "abc" for e in cluster[n].events())
    cluster.local.end()
    until(lambda: all(instance(cluster[n], "local", LOCAL)["own_verdict"] == "failed" for n in "abc"), 30, "all to see that it is gone")
    kept = {n: instance(cluster[n], "local", LOCAL) for n in "abc"}
    assert {(i["verdict"], i["maintenance"]) for i in kept.values()} == {("healthy", True)}, kept
    assert "Its node is in maintenance." in kept["a"]["explanation"]
    assert not [e for _, e in cluster.events("instance-verdict", since=at) if e["to"] == "failed"]
    cluster["a"].command("maintenance", "off", "b")
    until(lambda: everywhere(cluster, LOCAL, "failed", "local"), 20, "the verdict after the maintenance")
