"""Conversations written for varnishtest, an HTTP test tool of other people: a second opinion.

Each vtc/*.vtc starts its own server s1 and a node before it with `shell {exec ${node} ${s1_addr}:${s1_port}}`,
which this file prepares, and talks to ${proxy}."""

import os
import stat
import subprocess
import sys

import pytest

from holdfast import BINARY, PATIENCE

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vtc")

# Run by varnishtest's shell: writes the configuration, starts the daemon, waits until it serves.
START = """#!{python} -B
import os, sys
sys.path.insert(0, {lib!r})
import holdfast
config = holdfast.sample({port}, sys.argv[1:], check="none = yes")
with open({file!r}, "w") as f:
    f.write(config)
if os.fork() == 0:
    os.setsid()
    null = os.open({errors!r}, os.O_RDWR | os.O_CREAT)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.execv({binary!r}, [{binary!r}, "run", {file!r}, "--state", {state!r}])
holdfast.until(lambda: holdfast.connects({port}), what="the proxy to listen")
"""


@pytest.mark.parametrize("name", sorted(os.listdir(HERE)))
def test_conversation(site, name):
    port, node = site.port(), site.path("node.py")
    with open(node, "w") as f:
        f.write(START.format(python=sys.executable, lib=os.path.dirname(HERE) + "/../lib", port=port,
                             file=site.path("vtc.conf"), state=site.path("state"),
                             errors=site.path("node.err"), binary=BINARY))
    os.chmod(node, stat.S_IRWXU)
    done = subprocess.run(["varnishtest", "-t", str(int(20 * PATIENCE)), "-D", f"proxy=127.0.0.1:{port}",
                           "-D", f"node={node}", os.path.join(HERE, name)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
