"""holdfast: starts real nodes, backends and load for tests, and always cleans up after them.

Everything here waits for conditions (`until`), never for time to pass. Each process is a group of
its own that is killed at the end, and dies with the test run however that ends (PDEATHSIG); what it
leaves behind is reaped here, because the test process is a subreaper. As root the tests run in a
network namespace of their own, so that nothing else on the machine can take a port or be disturbed.

    with Site(tmp_path) as site:
        backends = [site.backend() for _ in range(3)]
        node = site.node(sample(site.port(), backends))
        load = site.load(node.port)
        ...
        total = load.stop()
"""

import collections
import ctypes
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time
import urllib.request

import audit

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BINARY = os.environ.get("HOLDFAST", os.path.join(TOP, "build", "holdfast"))
TOOLS = os.environ.get("HOLDFAST_TOOLS", os.path.join(TOP, "build", "test"))
# What a node's log never says: a crash, a broken belief, a sanitizer's finding.
BUGS = re.compile(r".*(AddressSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:|(?<!etcd was )killed by signal "
                  r"(?!9\b)\d+|check failed:).*")
# Sanitizers, slow machines: every time limit of the tests is stretched by this.
PATIENCE = float(os.environ.get("HOLDFAST_PATIENCE", "1"))

def _sanitized():
    try:
        with open(BINARY, "rb") as f:
            program = f.read()
    except OSError:
        return False
    return b"__asan_" in program or b"__tsan_" in program


# Memory is no measure then: freed is kept for a while, and everything has a shadow.
SANITIZED = _sanitized()

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _CLONE_NEWNET = 1, 36, 0x40000000


def isolate():
    """A network namespace of our own when we may have one. True if so."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.geteuid() != 0 or _libc.unshare(_CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        up = struct.pack("16sh", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(s, 0x8914, up)  # SIOCSIFFLAGS
    return True


# What a cluster's key file holds, for nodes that need no secret: `holdfast key new` makes better ones.
CLUSTER_KEY = "630dcd29 use AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"


def until(condition, seconds=10, what="the condition"):
    """Polls until condition() is true and returns what it returned."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds * PATIENCE:g} s in vain for {what}")
        time.sleep(0.01)


def _free_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Process:
    """A child in a group of its own."""

    children = set()    # that were started and not ended: a module's site may be open while a test has one of its own

    def __init__(self, command, **options):
        def child():
            os.setpgid(0, 0)
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

        self.ended, self.popen = False, subprocess.Popen(command, preexec_fn=child, **options)
        Process.children.add(self.pid)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self, seconds=10):
        return self.popen.wait(seconds * PATIENCE)

    def end(self):
        """Kills the whole group, stopped or not, and reaps the child. Once: later the number may be another's."""
        if self.ended:
            return
        self.ended = True
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        Process.children.discard(self.pid)
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass


class Backend:
    """backend.c: a real server that fails on command."""

    def __init__(self, site, name, service_us, host="127.0.0.1", port=None, send_buffer=0):
        self.site, self.name, self.service_us = site, name, service_us
        self.send_buffer = send_buffer
        self.port, self.control_port = port or site.port(), site.port()
        self.address = f"{host}:{self.port}"
        self.log = site.path(f"{name}.log")
        self.process = None
        self.start()

    def start(self):
        self.process = self.site.process(
            [os.path.join(TOOLS, "backend"), "--listen", self.address,
             "--control", f"127.0.0.1:{self.control_port}", "--log", self.log,
             "--name", self.name, "--service-us", str(self.service_us),
             "--send-buffer", str(self.send_buffer)])
        until(lambda: connects(self.control_port), what=f"{self.name} to listen")

    def kill(self):
        self.process.end()

    def stop(self):
        self.process.signal(signal.SIGSTOP)

    def resume(self):
        self.process.signal(signal.SIGCONT)

    def _get(self, path):
        url = f"http://127.0.0.1:{self.control_port}{path}"
        with urllib.request.urlopen(url, timeout=10 * PATIENCE) as answer:
            return answer.read()

    def mode(self, name):
        assert self._get(f"/mode/{name}").decode() == name

    def stats(self):
        return json.loads(self._get("/stats"))

    def deliveries(self):
        """Every "METHOD ID" whose head arrived here, over all starts, kill -9 included."""
        with open(self.log) as f:
            return f.read().splitlines()


