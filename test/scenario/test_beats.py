"""Watched jobs against a real node: every way to send a beat, what is told when none comes, and what restarts keep."""
import json
import os
import signal
import socket

import pytest

from holdfast import PATIENCE, sample, until
from metrics import metrics

TOKEN = "0123456789abcdef0123"


@pytest.fixture
def node(site):
    port, udp, tcp = site.port(), site.port(), site.port()
    with open(site.path("token"), "w") as f:
        f.write(TOKEN + "\n")
    conf = (f"beats {{ listen = {{udp://127.0.0.1:{udp}, tcp://127.0.0.1:{tcp}}} }}\n"
            f"beat backup {{ every = 1h  token = file:{site.path('token')} }}\n"
            "beat report { every = 1h }\n"
            f"beat quick {{ every = {int(500 * PATIENCE)}ms  grace = {int(500 * PATIENCE)}ms }}\n")
    node = site.node(sample(port, [site.backend()]) + conf, port)
    node.udp, node.tcp = udp, tcp
    return node


def beats(node):
    return {b["name"]: b for b in json.loads(node.command("beats", "--json").stdout)["beats"]}


def count(node, name):
    return beats(node)[name]["beats"]


def datagram(node, line):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(line.encode(), ("127.0.0.1", node.udp))


def line(node, text):
    with socket.create_connection(("127.0.0.1", node.tcp), 10 * PATIENCE) as s:
        s.sendall(text.encode())
        s.shutdown(socket.SHUT_WR)
        return s.makefile().read()


def events(node, code):
    lines = node.command("events", "--json", "--last", "1000").stdout.splitlines()
    return [e for e in map(json.loads, lines) if e["code"] == code]


def test_every_way_to_send_one(node):
    assert node.command("beat", "report").stdout == ""
    assert count(node, "report") == 1
    datagram(node, "report ok\n")
    until(lambda: count(node, "report") == 2, what="the datagram")
    assert line(node, "report\nreport failed no data\n") == "ok\nok\n"
    assert beats(node)["report"]["reason"] == "beat-failed"
    assert "no data" in beats(node)["report"]["explanation"]
    node.command("beat", "report", "--failed", "still none")
    assert count(node, "report") == 5
    node.command("beat", "report")
    assert [e["to"] for e in events(node, "beat-failed") if e["subject"] == "report"] == ["failed"]
    assert [e["reason"] for e in events(node, "beat-back") if e["subject"] == "report"] == ["beats"]
    done = node.command("beat", "reprot", check=False)
    assert done.returncode == 1 and "did you mean 'report'?" in done.stderr


def test_the_network_needs_the_token(node):
    assert line(node, "backup\n").startswith("error: ")
    assert line(node, f"backup {TOKEN[::-1]}\n").startswith("error: ")
    datagram(node, "backup ok\n")
    assert line(node, f"backup {TOKEN}\n") == "ok\n"
    assert count(node, "backup") == 1
    datagram(node, f"backup {TOKEN} ok")
    until(lambda: count(node, "backup") == 2, what="the datagram with its token")
    node.command("beat", "backup")          # who may open the socket needs none
    assert count(node, "backup") == 3
    told = node.command("events", "--json").stdout + node.command("status", "--json").stdout
    assert TOKEN not in told


def test_silence_is_told_and_its_end(node):
    node.command("beat", "quick")
    assert node.command("beats", "--fail", check=False).returncode in (0, 1)
    until(lambda: [e for e in events(node, "beat-missing") if e["subject"] == "quick"], what="the missing beat")
    done = node.command("beats", "--fail", check=False)
    assert done.returncode == 1 and "beat quick has failed" in done.stderr
    assert "3 beats, 1 failed" in node.command("status").stdout
    node.command("beat", "quick")
    back = [e for e in events(node, "beat-back") if e["subject"] == "quick"]
    assert back and back[-1]["from"] == "failed"


def test_restarts_keep_what_is_known(node):
    """Control is killed: its sockets stay, and what comes meanwhile waits in them. Then the whole daemon stops and starts."""
    node.command("beat", "report")
    node.command("beat", "backup", "--failed", "disk full")
    state = os.path.join(node.state, "beats.json")
    until(lambda: os.path.exists(state) and '"disk full"' in open(state).read(), what="the file")
    before = len(events(node, "control-start"))
    control = next(p["pid"] for p in json.loads(node.command("status", "--json").stdout)["processes"] if p["name"] == "control")
    os.kill(control, signal.SIGSTOP)
    datagram(node, "report failed while you were away\n")
    os.kill(control, signal.SIGKILL)
    until(lambda: node.command("beats", check=False).returncode == 0, 20, "control to answer again")
    until(lambda: beats(node)["report"]["reason"] == "beat-failed", what="the datagram that waited")
    assert "while you were away" in beats(node)["report"]["explanation"]
    assert beats(node)["backup"]["reason"] == "beat-failed" and "disk full" in beats(node)["backup"]["explanation"]
    assert before >= 1 and not [e for e in events(node, "beat-missing") if e["subject"] != "quick"]
    until(lambda: "while you were away" in open(state).read(), what="the file again")
    assert node.terminate() == 0
    node.start()
    kept = beats(node)
    assert kept["backup"]["reason"] == kept["report"]["reason"] == "beat-failed"
    assert kept["report"]["beats"] == 2


def test_a_flood_does_no_harm(node):
    """More than is taken is dropped and counted, and the node goes on answering."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", node.udp))
        for i in range(20000):
            s.send(b"report ok" if i % 2 else os.urandom(100))

    def lines(result):
        return metrics(node)[f'holdfast_beat_lines_total{{result="{result}"}}']
    until(lambda: lines("dropped") > 0, what="dropped lines")
    assert lines("malformed") > 0
    assert node.command("beat", "backup").returncode == 0
