"""The audit tells afterwards what happened and on which evidence: the true cause, who asked, over kills and restarts, and as it was then."""
import json
import os
import shutil
import signal
import sqlite3
import time

import audit
import pytest
from cluster import Cluster
from holdfast import PATIENCE, sample, until

FAST = "http = /health  every = 200ms  rise = 2  fall = 2"


def why(node, subject, *words):
    return json.loads(node.command("why", subject, *words, "--json").stdout)


def failed(node, subject):
    """The latest record of its failure."""
    return next(r for r in why(node, subject)["records"] if r.get("to") == "failed")


def signals(record):
    return [s["signal"] for s in record["evidence"]]


def started(site, n=3, more=""):
    backends, port = [site.backend() for _ in range(n)], site.port()
    node = site.node(sample(port, backends, FAST, more=more), port)
    node.await_all_healthy()
    return node, backends


@pytest.mark.quiet
def test_why_names_what_was_done_to_an_instance(site):
    """Killed, stopped, and failing requests while its health page is fine: each by its own signals, the latest last."""
    node, (killed, stopped, sick, _) = started(site, 4)
    killed.kill()
    stopped.stop()
    sick.mode("sick")
    load = site.load(node.port, connections=4, think_us=2000)
    for backend in killed, stopped, sick:
        node.await_verdict(backend, "failed", seconds=40)
    load.stop()
    reasons = {}
    for backend, wanted in (killed, ("check-refused", "request-refused", "request-reset")), (stopped, ("check-timeout", "request-timeout")), \
                           (sick, ("request-5xx",)):
        record = failed(node, f"web/{backend.address}")
        reasons[backend.name] = record["reason"]
        assert record["kind"] == "verdict" and record["rule"].startswith("failed: ")
        assert record["evidence"][-1]["signal"] in wanted, (backend.name, record)
        assert record["evidence"][-1]["age_seconds"] < 5 * PATIENCE and record["evidence"][-1]["time"] <= record["time"]
        text = node.command("why", backend.address).stdout
        assert text.startswith(f"web/{backend.address} is ") and record["evidence"][-1]["signal"] in text
    assert reasons[sick.name] == "requests-fail"
    stopped.resume()


def test_why_tells_who_drained_it_and_how_it_was_then(site):
    node, (first, _, _) = started(site)
    name = f"web/{first.address}"
    node.command("drain", name)
    drained = why(node, name)
    assert [r["code"] for r in drained["records"]][0] == "drain"
    assert drained["records"][0]["by"].startswith(f"uid {os.geteuid()} ") and drained["records"][0]["kind"] == "decision"
    before = drained["records"][0]["time"]
    first.kill()
    node.await_verdict(first, "failed")
    then = why(node, name, "--at", before)
    assert [(r["subject"], r["to"]) for r in then["then"]] == [(name, "healthy")]
    assert all(r["time"] <= before for r in then["records"])
    assert "was healthy (checks-pass) since" in node.command("why", name, "--at", before).stdout
    unknown = node.command("why", first.address[:-1] + "x", check=False)
    assert unknown.returncode == 1 and "nothing is known of" in unknown.stderr