class Talker:
    """A program that answers a line of stdin with a line of JSON."""

    def __init__(self, site, command):
        self.process = site.process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    text=True)

    def ask(self, line):
        self.process.popen.stdin.write(line + "\n")
        self.process.popen.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.popen.stdout.readline()
        assert line, f"{self.process.popen.args[0]} ended with {self.process.wait()}"
        return json.loads(line)

    def snapshot(self):
        return self.ask("snapshot")


class Load(Talker):
    """load.c. Figures are dictionaries, see `Load.failed` for the usual question."""

    def __init__(self, site, port, run, host="127.0.0.1", prefix=(), **options):
        command = [*prefix, os.path.join(TOOLS, "load"), "--to", f"{host}:{port}", "--run", run]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        super().__init__(site, command)

    def phase(self, name):
        """Begins the phase `name`; the figures of the one that ends."""
        return self.ask(f"phase {name}")

    def carry(self, requests, seconds=30):
        """Waits until so many more requests have ended."""
        goal = self.count() + requests
        until(lambda: self.count() >= goal, seconds, f"{requests} requests")

    def count(self):
        return self.ask("count")["requests"]

    def stop_begin(self):
        """Sends no more requests; what is in flight may still come in."""
        self.process.popen.stdin.write("stop\n")
        self.process.popen.stdin.flush()

    def stop(self, begun=False):
        """Lets what is in flight come in; the figures of the whole run."""
        if not begun:
            self.stop_begin()
        self.last_phase = self._answer()
        total = self._answer()
        self.process.wait()
        self.process.end()
        return total

    @staticmethod
    def failed(figures):
        return figures["idempotent"]["failed"] + figures["non_idempotent"]["failed"]


class Tunnels(Talker):
    """tunnels.c"""

    def __init__(self, site, port, count, host="127.0.0.1", prefix=(), **options):
        self.count = count
        command = [*prefix, os.path.join(TOOLS, "tunnels"), "--to", f"{host}:{port}", "--count", str(count)]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        super().__init__(site, command)
        until(lambda: self.snapshot()["open"] == count, 20, f"{count} tunnels")

    def stop(self):
        figures = self.ask("stop")
        self.process.wait()
        self.process.end()
        return figures


class Attack(Talker):
    """attack.c. Elsewhere the attackers bring their own machines: they get what is left of this one."""

    def __init__(self, site, port, how, count, **options):
        command = ["nice", "-n", "19", os.path.join(TOOLS, "attack"), "--to", f"127.0.0.1:{port}", "--how", how,
                   "--count", str(count)]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        super().__init__(site, command)

    def await_figure(self, name, least, seconds=30):
        until(lambda: self.snapshot()[name] >= least, seconds, f"{least} {name} of an attack")

    def await_left(self, left, gone, seconds=30):
        """So many stay open, and so many were turned away."""
        def settled():
            f = self.snapshot()
            return f["open"] == left and f["ended"] + f["refused"] == gone
        until(settled, seconds, f"{left} connections to stay and {gone} to go")

    def stop(self):
        figures = self.ask("stop")
        self.process.wait()
        self.process.end()
        return figures


