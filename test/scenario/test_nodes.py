"""A node of a cluster knows who it is, and keeps the sockets that others reach it at: over the death of its processes, over
reloads, a new proxy and a new program. Several nodes run side by side on one machine, from one file.
"""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from holdfast import BINARY, CLUSTER_KEY, PATIENCE, connects, until


class Cluster:
    """One file for nodes that all run here; `${PORT}` in it is each one's own."""

    def __init__(self, site, addresses):
        self.site, self.file, self.members = site, site.path("cluster.conf"), {}
        self.addresses = dict(addresses)
        self.environment = {**os.environ, "STATE_DIRECTORY": site.path("state")}
        with open(site.path("cluster.key"), "w") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(CLUSTER_KEY)
        self.write()

    def write(self, name="prod", more=""):
        nodes = "".join(f"  node {n} {{ address = {a}:{p} }}\n" for n, (a, p) in self.addresses.items())
        with open(self.file + ".new", "w") as f:
            f.write(f"""cluster {name} {{
  key = file:cluster.key
  coordinator = none
{nodes}{more}}}
service web {{
  listen = "http://127.0.0.1:${{PORT}}"
  backend 192.0.2.9:1
}}
""")
        os.rename(self.file + ".new", self.file)

    def run(self, *words, **more):
        return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=30 * PATIENCE,
                              env={**self.environment, "PORT": str(self.site.port()), **more})

    def start(self, name):
        member = self.members[name] = Member(self, name, self.site.port())
        until(member.ready, 20, f"node {name} to be ready: {member.said()}")
        return member


