"""Everything at once, for as long as one likes: all kinds of clients, while backends, processes, files and programs change.

One node with two workers, some hundred requests a second by clients that check every byte (test/lib/soak.py), and a schedule of
events drawn from one seed (test/lib/mixed.py). HOLDFAST_SOAK_MINUTES (0.4 if not set) says how long, HOLDFAST_SOAK_SEED repeats a
schedule, HOLDFAST_SOAK_LOG is a file for JSON lines. `make mixed MINUTES=120` is the long run.

No idempotent request may fail, no other but by a backend's fault, none is delivered twice, no tunnel is cut. What a kill -9 of the
proxy cuts, of connections that were open at that moment, is counted apart. What processes hold must not drift
(test/lib/drift.py says how that is judged). From 40% to 80% of the time no event replaces the proxy, so that one of them
lives long: it is judged by itself too.
"""

import os
import random
import re
import sys
import time

import pytest
from drift import MIB, drifts, look
from holdfast import PATIENCE, SANITIZED, until
from mixed import BURST, RATE, REST, Soak
from soak import Limited

pytestmark = pytest.mark.quiet

MINUTES = float(os.environ.get("HOLDFAST_SOAK_MINUTES", "0.4"))
SEED = int(os.environ.get("HOLDFAST_SOAK_SEED", str(random.SystemRandom().randrange(10**6))))
# What a log may say above info, since it is what happens here. (A verdict on an instance that never failed is the judgement of a
# machine that is too busy; it has cost nobody a request.)
EXPECTED = re.compile(r"was killed by signal 9|starts again in|drain already|cannot be read by the user nobody|instance-verdict: |finding-raised: \S+ (instance|service) (slower-than-|more-errors|hang)|source-(failed|back)")


def say(line):
    print(line, file=sys.stderr, flush=True)


def line_of(soak, held, row):
    """A minute in one line."""
    parts = []
    for role, found in sorted(held.items()):
        rss, hwm = (max(f[k] for f in found) / MIB for k in ("rss", "hwm"))
        parts.append(f"{role}{'' if len(found) == 1 else f' x{len(found)}'} {rss:.1f}/{hwm:.1f} MiB {max(f['descriptors'] for f in found)} fd "
                     f"{max(f['threads'] for f in found)} thr")
    web = row["web"]["idempotent"]
    return (f"{sum(r['requests'] for r in row.values())} requests, p50 {web['p50_us'] / 1000:.1f} p99 {web['p99_us'] / 1000:.1f} ms, "
            f"{soak.ledger.n_failures} failed, {sum(soak.ledger.cut.values())} cut by kills | " + " | ".join(parts))


def attempt(soak, what):
    """Goes on after a failure: what else fails in a long run is worth knowing. Not without the node."""
    try:
        return what()
    except AssertionError as e:
        assert soak.node.process.running, soak.node.said()[-2000:]
        soak.ledger.failed("events", str(e))
        return None


def carry_on(soak, seconds):
    """Events and samples until the time is over."""
    low, high = (1, 6) if seconds > 120 else (0.3, 1)
    began = time.monotonic()
    sample_every, next_sample, next_event = max(0.5, min(10, seconds / 60)), began, began + 0.5
    minute, next_minute, held = 0, began + 60, {}
    while (now := time.monotonic()) < began + seconds:
        if now >= next_event:
            attempt(soak, lambda: soak.happen((now - began) / seconds))
            next_event = time.monotonic() + soak.random.uniform(low, high)
        if now >= next_sample:
            held = attempt(soak, soak.sample) or held
            next_sample = now + sample_every
        if now >= next_minute:
            minute, next_minute = minute + 1, next_minute + 60
            say(f"{minute:4} min: {line_of(soak, held, soak.minute(minute))}")
        attempt(soak, soak.undo_due)
        time.sleep(0.05)
    return minute, held


def finish(soak, minute, held):
    """Ends the clients, and waits until nothing is left of them."""
    while soak.fault or soak.drained or soak.attacks:
        soak.undo_due(all_of_it=True)
        time.sleep(0.05)
    for c in soak.clients:
        c.stop()
    for c in soak.clients:
        c.join(60 * PATIENCE)
        assert not c.is_alive(), f"{c.name} hangs"
    soak.watch_tunnels()
    say(f"   last: {line_of(soak, held, soak.minute(minute + 1))}")
    for name, load in soak.loads.items():
        load.stop()
        soak.judge_load(name, load.last_phase)
    for service, tunnels in soak.tunnels.items():
        soak.ledger.ok(f"{service} tunnels", tunnels.stop()["echoes"])
    soak.watch_deliveries()


