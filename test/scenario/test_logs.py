"""Logs read by a real node: what rules and learning find, what it does to verdicts, and that the process that reads may die."""
import json
import os
import signal
import time

import pytest

from holdfast import PATIENCE, sample, until
from metrics import metrics


def config(port, backends, statement, top=""):
    """`statement` stands in the block of the first backend."""
    text = sample(port, backends, check="http = /health  every = 200ms  rise = 1  fall = 3")
    first = f"backend {backends[0].address}"
    assert first in text
    return text.replace(first, f"{first} {{ {statement} }}", 1) + top


@pytest.fixture
def log(site):
    """A log that everybody may read, as the process that reads has no rights of its own."""
    directory = os.path.join("/tmp", f"sense-test-{os.getpid()}-{time.monotonic_ns()}")
    os.mkdir(directory, 0o755)
    path = os.path.join(directory, "app.log")
    with open(path, "w"):
        pass
    os.chmod(path, 0o644)
    yield path
    for name in os.listdir(directory):
        os.unlink(os.path.join(directory, name))
    os.rmdir(directory)


def write(path, *lines):
    with open(path, "a") as f:
        f.write("".join(line + "\n" for line in lines))


def found(node):
    return {(h["of"], h["name"], f["finding"]): f for h in node.status()["findings"] for f in h["findings"]}


def instance(node, index=0):
    return node.status()["services"][0]["instances"][index]


def reads(node):
    """Whether sense has the view in force, and so follows what it names."""
    status = node.status()
    return any(p["name"] == "sense" and p["pid"] and p["epoch"] == status["epoch"] for p in status["processes"])


def lines(node):
    return metrics(node)["holdfast_log_lines_total"]


def follow(node, path):
    """A log that is there at first is read from its end: a line that comes through says that it is followed."""
    until(lambda: reads(node), what="sense to read")
    before = lines(node)

    def comes_through():
        write(path, "the log is followed")
        return lines(node) > before

    until(comes_through, what="the first line")
    read = -1
    while read != lines(node):      # what was written meanwhile is no part of the test
        read = lines(node)
        time.sleep(0.1)


def begin(site, log, statement, top=""):
    port, backends = site.port(), [site.backend() for _ in range(2)]
    node = site.node(config(port, backends, statement, top), port)
    node.await_all_healthy()
    follow(node, log)
    return node, backends


def events(node, code):
    said = node.command("events", "--json", "--last", "1000").stdout.splitlines()
    return [e for e in map(json.loads, said) if e["code"] == code]


def test_the_users_rule_fails_an_instance_within_a_second(site, log):
    node, backends = begin(site, log, f'log {log} {{ match = "FATAL|PANIC"  except = "drill"  over = 5/10s  verdict = failed }}')
    write(log, *["all is well"] * 100, *["FATAL: a drill"] * 20, *["FATAL: the heap is gone"] * 4)
    until(lambda: metrics(node)["holdfast_log_lines_total"] >= 124, what="the lines to be read")
    assert node.verdicts()[backends[0].address] == "healthy"
    took = time.monotonic()
    write(log, "PANIC: the stack is gone")
    node.await_verdict(backends[0], "failed")
    took = time.monotonic() - took
    assert took < 1 * PATIENCE, took
    one = instance(node)
    assert one["reason"] == "log-rule" and one["own_verdict"] == "healthy"
    assert one["findings"][0]["verdict"] == "failed" and "FATAL|PANIC" in one["findings"][0]["text"]
    why = node.command("why", f"web/{backends[0].address}").stdout
    assert "log-rule" in why and "5 lines" in why and "FATAL|PANIC" in why and log[:40] in why
    raised = events(node, "finding-raised")[-1]
    assert raised["subject"] == f"web/{backends[0].address}" and raised["level"] == "error"
    assert "PANIC: the stack is gone" in raised["text"]
    assert node.verdicts()[backends[1].address] == "healthy"
    # over: no such line in the last ten seconds
    node.await_verdict(backends[0], "healthy", seconds=40)
    assert events(node, "finding-cleared")[-1]["subject"] == f"web/{backends[0].address}"


def test_a_new_error_degrades(site, log):
    node, backends = begin(site, log, f"log {log} {{ learn = 10s }}")

    def usual():
        write(log, *[f"request {i} took {i % 7} ms" for i in range(20)], "error: cannot find user 7")

    end = time.monotonic() + 14 * PATIENCE
    while time.monotonic() < end:
        usual()
        time.sleep(0.2)
    assert node.verdicts()[backends[0].address] == "healthy"
    write(log, "error: the disk returned nonsense at block 99")
    node.await_verdict(backends[0], "degraded", seconds=5)
    one = instance(node)
    assert one["reason"] == "log-new-error"
    assert "the disk returned nonsense" in one["findings"][0]["text"]
    usual()
    assert len(instance(node)["findings"]) == 1      # what was learnt is no news