def test_it_outlives_kills_of_control_and_the_node(site):
    """What was answered half a second before a kill -9 is there afterwards; the stated window is a tenth of that."""
    node, (first, _, _) = started(site)
    name, answered = f"web/{first.address}", 0
    for kill in range(3):
        for _ in range(4):
            node.command("drain", name)
            node.command("resume", name)
            answered += 2
        time.sleep(0.5 * PATIENCE)    # the window itself: nothing tells when it has passed
        victim = node.pid("control")
        os.kill(victim, signal.SIGKILL)
        until(lambda: node.status(check=False) and node.pid("control") != victim, 20, "another control")
    until(lambda: len(kept(node, "drain", "resume")) == answered, 10, f"{answered} drains and resumes")
    node.process.end()
    node.start()
    node.await_all_healthy()
    assert [e["code"] for e in kept(node, "drain", "resume")] == ["drain", "resume"] * (answered // 2)
    assert len(kept(node, "control-start")) == 5
    numbers = [e["seq"] for e in kept(node)]
    assert numbers == sorted(set(numbers))
    assert why(node, name)["records"][-1]["to"] == "suspect" or why(node, name)["records"][-1]["from"] == "suspect"


def kept(node, *codes):
    lines = node.command("events", "--since", "1h", "--json").stdout.splitlines()
    return [e for e in map(json.loads, lines) if not codes or e["code"] in codes]


def test_a_damaged_audit_makes_room(site):
    node, (first, _, _) = started(site)
    node.terminate()
    path = f"{node.state}/audit.db"
    with open(path, "r+b") as f:
        f.write(b"nonsense" * 2000)
    node.start()
    node.await_all_healthy()
    told = kept(node, "state-damaged")
    assert [e["subject"] for e in told] == ["audit.db"] and "audit.db.damaged" in told[0]["text"]
    assert os.path.exists(path + ".damaged")
    assert why(node, f"web/{first.address}")["records"]


def test_a_disk_that_takes_nothing_harms_nobody(site):
    """The file cannot be opened: the node serves, says so once, and answers from memory; later it is kept again."""
    node, backends = started(site, 1)
    node.terminate()
    os.remove(f"{node.state}/audit.db")
    os.mkdir(f"{node.state}/audit.db")     # no file can be there
    node.start()
    node.await_all_healthy()
    until(lambda: len([e for e in kept(node) if e["code"] == "audit-failed"]) == 1, what="it to say so")
    name = f"web/{backends[0].address}"
    answer = why(node, name)
    assert answer["now"][0]["verdict"] == "healthy" and "cannot open" in answer["problem"]
    os.rmdir(f"{node.state}/audit.db")
    until(lambda: kept(node, "audit-back"), 20, "it to be kept again")
    assert [r["to"] for r in why(node, name)["records"]][:1] == ["healthy"]   # what had waited is there


def test_a_node_that_is_lost_is_told_by_whom(site):
    with Cluster(site, "abc") as cluster:
        cluster.start()
        cluster["a"].command("maintenance", "on", "c")
        cluster["a"].command("maintenance", "off", "c")
        rested = until(lambda: (r := audit.records(cluster["c"].state, "code = 'maintenance'")) and len(r) == 2 and r, 20, "c to take part again")
        assert [r["asker"] for r in rested] == ["a", "a"]
        cluster["c"].process.end()
        cluster.wait(lambda: cluster["a"].events("node-failed"), 30, "a to count c as failed")
        record = next(r for r in why(cluster["a"], "c")["records"] if r["code"] == "node-failed")
        assert (record["kind"], record["subject_kind"], record["to"], record["reason"]) == ("verdict", "node", "failed", "agreed")
        assert {s["observer"] for s in record["evidence"] if s["signal"] == "does-not-hear"} == {"node a", "node b"}
        tally = next(s for s in record["evidence"] if s["signal"] == "tally")
        assert tally["says"] == "2 observe it: 0 hear it, 2 do not"
        heard = next(s for s in record["evidence"] if s["signal"] == "heard")
        assert heard["detail"] > 0 and heard["time"] < record["time"]
        text = cluster["a"].command("why", "c").stdout
        assert text.startswith("c is failed (agreed) since ") and "2 observe it: 0 hear it, 2 do not (a, b)" in text


def test_a_verdict_without_evidence_is_found(site, tmp_path):
    """What looks through every test's audits sees it."""
    node, (first, _, _) = started(site)
    first.kill()
    node.await_verdict(first, "failed")
    until(lambda: audit.records(node.state, "after = 'failed'"), what="it to be written")
    node.terminate()
    assert audit.unexplained(node.state) == []
    copy = tmp_path.parent / (tmp_path.name + "-copy")
    copy.mkdir()
    shutil.copy(f"{node.state}/audit.db", copy)
    with sqlite3.connect(copy / "audit.db") as db:
        db.execute("UPDATE records SET evidence = '[]' WHERE after = 'failed'")
    assert len(audit.unexplained(copy)) == 1 and "suspect -> failed (checks-fail) has no evidence" in audit.unexplained(copy)[0]
