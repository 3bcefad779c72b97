#!/usr/bin/python3
"""How long writes are not accepted when a primary dies, hangs, loses its network or is switched over; beside the peers, in the same run.

Three machines (network namespaces on one bridge), a client on a fourth that writes every 5 ms, each time over a connection of its own.
holdfast: Redis with `sync = 1`, written through the virtual address, or, with --listener, through a surviving node's listener. Redis
Sentinel: the same three Redis, asked all at once as a client must who has not yet heard of the new primary. keepalived: only
the address, with an echo behind it: for the cases address-lost (the owner's node is cut off) and address-killed (kill -9 of every process
of holdfast or keepalived on it), which also say in how many runs two nodes answered for the address a second later.
The case `lost` cuts off a primary whose node does not lead the coordinator, `lost-leader` (holdfast only) one whose node does.
Damping is off (`flaps = 0`): each failover is measured by itself, though many follow each other.

usage: bench/failover.py [--runs N] [--cases kill,lost,hung,switchover,...] [--peers sentinel,keepalived] [--listener] [--out FILE]
"""
import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(TOP, "test", "lib"), os.path.join(HERE, "peers")]
os.environ.setdefault("HOLDFAST", os.path.join(TOP, "build", "holdfast"))
os.environ.setdefault("HOLDFAST_TOOLS", os.path.join(TOP, "build", "test"))

from claims import Claims                  # noqa: E402
from cluster import mac, now               # noqa: E402
from coordinated import Coordinated        # noqa: E402
from holdfast import Site, until  # noqa: E402
from keepalived import Keepalived          # noqa: E402
from prober import Prober                  # noqa: E402
from sentinel import Sentinel              # noqa: E402

VIP, PORT = "10.77.0.100", 26379
COUNTED = {"switchover": "failed", "address-killed": "two_answered"}
CACHE = f"""
service cache {{
  agent  = redis
  on     = {{a, b, c}}
  listen = tcp://0.0.0.0:{PORT}
  vip    = {VIP}/24
  sync   = 1
  flaps  = 0
}}
"""


def processes_of(machine, name):
    """Pids of the programs whose name begins so, in a machine's namespace."""
    there, found = os.readlink(f"/proc/{machine.pid}/ns/net"), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as f:
                comm = f.read().strip()
            if comm.startswith(name) and os.readlink(f"/proc/{pid}/ns/net") == there:
                found.append(int(pid))
        except OSError:
            continue
    return found


class Holdfast:
    name = "holdfast"

    def __init__(self, site, listener):
        self.cluster = Coordinated(site, "abc", more=CACHE)
        self.net, self.listener = self.cluster.net, listener
        self.cluster.start()
        self.observer = self.cluster.stranger("observer")
        self.machines = {name: self.cluster[name].machine for name in "abc"}
        until(lambda: self.well(), 60, "three instances in sync")

    def roles(self, node):
        return next((r for r in self.cluster[node].ask("/v1/roles")["roles"] if r["service"] == "cache"), None)

    def well(self):
        """Everybody names the same primary, and all follow it in sync."""
        try:
            seen = [self.roles(name) for name in "abc"]
        except (OSError, ValueError, KeyError):
            return False
        # Where etcd's leader is the primary's node too, holdfast hands one of them over within some seconds.
        return (self.cluster.settled("abc", "abc") and all(seen) and self.cluster.leader() != seen[0]["primary"] and seen[0]["primary"] and len({r["primary"] for r in seen}) == 1 and
                all(c["in_sync"] and c["well"] for r in seen for c in r["candidates"]))

    def primary(self):
        return self.roles("a")["primary"]

    def address(self, lost):
        if not self.listener:
            return VIP
        return self.cluster.addresses[next(n for n in "abc" if n != lost)]

    def prober(self, site, primary):
        return Prober(site, self.cluster.clients.prefix, self.address(primary), PORT)

    def machine(self, name):
        return self.cluster.nodes[name].machine

    def lead(self, name):
        """The coordinator's lead goes to that node."""
        until(lambda: not self.cluster.members().lead(name), 20, f"{name} to lead the coordinator")

    def switch(self, target):
        self.cluster["a"].command("switchover", "cache", "to", target, seconds=30)

    def restart(self, name):
        self.cluster[name].process.end()
        self.cluster[name].start()

    def why(self, lost):
        """What the nodes that were not lost say of the last failover."""
        return "\n".join(self.cluster[n].command("why", "cache", check=False).stdout for n in "abc" if n != lost)

    def close(self):
        self.cluster.__exit__()