def test_a_pack_speaks_for_the_node(site, log):
    node, backends = begin(site, log, "weight = 1", top=f"log {log} {{ rules = kernel }}\n")
    write(log, "Jan 31 10:00:00 host kernel: [  100.000000] Out of memory: Killed process 4711 (java) total-vm:1kB, "
               "anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0")
    held = until(lambda: node.status()["findings"], what="a finding")
    assert held[0]["of"] == "node" and held[0]["verdict"] == "degraded" and held[0]["reason"] == "log-rule"
    assert "kernel-" in held[0]["explanation"]
    assert held[0]["name"] == node.status()["node"]
    assert "log-rule" in node.command("why", held[0]["name"]).stdout
    assert set(node.verdicts().values()) == {"healthy"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_sense_may_die_or_hang(site, log, how):
    node, backends = begin(site, log, f'log {log} {{ match = FATAL  over = 1/60s }}')
    load = site.load(node.port)
    write(log, "FATAL: once")
    node.await_verdict(backends[0], "degraded", seconds=5)
    pid = node.pid("sense")
    os.kill(pid, how)
    # lines of the time in which nobody reads are read by the successor
    write(log, "FATAL: while nobody reads", "FATAL: again")
    until(lambda: node.pid("sense") not in (0, pid), 40, "another sense")
    until(lambda: reads(node), 20, "sense to read")
    until(lambda: instance(node)["findings"], 10, "what was raised")
    node.await_verdict(backends[0], "degraded", seconds=5)
    verdicts = [e for e in events(node, "instance-verdict") if e["subject"] == f"web/{backends[0].address}"]
    assert [e["to"] for e in verdicts].count("failed") == 0
    total = load.stop()
    assert load.failed(total) == 0


def test_a_restart_of_control_keeps_the_verdict(site, log):
    node, backends = begin(site, log, f'log {log} {{ match = FATAL  verdict = failed }}')
    write(log, "FATAL: once")
    node.await_verdict(backends[0], "failed", seconds=5)
    pid = node.pid("control")
    os.kill(pid, signal.SIGKILL)
    until(lambda: (node.status(check=False) or {"processes": []})["processes"] and node.pid("control") not in (0, pid),
          20, "another control")
    assert node.verdicts()[backends[0].address] == "failed"
    until(lambda: "FATAL" in "".join(f["text"] for f in instance(node)["findings"]), 20, "sense to say it again")


def test_a_reload_begins_and_ends_reading(site, log):
    port, backends = site.port(), [site.backend() for _ in range(2)]
    node = site.node(config(port, backends, "weight = 1"), port)
    assert "sense" not in node.processes()
    said = node.reload(config(port, backends, f"log {log} {{ match = FATAL }}")).stdout
    assert "log " + log in said
    follow(node, log)
    write(log, "FATAL: once")
    node.await_verdict(backends[0], "degraded", seconds=5)
    node.reload(config(port, backends, "weight = 1"))
    node.await_verdict(backends[0], "healthy", seconds=30)
    until(lambda: not node.processes()["sense"]["pid"], 20, "sense to end")


def test_a_storm_is_shed_and_counted(site, log):
    node, backends = begin(site, log, f"log {log} {{ match = FATAL }}")
    before = metrics(node)
    pid = node.pid("sense")
    line = b"2026-01-31T10:00:00Z INFO something was done for user 4711 and it took 12 ms, as usual\n"
    os.kill(pid, signal.SIGSTOP)        # nobody reads for a moment, and far more is written than may wait
    with open(log, "ab") as f:
        for _ in range(64):
            f.write(line * ((1 << 20) // len(line)))
    written = 64 * ((1 << 20) // len(line))
    os.kill(pid, signal.SIGCONT)

    def all_told():
        now = metrics(node)
        read = now["holdfast_log_lines_total"] - before["holdfast_log_lines_total"]
        shed = now["holdfast_log_shed_lines_total"] - before["holdfast_log_shed_lines_total"]
        return (read, shed) if read + shed >= written else None

    read, shed = until(all_told, 60, "all lines to be read or shed")
    assert read + shed == written and shed > 0
    memory = node.processes()["sense"]["memory_bytes"]
    assert memory < 32 << 20, memory
    until(lambda: ("instance", f"web/{backends[0].address}", "log-flood") in found(node), 10, "the flood to be told")
    site.report(f"    {written} lines at once: {read:.0f} read, {shed:.0f} skipped; sense has {memory >> 20} MiB")


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_its_cost_at_a_thousand_lines_a_second(site, log):
    node, _ = begin(site, log, f'log {log} {{ match = "FATAL|PANIC"  rules = {{redis, nginx}}  learn = 5m }}')
    pid, seconds = node.pid("sense"), 15
    used, began, n = cpu(pid), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        write(log, *[f"INFO request {n + i} of 10.0.{i % 250}.7 took {(n + i) % 97} ms" for i in range(20)])
        n += 20
        time.sleep(max(0, began + n / 1000 - time.monotonic()))
    took = time.monotonic() - began
    share, memory = (cpu(pid) - used) / took, node.processes()["sense"]["memory_bytes"]
    site.report(f"    {n / took:.0f} lines/s: {share:.2%} of a core, {memory / (1 << 20):.1f} MiB")
    assert memory < 20 << 20, memory
    assert share < 0.05 * PATIENCE, share
