"""Five nodes at default settings on a machine whose processors are all busy with other work: nobody is falsely said to have failed.

HOLDFAST_MESH_MINUTES (0.06 if not set) says how long; `make soak-mesh MINUTES=60` is the long run. HOLDFAST_MESH_BUSY is the number of
busy processes, two for each processor unless it is set. Each minute is a line on standard error. At the end a node is really lost: the detector that said nothing was awake.
"""

import os
import sys
import time

import pytest
from busy import Busy
from cluster import Cluster, answered, now
from holdfast import PATIENCE
from losing import ms

pytestmark = pytest.mark.quiet

MINUTES = float(os.environ.get("HOLDFAST_MESH_MINUTES", "0.06"))
BUSY = int(os.environ.get("HOLDFAST_MESH_BUSY", 2 * os.cpu_count()))
NAMES = "abcde"


def say(line):
    print(line, file=sys.stderr, flush=True)


def count(cluster, code, since):
    return len(cluster.events(code, since=since))


def test_nobody_is_falsely_failed_on_a_busy_machine(site):
    with Cluster(site, NAMES) as cluster:
        cluster.start()
        busy = Busy(site, BUSY)
        loads = [cluster.load(name, connections=1, think_us=50000, timeout_ms=int(20000 * PATIENCE)) for name in NAMES]
        began, start, minute = now(), time.monotonic(), 0
        say(f"\nsoak of {len(NAMES)} nodes for {MINUTES:g} minutes")
        while (passed := time.monotonic() - start) < MINUTES * 60:
            if passed >= 60 * (minute + 1):
                minute += 1
                suspected, failed = (count(cluster, code, began) for code in ("node-suspect", "node-failed"))
                say(f"{minute:4} min: {suspected} suspicions, {failed} failures; load average {os.getloadavg()[0]:.1f}")
            time.sleep(0.2)
        took = time.monotonic() - start
        false = [f"{o}: {e['subject']}: {e['text']}" for o, e in cluster.events("node-failed", since=began)]
        assert not any(cluster[name].follower.lost for name in NAMES)
        suspected = count(cluster, "node-suspect", began)
        agreed = cluster.agreed()
        at = cluster.net.alone("e")
        seen = cluster.await_event("node-failed", "e", "abcd", at)
        noticed = ms(max(e["boot_ns"] for e in seen.values()) - at)
        cluster.net.heal()
        conditions = busy.stop()
        cluster.await_agreement()
        requests = sum(answered(load)["requests"] for load in loads)
        hours, pairs = took / 3600, len(NAMES) * (len(NAMES) - 1)
        summary = (f"{len(NAMES)} nodes, {took:.0f} s at defaults: {len(false)} false failures, {suspected} false suspicions "
                   f"({suspected / hours:.1f} an hour of the cluster, {suspected / hours / pairs:.2f} an hour of each pair); "
                   f"a real loss then known to all after {noticed:.0f} ms; {requests} requests, 0 failed; {conditions}")
        say(summary)
        site.report(summary)
        assert not false, "\n".join(false[:20]) + "\n" + cluster.picture()
        assert agreed or suspected, cluster.picture()
