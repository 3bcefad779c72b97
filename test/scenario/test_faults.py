"""No request is lost while backends die, hang, fail and slow down, and come back.

64 connections of mixed GET, PUT and POST on three backends. HOLDFAST_ROUNDS rounds (2 if not set),
each doing four faults to a backend of its own choice, and undoing each. Idempotent requests never
fail; others may fail only with 502, 503 or 504, or the 500 of a backend that had them, and are never delivered
twice. What was measured is
printed at the end of the run and, with HOLDFAST_EVIDENCE=FILE, written there as JSON.
"""

import json
import os

from holdfast import sample

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "2"))
REFUSALS = {"502", "503", "504"}  # by holdfast, of a request that may not be sent again


def kill(b):
    b.kill()


def restart(b):
    b.start()


def stop(b):
    b.stop()


def resume(b):
    b.resume()


def fail(b):
    b.mode("error")


def slow(b):
    b.mode("slow")


def normal(b):
    b.mode("normal")


# name, what is done, how it is undone, the verdicts that must follow it (none: it stays in service)
FAULTS = [
    ("kill", kill, restart, ("failed",)),
    ("stop", stop, resume, ("failed",)),
    ("error", fail, normal, ("failed",)),
    ("slow", slow, normal, ()),
]


def one_fault(node, load, backend, fault):
    """Figures of one fault, from the moment it is done until it is undone and seen to be over."""
    name, do, undo, verdicts = fault
    load.phase(name)
    do(backend)
    noticed = node.await_verdict(backend, *verdicts) if verdicts else None
    load.carry(1500)
    figures = load.phase(f"{name}, undone")
    undo(backend)
    figures["noticed_s"] = noticed
    figures["back_s"] = node.await_verdict(backend, "healthy")
    load.carry(500)
    figures["undone"] = load.phase("between")
    return figures


def check_figures(what, figures):
    once = figures["non_idempotent"]
    lost = figures["idempotent"]["failed"]
    assert lost == 0, f"{what}: {lost} idempotent requests failed: {figures['failures'][:5]}"
    assert once["failed"] == once["status"], f"{what}: {figures['failures'][:5]}"
    passed_on = {"500"} if what in ("error", "error, undone", "total") else set()
    assert set(once["statuses"]) <= {"200"} | REFUSALS | passed_on, f"{what}: {once['statuses']}"


def report(site, rows, total):
    for name, figures in rows:
        i, n = figures["idempotent"], figures["non_idempotent"]
        noticed = figures["noticed_s"]
        site.report(f"{name:6} {figures['requests']:6} requests, p99 {i['p99_us'] / 1000:7.1f} ms, "
                    f"max {i['max_us'] / 1000:7.1f} ms, POST p99 {n['p99_us'] / 1000:7.1f} ms, "
                    f"POST refused {n['status']:3}, "
                    f"noticed {'-' if noticed is None else format(noticed, '.2f')} s, "
                    f"back {figures['back_s']:.2f} s")
    if os.environ.get("HOLDFAST_EVIDENCE"):
        with open(os.environ["HOLDFAST_EVIDENCE"], "w") as f:
            json.dump({"rounds": ROUNDS, "faults": rows, "total": total}, f, indent=1)


def test_no_request_is_lost_while_backends_fail(site):
    backends = [site.backend(service_us=2000) for _ in range(3)]
    port = site.port()
    node = site.node(sample(port, backends), port)
    node.await_all_healthy()
    load = site.load(port, connections=64, think_us=10000)
    load.carry(500)
    rows = []
    for r in range(ROUNDS):
        for f, fault in enumerate(FAULTS):
            rows.append((fault[0], one_fault(node, load, backends[(r + f) % 3], fault)))
    total = load.stop()
    report(site, rows, total)
    for name, figures in rows:
        check_figures(name, figures)
        check_figures(f"{name}, undone", figures["undone"])
    check_figures("total", total)
    assert total["failed_max_us"] < 2_500_000, "a refusal took longer than the time-outs allow"
    assert site.delivered_twice() == []
