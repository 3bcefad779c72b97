"""The demo tells the truth: its exit code is its verdict, and it leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest
from holdfast import BINARY, PATIENCE, TOP, until

DEMO = [sys.executable, "-B", os.path.join(TOP, "tools", "demo.py"), "--story", "--holdfast", BINARY]


@pytest.fixture
def place():
    """As root, Redis and etcd run as somebody who must reach it; pytest's own directories are closed to all others."""
    made = tempfile.mkdtemp(prefix="holdfast-test-demo-")
    os.chmod(made, 0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_story(place):
    environment = dict(os.environ, TMPDIR=place)
    done = subprocess.run(DEMO, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL,
                          timeout=90 * PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No request was lost, and no acknowledged write." in done.stdout
    for what in "kill -9 backend-1", "backend-2 hangs", "kill -9 proxy", "kill -9 control", "kill -9 node a", "kill -9 node b", "kill -9 node c", "kill -9 Redis", "its Redis", "switchover":
        assert what in done.stdout.partition("What was measured")[2]
    assert os.listdir(place) == []


def test_an_interrupt_cleans_up(site, place):
    environment = dict(os.environ, TMPDIR=place)
    output = open(site.path("output"), "w+")
    demo = site.process(DEMO, stdout=output, env=environment, stdin=subprocess.DEVNULL)

    def said():
        output.seek(0)
        return output.read()

    until(lambda: "all healthy" in said(), 30, "the demo to be under way")
    inside = [d for d in os.listdir(place) if d.startswith("holdfast-demo")]
    assert len(inside) == 1
    demo.signal(signal.SIGINT)
    assert demo.wait(20) == 130
    assert not os.path.exists(os.path.join(place, inside[0]))
    until(lambda: not mentions(inside[0]), what="its processes to be gone")


def mentions(text):
    """Processes whose command line holds the text."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if text.encode() in f.read():
                    found.append(int(pid))
        except OSError:
            pass  # it has just ended
    return found


def test_it_says_when_there_is_nothing_to_show(site):
    done = subprocess.run(DEMO[:-1] + [site.path("absent")], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "make" in done.stderr