class Node:
    """A holdfast node with a state directory of its own."""

    def __init__(self, site, name, config, port, prefix=()):
        self.site, self.name, self.port, self.prefix = site, name, port, list(prefix)
        self.state = site.path(f"{name}-state")
        self.file = site.path(f"{name}.conf")
        self.errors = site.path(f"{name}.err")
        self.process = None
        self.write(config)

    def write(self, config):
        with open(self.file + ".new", "w") as f:
            f.write(config)
        os.rename(self.file + ".new", self.file)

    def start(self):
        with open(self.errors, "ab") as err:
            self.process = self.site.process(
                [*self.prefix, BINARY, "run", self.file, "--state", self.state], stdout=err,
                stderr=err)
        until(self.ready, 20, f"{self.name} to be ready ({self.errors})")
        return self

    def ready(self):
        assert self.process.running, f"holdfast ended: {self.said()}"
        status = self.status(check=False)
        return bool(status and status.get("services") and connects(self.port))

    def said(self):
        """All that it has written to its standard error."""
        if not os.path.exists(self.errors):
            return ""
        with open(self.errors, errors="replace") as f:
            return f.read()

    def command(self, *words, check=True, seconds=20):
        """Runs `holdfast WORDS --state DIR`."""
        done = subprocess.run([BINARY, *words, "--state", self.state], capture_output=True,
                              text=True, timeout=seconds * PATIENCE)
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode} {done.stdout}{done.stderr}"
        return done

    def status(self, check=True):
        try:
            done = self.command("status", "--json", check=check)
            return json.loads(done.stdout) if done.returncode == 0 else None
        except subprocess.TimeoutExpired:
            if check:
                raise
            return None

    def processes(self):
        return {p["name"]: p for p in self.status()["processes"]}

    def pid(self, name):
        return self.processes()[name]["pid"]

    def verdicts(self, service="web"):
        status = self.status()
        found = [s for s in status["services"] if s["name"] == service][0]
        return {i["address"]: i["verdict"] for i in found["instances"]}

    def await_verdict(self, backend, *wanted, seconds=20):
        """Seconds until the backend's verdict is one of those wanted."""
        began = time.monotonic()
        until(lambda: self.verdicts().get(backend.address) in wanted, seconds,
              f"{backend.name} to be {' or '.join(wanted)}, is {self.verdicts()}")
        return time.monotonic() - began

    def await_all_healthy(self, seconds=20):
        until(lambda: set(self.verdicts().values()) == {"healthy"}, seconds,
              "every instance to be healthy")

    def reload(self, config=None, check=True):
        if config is not None:
            self.write(config)
        return self.command("reload", check=check)

    def terminate(self, seconds=20):
        """SIGTERM; the exit code."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait(seconds)


class Site:
    """Owns all that a test starts. What report() is told is printed when all tests are over."""

    def __init__(self, directory, report=print):
        self.directory, self.report = str(directory), report
        self.processes, self.ports, self.counts = [], set(), collections.Counter()
        self.backends, self.nodes = [], []
        self.expected = ""      # words of a death that is no bug in this test

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for p in reversed(self.processes):
            p.end()
        self._reap_orphans()
        bugs = [m.group(0) for n in self.nodes for m in BUGS.finditer(n.said()) if not (self.expected and self.expected in m.group(0))]
        assert not bugs, "\n".join(bugs[:20] + [f"in {n.errors}" for n in self.nodes])
        bare = [f"{state}: {line}" for state in audit.all_below(self.directory) for line in audit.unexplained(state)]
        assert not bare, "I6: " + "\n".join(bare[:20])

    def _reap_orphans(self):
        """What a killed supervisor left behind has become our child."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            orphans = [pid for pid in _children() if pid not in Process.children]
            if not orphans:
                return
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def path(self, name):
        return os.path.join(self.directory, name)

    def port(self):
        port = _free_port()
        while port in self.ports:
            port = _free_port()
        self.ports.add(port)
        return port

    def process(self, command, **options):
        p = Process(command, **options)
        self.processes.append(p)
        return p

    def _name(self, kind):
        self.counts[kind] += 1
        return f"{kind}{self.counts[kind]}"

    def backend(self, service_us=2000, **where):
        b = Backend(self, self._name("b"), service_us, **where)
        self.backends.append(b)
        return b

    def node(self, config, port, start=True, prefix=()):
        n = Node(self, self._name("node"), config, port, prefix)
        self.nodes.append(n)
        return n.start() if start else n

    def load(self, port, **options):
        options.setdefault("timeout_ms", int(10000 * PATIENCE))
        return Load(self, port, self._name("r"), **options)

    def attack(self, port, how, count, **options):
        return Attack(self, port, how, count, **options)

    def tunnels(self, port, count):
        return Tunnels(self, port, count)

    def delivered_twice(self):
        """Non-idempotent requests that reached backends more than once, all backends together."""
        seen = collections.Counter()
        for b in self.backends:
            seen.update(line for line in b.deliveries() if line.startswith("POST "))
        return [line for line, n in seen.items() if n > 1]


def _children():
    with open(f"/proc/self/task/{os.getpid()}/children") as f:
        return [int(pid) for pid in f.read().split()]


def sample(port, backends, check="http = /health  every = 1s  rise = 2  fall = 3",
           balance="least-requests", name="web", more=""):
    """The configuration of the manual's first page."""
    lines = "\n".join(f"  backend {b if isinstance(b, str) else b.address}" for b in backends)
    return f"""service {name} {{
  listen  = http://127.0.0.1:{port}
  balance = {balance}
{lines}
  check   {{ {check} }}
  timeout {{ connect = 500ms  first-byte = 2s }}
  retry   {{ on = {{connect, reset, timeout, 5xx}}  attempts = 3  budget = 20% }}
  {more}
}}
"""
