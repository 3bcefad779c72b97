"""What all tests of the command line share: running it, with and without a terminal, and a stand-in for a node."""
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import holdfast  # noqa: E402
from node import FakeNode  # noqa: E402


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LANG"}}
    return {**kept, "TERM": "xterm", "HOME": "/nonexistent", **more}


@pytest.fixture
def run():
    """run("status", "--json", env={...}) -> a CompletedProcess with text."""
    def go(*words, env=None, **more):
        return subprocess.run([holdfast.BINARY, *words], env=environment(**(env or {})), text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=60 * holdfast.PATIENCE, **more)
    return go


@pytest.fixture
def node(tmp_path):
    with FakeNode(tmp_path) as n:
        yield n


class Terminal:
    """A command on a pseudo-terminal of a given size; `text` is all that it wrote so far."""

    def __init__(self, words, columns=80, rows=24, **env):
        self.master, slave = pty.openpty()
        self.text, self.lock = "", threading.Lock()
        self.size(columns, rows)
        self.modes = termios.tcgetattr(self.master)
        self.process = subprocess.Popen([holdfast.BINARY, *words], env=environment(**env), stdin=slave, stdout=slave,
                                        stderr=slave, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave = slave          # kept open: the modes can be read after the command's end
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        data = b""
        while True:
            try:
                data += os.read(self.master, 65536)
            except OSError:
                return
            with self.lock:
                self.text = data.decode(errors="replace")

    def size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys.encode())

    def wait_for(self, what, since=0):
        holdfast.until(lambda: what in self.text[since:], 20, f"{what!r} in {self.text[since:]!r}")

    def end(self):
        return self.process.wait(20 * holdfast.PATIENCE)

    def frames(self):
        """What each drawing put on the screen, as lines without escape sequences."""
        return [[re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in frame.replace("\r", "").split("\n")]
                for frame in self.text.split("\x1b[H")[1:]]

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.slave)
        self.thread.join(5)
        os.close(self.master)


@pytest.fixture
def terminal():
    """terminal("top", columns=80, rows=24) -> a Terminal that is ended with the test."""
    open_ones = []

    def go(*words, **more):
        open_ones.append(Terminal(words, **more))
        return open_ones[-1]
    yield go
    for t in open_ones:
        t.close()