def at_rest(soak):
    """Nothing of a client is left: the status of then."""
    def status():
        s = soak.status()
        left = [p for p in s["proxies"] if p["role"] != "accepting" or p["connections"]]
        left += [x["name"] for x in s["services"] if x["mode"] == "http" and (x["tunnels"] or any(i["inflight"] for i in x["instances"]))]
        return None if left else s
    return until(status, 60, "connections, requests and old proxies to be gone")


def own_descriptors(soak):
    """Those of the proxy that are no idle connection to an instance."""
    s = at_rest(soak)
    return look(soak.proxy())["descriptors"] - sum(i["idle"] for x in s["services"] for i in x["instances"])


def judge(soak, minutes):
    """A sentence for each thing that is wrong."""
    wrong = list(soak.ledger.failures)
    if soak.ledger.n_failures > len(wrong):
        wrong.append(f"and {soak.ledger.n_failures - len(wrong)} failures more")
    if not SANITIZED:
        wrong += drifts(soak.series, minutes)
        pid, longest = max(soak.lives.items(), key=lambda life: len(life[1].rows))
        wrong += [f"process {pid} alone, {d}" for d in drifts(longest, minutes * (REST[1] - REST[0]), ("proxy",))]
    wrong += [f"log: {line}" for line in soak.node.said().splitlines() if re.search(r" (warning|error): ", line) and not EXPECTED.search(line)]
    limited = [c for c in soak.clients if isinstance(c, Limited)][0]
    most = 1.1 * RATE * (time.monotonic() - soak.ledger.began) + BURST * (2 + soak.generations())
    if not limited.limited or limited.passed > most:
        wrong.append(f"rate: {limited.passed} passed, {most:.0f} at most; {limited.limited} limited")
    udp = [c for c in soak.clients if c.name == "udp"][0]
    if udp.lost > 0.001 * soak.ledger.done["udp"] + 1:
        wrong.append(f"udp: {udp.lost} datagrams lost of {soak.ledger.done['udp']}")
    return wrong + unbalanced(soak)


def unbalanced(soak):
    """What the counters do not explain: each request has one status, but for those that died with their proxy."""
    found, lost = [], sum(soak.ledger.cut.values())
    for s in at_rest(soak)["services"]:
        answered = sum(s["responses"].values())
        # A head that is refused has a status mostly, and none where its client was gone or never said who it is.
        if s["mode"] == "http" and not s["requests"] - lost <= answered <= s["requests"] + s["refused_heads"]:
            found.append(f"service {s['name']}: {s['requests']} requests, {s['refused_heads']} refused heads, {answered} statuses, {lost} cut")
    return found


def test_everything_at_once(site):
    log = os.environ.get("HOLDFAST_SOAK_LOG", site.path("soak.jsonl"))
    say(f"\nsoak of {MINUTES:g} minutes, HOLDFAST_SOAK_SEED={SEED}, samples in {log}")
    soak = Soak(site, SEED, log)
    soak.node.await_all_healthy()
    soak.start_clients()
    minute, held = carry_on(soak, MINUTES * 60)
    finish(soak, minute, held)
    wrong = judge(soak, MINUTES)
    before = own_descriptors(soak)
    soak.event_restart()
    after = own_descriptors(soak)
    if before > after + 8:
        wrong.append(f"descriptors: {before} in a proxy at rest, {after} in a new one")
    soak.close()
    events = ", ".join(f"{n} {name}" for name, n in sorted(soak.happened.items()))
    done = soak.ledger.done
    summary = (f"soak {MINUTES:g} min, seed {SEED}: {sum(done.values())} answers of {len(done)} kinds checked, {soak.ledger.n_failures} failed, "
               f"{sum(soak.ledger.cut.values())} cut by {len(soak.ledger.kills)} kills of the proxy; {events}; "
               f"{len(soak.refused)} hand-overs refused; {len(wrong)} findings")
    say(summary)
    site.report(summary)
    for role in ("supervisor", "control", "proxy"):
        line = f"{role}: medians of six parts: " + "; ".join(
            f"{figure} {' '.join(str(m and round(m / (MIB if figure == 'rss' else 1), 1)) for m in soak.series.sixths(role, figure))}"
            for figure in ("rss", "descriptors", "threads"))
        say(line)
        site.report(line)
    assert soak.node.terminate(60) == 0
    assert not wrong, "\n" + "\n".join(wrong[:40])
