"""What an operator sees and types of a service with a primary: roles, a switchover, maintenance, a failover by force, and why."""
import json

import pytest
from coordinated import Coordinated
from holdfast import PATIENCE, until

SERVICE = """service cache {
  agent  = redis
  listen = tcp://0.0.0.0:26379
  sync   = 1
}
"""


class Three(Coordinated):
    def role(self, name):
        try:
            return self[name].ask("/v1/roles/cache")["roles"][0]
        except (OSError, ValueError, KeyError, IndexError):
            return {}

    def primary(self):
        """Who takes writes, as all agree; None while they do not, or while somebody is not in sync."""
        said = [self.role(n) for n in self.names]
        acts = {r.get("primary") for r in said if r.get("acts") and len(r.get("in_sync", [])) == len(self.names)}
        return acts.pop() if len(acts) == 1 and all(r.get("acts") for r in said) else None

    def await_primary(self):
        return until(self.primary, 40 * PATIENCE, "a primary, and all in sync")


@pytest.fixture
def cluster(site):
    with Three(site, "abc", more=SERVICE) as made:
        made.start()
        made.await_members("abc")
        made.await_primary()
        yield made


def test_what_an_operator_types(cluster, site):
    was = cluster.primary()
    other = next(n for n in cluster.names if n != was)
    text = cluster[other].command("roles").stdout
    assert f"cache (redis): primary {was}, epoch 1" in text and "writes wait for 1 replica" in text
    assert f"primary {was}" in cluster[other].command("status").stdout
    assert cluster[other].command("roles", "--fail", check=False).returncode == 0

    done = cluster[other].command("switchover", "cache", "to", other, seconds=60)
    site.report("switchover: " + done.stdout.strip())
    assert f"{other} is the primary now, it was {was}" in done.stdout
    cluster.await_primary()
    why = cluster[other].command("why", "cache").stdout
    assert f"The last switchover, {was} -> {other}" in why and "Where the time went" in why, why
    until(lambda: f"The last switchover, {was} -> {other}" in cluster[was].command("why", "cache").stdout, 20, "the others to be told why")
    assert "is the primary already" in cluster[was].command("switchover", "cache", "to", other).stdout

    assert "is in maintenance" in cluster[was].command("maintenance", "on", "--service", "cache").stdout
    assert cluster.role(was)["paused"]
    assert "in maintenance: nothing is decided" in cluster[was].command("roles").stdout
    cluster[was].command("maintenance", "off", "--service", "cache")

    refused = cluster[was].command("failover", "cache", "to", was, check=False)
    assert refused.returncode == 2 and "--force" in refused.stderr
    asked = cluster[was].command("failover", "cache", "to", was, "--force", check=False)
    assert asked.returncode == 2 and "What may be lost" in asked.stderr and "takes writes now" in asked.stderr
    forced = cluster[was].command("failover", "cache", "to", was, "--force", "--yes", "--json", seconds=60)
    assert json.loads(forced.stdout)["roles"][0]["primary"] == was
    cluster.await_primary()
    why = cluster[was].command("why", "cache").stdout
    assert f"The last failover (forced), {other} -> {was}" in why, why
    wanted = {"role-promoted", "switchover", "switchover-began", "switchover-done", "role-demoted", "role-paused", "failover-forced"}
    told = [(n, e["code"], e["text"]) for n in cluster.names for e in cluster[n].events() if e["subject"] == "cache"]
    assert not wanted - {code for _, code, _ in told}, [t for t in told if t[1] != "role-instance"]
    site.report(next(text for _, code, text in told if code == "switchover-done"))