def fault(system, case, primary):
    """Does it; the moment, and how it is undone."""
    machine = system.machine(primary)
    if case == "kill":
        for pid in processes_of(machine, "redis-server"):
            os.kill(pid, signal.SIGKILL)
        return now(), lambda: None
    if case == "hung":
        pids = processes_of(machine, "redis-server")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return now(), lambda: [os.kill(p, signal.SIGCONT) for p in pids if os.path.exists(f"/proc/{p}")]
    if case == "address-killed":
        for pid in processes_of(machine, system.name):
            os.kill(pid, signal.SIGKILL)
        return now(), lambda: system.restart(primary)
    if case == "lost-leader":
        system.lead(primary)           # holdfast hands it on within a second
    assert case in ("lost", "lost-leader", "address-lost")
    at = system.net.alone(primary)     # the moment before: what is measured is never too short
    return at, system.net.heal


def two_answer(site, system):
    """Whether two nodes answer for the address, as another machine sees it within a second."""
    claims = Claims(site, system.observer, VIP, PORT, system.machines, mac)
    time.sleep(1)
    claims.stop()
    return len({name for _, name, _ in claims.lines()}) > 1


def one(site, system, case, slow):
    """ms until a write is accepted that was sent after the fault; of a switchover the longest pause, and what failed. Of a kill of all: whether two
    nodes answered for the address afterwards."""
    if hasattr(system, "fresh"):
        system.fresh()
    until(system.well, 60, f"{system.name} to be well")
    primary = system.primary()
    prober = system.prober(site, primary)
    begin = now()
    until(lambda: prober.again(begin), 20, "writes")
    time.sleep(random.uniform(0.3, 0.6))    # the moment of the fault is no phase of anybody's timer
    if case == "switchover":
        begin = now()
        system.switch(next(n for n in "abc" if n != primary))
        end = now() + 10**9
        until(lambda: any(a > end for a, _, _ in prober.lines()), 20, "a second more of writes")
        pause, failed = prober.longest(begin, end)
        prober.stop()
        explain(system, "", pause / 1e6, slow, failed)
        return pause / 1e6, len(failed)
    if hasattr(prober, "begins"):
        prober.begins()
    at, undo = fault(system, case, primary)
    after = now()      # until here a write may have been accepted before the fault
    until(lambda: prober.again(after), 60, "writes again")
    took = prober.again(after) - at
    prober.stop()
    explain(system, primary, took / 1e6, slow)
    both = two_answer(site, system) if case == "address-killed" else 0
    undo()
    return took / 1e6, int(both)


def explain(system, lost, ms, slow, failed=()):
    """Of a run that took long, or in which a command failed: where the time went."""
    if hasattr(system, "why") and (failed or ms > slow):
        print(f"# {ms:.0f} ms, failed: {list(failed)}\n{system.why(lost)}", file=sys.stderr, flush=True)


def summary(values):
    return {"n": len(values), "median_ms": round(statistics.median(values), 1), "min_ms": round(min(values), 1), "max_ms": round(max(values), 1)}


def measure(site, system, case, runs, slow):
    took, failed = [], 0
    for i in range(runs):
        ms, bad = one(site, system, case, slow)
        took.append(ms)
        failed += bad
        print(f"# {system.name} {case} {i + 1}: {ms:.0f} ms", file=sys.stderr, flush=True)
    row = {"system": system.name, "case": case, **summary(took), **({COUNTED[case]: failed} if case in COUNTED else {})}
    print(json.dumps(row), flush=True)
    return row


def can(system, case):
    if case == "lost-leader":
        return hasattr(system, "lead")
    return (case.startswith("address-") and hasattr(system, "restart") if case.startswith("address-") or system.name == "keepalived"
            else case != "switchover" or hasattr(system, "switch"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--cases", default="kill,lost,hung,switchover")
    parser.add_argument("--peers", default="sentinel")
    parser.add_argument("--listener", action="store_true", help="not through the virtual address")
    parser.add_argument("--down-after", type=int, default=200, help="Sentinel's, ms; 200 is its lowest clean setting")
    parser.add_argument("--advert", default="1", help="keepalived's interval of advertisements, s; its default is 1")
    parser.add_argument("--why-above", type=float, default=1000, metavar="MS", help="explain a run that took longer (default: 1000)")
    parser.add_argument("--out", help="rows as JSON")
    a = parser.parse_args()
    rows, cases = [], a.cases.split(",")
    makers = [lambda site: Holdfast(site, a.listener)]
    if "sentinel" in a.peers:
        makers.append(lambda site: Sentinel(site, a.down_after, PORT))
    if "keepalived" in a.peers:
        makers.append(lambda site: Keepalived(site, a.advert, VIP))
    for make in makers:
        with tempfile.TemporaryDirectory(prefix="holdfast-failover-") as directory, Site(directory) as site:
            os.chmod(directory, 0o755)
            system = make(site)
            rows += [measure(site, system, case, a.runs, a.why_above) for case in cases if can(system, case)]
            system.close()
    if a.out:
        with open(a.out, "w") as f:
            json.dump(rows, f, indent=1)


if __name__ == "__main__":
    main()