class Member:
    def __init__(self, cluster, name, port):
        self.cluster, self.name, self.port = cluster, name, port
        self.errors = cluster.site.path(f"{name}.err")
        with open(self.errors, "ab") as err:
            self.process = cluster.site.process([BINARY, "run", cluster.file, "--node", name], stdout=err, stderr=err,
                                                env={**cluster.environment, "PORT": str(port)})
        cluster.site.nodes.append(self)

    def said(self):
        with open(self.errors, errors="replace") as f:
            return f.read()

    def ready(self):
        assert self.process.running, self.said()
        return "ready" in self.said() and connects(self.port)

    def command(self, *words):
        return self.cluster.run(*words, "--node", self.name)

    def status(self):
        done = self.command("status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def pid(self, process):
        return next(p["pid"] for p in self.status()["processes"] if p["name"] == process)

    def sockets(self):
        """What is bound at its address: {"tcp": inode, "udp": inode}."""
        address, port = self.cluster.addresses[self.name]
        return bound(address, port)


def bound(address, port):
    local = socket.inet_aton(address)[::-1].hex().upper() + f":{port:04X}"
    found = {}
    for protocol, state in ("tcp", "0A"), ("udp", "07"):
        with open(f"/proc/net/{protocol}") as table:
            for line in table.readlines()[1:]:
                words = line.split()
                if words[1] == local and words[3] == state:
                    assert protocol not in found
                    found[protocol] = words[9]
    return found


def held_by(pid):
    """The inodes of its sockets."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
            found |= {link[8:-1]} if link.startswith("socket:[") else set()
    return found


def control_has(member, sockets):
    """Not at once: it is given them when the proxy has taken the view."""
    until(lambda: set(sockets.values()) <= held_by(member.pid("control")), 10, "control to have the node's sockets")


def turns(member, before):
    """Control runs anew and answers."""
    status = member.status()
    control = next((p for p in status["processes"] if p["name"] == "control"), None) if status else None
    return control and control["pid"] not in (before, 0)


@pytest.fixture
def cluster(site):
    return Cluster(site, {"a": ("127.0.0.1", site.port()), "b": ("127.0.0.2", site.port()), "c": ("127.0.0.3", site.port())})


def test_three_nodes_side_by_side(cluster):
    members = [cluster.start(name) for name in "abc"]
    assert sorted(os.listdir(cluster.site.path("state"))) == ["node-a", "node-b", "node-c"]
    for member in members:
        assert member.status()["node"] == member.name
        assert set(member.sockets()) == {"tcp", "udp"}
    assert len({inode for member in members for inode in member.sockets().values()}) == 6
    members[1].process.signal(signal.SIGTERM)
    assert members[1].process.wait(20) == 0
    assert members[1].sockets() == {} and len(members[2].sockets()) == 2
    assert members[1].command("status").returncode == 3


def test_the_sockets_outlive_control_the_proxy_and_the_program(cluster):
    b = cluster.start("b")
    before = b.sockets()
    assert set(before) == {"tcp", "udp"}
    control_has(b, before)
    for _ in range(2):
        control = b.pid("control")
        os.kill(control, signal.SIGKILL)
        until(lambda: turns(b, control), 20, "another control")
        assert b.sockets() == before
        control_has(b, before)
    # a listening socket that control had alone would refuse now
    control = b.pid("control")
    os.kill(control, signal.SIGSTOP)
    socket.create_connection(cluster.addresses["b"], 10).close()
    os.kill(control, signal.SIGCONT)
    cluster.addresses["d"] = ("192.0.2.4", 7300)
    cluster.write(more="  heartbeat = 100ms\n")
    done = b.command("reload")
    assert done.returncode == 0, done.stderr
    assert "cluster prod: node d added (192.0.2.4:7300)" in done.stdout and "heartbeat 50ms -> 100ms" in done.stdout
    assert b.command("restart", "proxy", "--wait", "20").returncode == 0
    assert b.command("upgrade", "--wait", "20").returncode == 0
    assert b.sockets() == before and b.status()["node"] == "b"
    control = b.pid("control")
    os.kill(control, signal.SIGKILL)
    until(lambda: turns(b, control), 20, "another control")
    assert b.sockets() == before and b.status()["node"] == "b"
    control_has(b, before)
    assert b.command("reload").returncode == 0


def test_a_node_found_by_its_address_stays_that_node(site):
    """127.0.0.0/8 is here, the others are not. Later another node's address is here as well, and the choice is not made again."""
    cluster = Cluster(site, {"a": ("192.0.2.1", 7300), "b": ("127.0.0.2", site.port())})
    port = site.port()
    with open(site.path("err"), "ab") as err:
        process = site.process([BINARY, "run", cluster.file, "--state", site.path("here")], stderr=err,
                               env={**cluster.environment, "PORT": str(port)})
    until(lambda: connects(port), 20, "the node")
    here = ["--state", site.path("here")]

    def status():
        return json.loads(cluster.run("status", "--json", *here).stdout)

    until(lambda: status().get("epoch") == 1, 20, "the first view")
    assert status()["node"] == "b"
    cluster.addresses["a"] = ("127.0.0.1", site.port())
    cluster.write()
    assert cluster.run("check", cluster.file).returncode == 1
    done = cluster.run("reload", *here)
    assert done.returncode == 0, done.stderr
    assert cluster.run("upgrade", "--wait", "20", *here).returncode == 0
    cluster.write(more="  heartbeat = 100ms\n")
    assert cluster.run("reload", *here).returncode == 0
    assert status()["node"] == "b" and len(bound(*cluster.addresses["b"])) == 2 and not bound(*cluster.addresses["a"])
    process.signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_node_moves_but_stays_itself(cluster):
    b = cluster.start("b")
    was = cluster.addresses["b"]
    cluster.addresses["b"] = ("127.0.0.9", cluster.site.port())
    cluster.write()
    done = b.command("reload")
    assert done.returncode == 0, done.stderr
    assert f"node b address {was[0]}:{was[1]} -> 127.0.0.9:" in done.stdout
    assert len(b.sockets()) == 2 and bound(*was) == {}
    control_has(b, b.sockets())
    epoch, now = b.status()["epoch"], b.sockets()
    cluster.write(name="test")
    refused = b.command("reload")
    assert refused.returncode == 1 and "cluster prod becomes cluster test" in refused.stderr
    moved = cluster.addresses.pop("b")
    cluster.write()
    refused = b.command("reload")
    assert refused.returncode == 1 and "this is node 'b', and cluster prod has no node of that name" in refused.stderr
    with open(cluster.file, "w") as f:
        f.write('service web { listen = "http://127.0.0.1:${PORT}"; backend 127.0.0.1:1 }\n')
    refused = b.command("reload")
    assert refused.returncode == 1 and "the file has none" in refused.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.10", 0))
        taken.listen()
        cluster.addresses["b"] = taken.getsockname()
        cluster.write()
        refused = b.command("reload")
        assert refused.returncode == 1 and "cannot listen on 127.0.0.10" in refused.stderr
    cluster.addresses["b"] = moved
    cluster.write()
    assert b.status()["epoch"] == epoch and b.sockets() == now
    assert b.command("reload").returncode == 0 and b.sockets() == now


def test_who_it_is_must_be_clear(cluster):
    several = cluster.run("run", cluster.file)
    assert several.returncode == 1 and "this machine has the addresses of several nodes: a, b and c" in several.stderr
    assert "--node NAME" in several.stderr
    unknown = cluster.run("run", cluster.file, "--node", "d")
    assert unknown.returncode == 1 and "cluster prod has no node of that name; its nodes are a, b and c" in unknown.stderr
    cluster.addresses = {"x": ("192.0.2.1", 7300), "y": ("192.0.2.2", 7300)}
    cluster.write()
    nobody = cluster.run("run", cluster.file)
    assert nobody.returncode == 1 and "the address and the name of none of the nodes x and y" in nobody.stderr
    elsewhere = cluster.run("run", cluster.file, "--node", "y")
    assert elsewhere.returncode == 1 and re.search(r"192\.0\.2\.2:7300.*no interface.*--node NAME", elsewhere.stderr)
    assert cluster.run("check", cluster.file, "--node", "y").returncode == 0
    for name in "../x", ".", "":
        bad = cluster.run("status", "--node", name)
        assert bad.returncode == 2 and "node" in bad.stderr


def test_the_same_node_runs_once(cluster):
    cluster.start("b")
    again = cluster.run("run", cluster.file, "--node", "b")
    assert again.returncode == 1 and "another holdfast" in again.stderr and "node-b" in again.stderr
    elsewhere = cluster.run("run", cluster.file, "--node", "b", "--state", cluster.site.path("other"))
    assert elsewhere.returncode == 1 and "another program uses it" in elsewhere.stderr
