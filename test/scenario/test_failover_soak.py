"""A replicated service at default settings on a machine whose processors are all busy with other work: nobody is promoted, no primary
steps down, no write is refused and no client cut off. Who waits longer than the second that a client here has is counted: a machine that
stands still for a second (its own timers tell) makes everybody wait.

HOLDFAST_ROLE_MINUTES (0.1 if not set) says how long; `make soak-roles MINUTES=60` is the long run. HOLDFAST_MESH_BUSY is the number of
busy processes, two for each processor unless it is set. Each minute is a line on standard error. At the end the primary is really killed:
who promoted nobody was awake.
"""
import os
import sys
import time

from busy import Busy
from cluster import now
from holdfast import until
from roles import Roles

MINUTES = float(os.environ.get("HOLDFAST_ROLE_MINUTES", "0.1"))
BUSY = int(os.environ.get("HOLDFAST_MESH_BUSY", 2 * os.cpu_count()))
CHANGES = ("role-promoted", "role-demoted", "role-lost")


def say(line):
    print(line, file=sys.stderr, flush=True)


def changes(cluster, since):
    return [f"{(e['boot_ns'] - since) / 1e9:.1f} s {name}: {e['code']} {e['subject']}: {e['text']}"
            for code in CHANGES for name, e in cluster.events(code, since=since)]


def test_nobody_takes_over_from_a_primary_on_a_busy_machine(site):
    with Roles(site, "abc", sync=1) as cluster:
        cluster.begin()
        was = cluster.primary()
        busy = Busy(site, BUSY)
        with cluster.writer(*cluster.backups(was)) as writer, cluster.writer(was) as near:
            began, start, minute, seen = now(), time.monotonic(), 0, []
            say(f"\nsoak of a replicated service for {MINUTES:g} minutes")
            while (passed := time.monotonic() - start) < MINUTES * 60:
                if passed >= 60 * (minute + 1):
                    minute += 1
                    seen = changes(cluster, began)
                    say(f"{minute:4} min: {len(seen)} changes of the primary, {len(writer.failed) + len(near.failed)} writes failed; "
                        f"load average {os.getloadavg()[0]:.1f}")
                time.sleep(0.2)
            took, false = time.monotonic() - start, changes(cluster, began)
            writes, failed = sum(len(w.acked) for w in (writer, near)), [f for w in (writer, near) for f in w.failed]
            longest = max(w.pause(began) for w in (writer, near))
            at = cluster.kill_instance(was)
            outage = writer.outage(at, 30)
            conditions = busy.stop()
            until(lambda: cluster.primary() not in (None, was), 30, "another primary")
        refused = [f for f in failed if b"TimeoutError" not in f[3]]
        summary = (f"{took:.0f} s at defaults: {len(false)} changes of the primary, {writes} writes acknowledged, {len(refused)} refused or cut, "
                   f"{len(failed) - len(refused)} waited for over a second, the longest pause {longest:.0f} ms; a primary really killed was replaced after {outage:.0f} ms; {conditions}")
        say(summary)
        site.report(summary)
        assert not false, "\n".join(false[:20]) + "\n" + cluster.story(began)
        assert not refused, refused[:10]
        cluster.settle()
        writer.check()
        near.check()
