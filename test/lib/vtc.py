"""vtc: conversations written for varnishtest, an HTTP test tool of other people: a second opinion.

A *.vtc starts its own servers, and a node before them with

    shell {exec ${node} ${s1_addr}:${s1_port}}              the sample configuration, with these backends
    shell {${node} - <<-END                                 any configuration, on standard input
        service web { listen = http://${proxy} ... }
        END}

and talks to ${proxy}, or to ${proxy2} and ${proxy3}, which are free for more listeners. ${dead} is an address that
refuses everybody, ${dir} a directory of the test's own, `${cli} WORDS` asks the node, ${holdfast} is the program, and
${dir}/pid has the node's pid."""

import json
import os
import re
import stat
import subprocess
import sys

from holdfast import BINARY, BUGS, PATIENCE

HERE = os.path.dirname(os.path.abspath(__file__))

# Run by varnishtest's shell: writes the configuration, starts the daemon, waits until it serves.
START = """#!{python} -B
import os, sys
sys.path.insert(0, {here!r})
import holdfast, vtc
text = sys.stdin.read() if sys.argv[1:] == ["-"] else holdfast.sample({port}, sys.argv[1:], check="none = yes")
with open({file!r}, "w") as f:
    f.write(text)
child = os.fork()
if child == 0:
    os.setsid()
    null = os.open({errors!r}, os.O_RDWR | os.O_CREAT)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.execv({binary!r}, [{binary!r}, "run", {file!r}, "--state", {state!r}])
with open({pid!r}, "w") as f:
    f.write(str(child))
holdfast.until(lambda: vtc.listens(text), what="the proxy to listen")
holdfast.until(lambda: vtc.serves({state!r}), what="the proxy to serve, and the admin socket to answer")
"""
CLI = """#!/bin/sh
exec {binary} "$@" --state {state}
"""


def listens(text):
    """Every listener of a configuration is there. A connection would reach the backends of a TCP service."""
    wanted = re.findall(r"(?:http|tcp)://(?:[\w.]+|\[[\w:]+\])?:(\d+)", text) + re.findall(r"(?:http|tcp)://unix:([^\s,}]+)", text)
    there = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/self/net/{name}") as f:
            for line in list(f)[1:]:
                fields = line.split()
                if fields[3] == "0A":   # LISTEN
                    there.add(str(int(fields[1].rpartition(":")[2], 16)))
    with open("/proc/self/net/unix") as f:
        there.update(line.split()[-1] for line in f)
    return all(w in there for w in wanted)


def serves(state):
    """A proxy accepts by the view that control has; both take a moment after the sockets are there."""
    done = subprocess.run([BINARY, "status", "--json", "--state", state], capture_output=True, text=True)
    if done.returncode != 0:
        return False
    status = json.loads(done.stdout)
    return any(p["role"] == "accepting" and p["epoch"] == status["epoch"] for p in status["proxies"])


def script(path, text):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, stat.S_IRWXU)
    return path


def converse(site, path):
    """Runs one conversation."""
    ports = [site.port() for _ in range(3)]
    state, errors = site.path("state"), site.path("node.err")
    node = script(site.path("node.py"), START.format(
        python=sys.executable, here=HERE, port=ports[0], file=site.path("vtc.conf"), state=state, errors=errors,
        binary=BINARY, pid=site.path("pid")))
    cli = script(site.path("cli"), CLI.format(binary=BINARY, state=state))
    macros = {"proxy": f"127.0.0.1:{ports[0]}", "proxy2": f"127.0.0.1:{ports[1]}", "proxy3": f"127.0.0.1:{ports[2]}",
              "port": ports[0], "port2": ports[1], "port3": ports[2], "dead": "127.0.0.1:1", "dir": site.directory,
              "node": node, "cli": cli, "holdfast": BINARY}
    defines = [word for name, value in macros.items() for word in ("-D", f"{name}={value}")]
    done = subprocess.run(["varnishtest", "-t", str(int(20 * PATIENCE)), *defines, path], capture_output=True, text=True)
    said = open(errors, errors="replace").read() if os.path.exists(errors) else ""
    failed = [line for line in done.stdout.splitlines() if line.startswith("----")]
    assert done.returncode == 0, "\n".join([done.stdout[-6000:], said[-2000:], *failed])
    assert not BUGS.search(said), said


def conversations(directory):
    return sorted(name for name in os.listdir(directory) if name.endswith(".vtc"))
