#!/usr/bin/python3
"""The main job, live: three nodes of holdfast before three real HTTP backends and with a replicated Redis, and all of them
die, hang and return under load.

usage: demo.py [--story] [--holdfast BINARY]

On a terminal an interactive screen; its keys are shown on it. With --story, or when there is no
terminal, it tells its story by itself in about a minute, prints what it measured, and exits
with 0 if no request and no acknowledged write was lost, else with 1.

A GET or PUT must never fail. A POST may not be sent twice, so one that a dying backend took with it
is refused with 502, 503 or 504: that is counted apart, and the backends' own logs must show none
twice. What a node or its proxy process takes with it when it is killed is counted apart, too. A client
has a node of its own, and goes to the next one while that one refuses connections.

The Redis is a service of one primary: holdfast starts an instance on each node, and clients reach the primary through
any node. A client writes all the time; how long no write was acknowledged is what it calls a pause, and in the end every
write that was acknowledged must be there.

The nodes are a, b and c at 127.0.0.1, .2 and .3, with one file for all. Uses only the standard library;
the ports are free ones, everything lives in a temporary folder, and all of it goes away at the end,
also after Ctrl-C.
"""

import argparse
import collections
import http.client
import http.server
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty

sys.dont_write_bytecode = True
from demo_ports import connects, free_ports  # noqa: E402
from demo_writes import Disappointed, Writes  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLIENTS = 8
PAUSE = 0.008  # of a client between two requests
NODES = {"a": "127.0.0.1", "b": "127.0.0.2", "c": "127.0.0.3"}
HOME_AGAIN = 50  # requests after which a client that had to go elsewhere tries its own node

CONFIGURATION = """\
cluster demo {{
  key  = file:cluster.key
  port = {mesh}
{nodes}
}}
service web {{
  listen  = "http://${{HERE}}:{port}"
  balance = least-requests
{backends}
  check   {{ http = /health  every = {every}  rise = 2  fall = 3 }}
  timeout {{ connect = 500ms  first-byte = 2s }}
  retry   {{ on = {{connect, reset, timeout, 5xx}}  attempts = 3  budget = 20% }}
}}
service cache {{
  agent  = redis
  on     = {{{on}}}
  listen = "tcp://${{HERE}}:{cache}"
  port   = {redis}
  sync   = 1
}}
"""


# ---- a backend: this file, started again as a process of its own ----


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        ident = self.headers.get("X-Request-Id")
        if ident:  # before the answer, and past any crash: this is what was delivered
            os.write(self.server.log, f"{self.command} {ident}\n".encode())
        text = f"{self.server.name} {self.command} {ident} {len(body)}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = answer

    def log_message(self, *_):
        pass


def backend_main(name, port, log):
    # Should the demo itself be killed, its backends must not stay.
    parent = os.getppid()
    threading.Thread(target=lambda: end_with(parent), daemon=True).start()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.name, server.log = name, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    server.serve_forever()


def end_with(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


class Backend:
    def __init__(self, name, port, folder):
        self.name, self.port, self.log = name, port, os.path.join(folder, name + ".log")
        self.address = f"127.0.0.1:{port}"
        self.process, self.stopped = None, False

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--backend", self.name, str(self.port), self.log],
            stdin=subprocess.DEVNULL, start_new_session=True)
        wait_for(lambda: connects(self.port), 10, f"{self.name} to listen")

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.running:
            self.process.kill()
            self.process.wait()
        self.stopped = False

    def hang(self):
        self.process.send_signal(signal.SIGSTOP)
        self.stopped = True

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.stopped = False

    def deliveries(self):
        if not os.path.exists(self.log):
            return []
        with open(self.log) as f:
            return f.read().splitlines()


def wait_for(condition, seconds, what):
    """Seconds that it took until condition() was true."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise Disappointed(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)
    return time.monotonic() - began


def why(instance):
    """The first sentence of the evidence for a verdict."""
    return (instance.get("explanation") or instance.get("reason", "")).split(". ")[0].split(";")[0]


# ---- the load ----


class Load:
    """Clients that each send GETs, PUTs and POSTs over a kept connection and check every answer."""

    def __init__(self, port):
        self.port, self.lock = port, threading.Lock()
        self.counts = collections.Counter()  # ok, lost, refused (POST), died (with a proxy or a node)
        self.times, self.recent = [], collections.deque()
        self.lost, self.marked = [], 0
        self.last_ok, self.gap = time.monotonic(), 0.0
        self.kills = []  # (host, when) of proxies and nodes
        self.down = set()  # hosts of nodes that do not run
        self.going = True
        self.threads = [threading.Thread(target=self._client, args=(i,), daemon=True)
                        for i in range(CLIENTS)]
        for t in self.threads:
            t.start()

    def killed(self, host, node=False):
        self.kills.append((host, time.monotonic()))
        if node:
            self.down.add(host)

    def _connect(self, home):
        """To the client's own node, or the next one that takes connections."""
        hosts = list(NODES.values())
        for host in hosts[home:] + hosts[:home]:
            connection = http.client.HTTPConnection(host, self.port, timeout=10)
            try:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
            except ConnectionRefusedError:
                if host not in self.down:
                    raise
        raise ConnectionRefusedError("by every node")

    def _client(self, number):
        connection, opened, serial, home = None, 0.0, 0, number % len(NODES)
        while self.going:
            method = ("GET", "GET", "POST", "GET", "PUT")[serial % 5]
            ident = f"{number}-{serial}"
            serial += 1
            began = time.monotonic()
            try:
                if connection is None:
                    opened = began
                    connection = self._connect(home)
                body = None if method == "GET" else b"x" * 200
                connection.request(method, "/", body, {"X-Request-Id": ident})
                answer = connection.getresponse()
                text = answer.read().decode()
                right = text.split()[1:] == [method, ident, str(len(body or b""))]
                self._count(method, began, answer.status, right)
                away = connection.host != list(NODES.values())[home]
                if answer.will_close or (away and serial % HOME_AGAIN == 0):
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as e:
                self._broken(method, opened, e, connection.host if connection else None)
                connection = None
            time.sleep(PAUSE)

    def _count(self, method, began, status, right):
        now = time.monotonic()
        with self.lock:
            self.times.append(now - began)
            self.recent.append(now)
            if status == 200 and right:
                self.counts["ok"] += 1
                self.gap = max(self.gap, now - self.last_ok)
                self.last_ok = now
            elif method == "POST" and status in (502, 503, 504):
                self.counts["refused"] += 1
            else:
                self._lose(f"{method}: status {status}" if status != 200 else f"{method}: wrong answer")

    def _broken(self, method, opened, error, host):
        now = time.monotonic()
        with self.lock:
            # Connections end with what had them, a proxy process or a node: only that, and only its own.
            if any(opened <= t + 0.05 and now >= t and host in (None, killed) for killed, t in self.kills) \
                    and not isinstance(error, (ConnectionRefusedError, TimeoutError)):
                self.counts["died"] += 1
            else:
                self._lose(f"{method}: {type(error).__name__}: {error}")

    def _lose(self, what):
        self.counts["lost"] += 1
        self.lost.append(what)

    def rate(self):
        now = time.monotonic()
        with self.lock:
            while self.recent and self.recent[0] < now - 1:
                self.recent.popleft()
            return len(self.recent)

    def mark(self):
        """From here on p99() and longest_gap() tell about what follows."""
        with self.lock:
            self.marked, self.gap, self.last_ok = len(self.times), 0.0, time.monotonic()

    def p99(self, whole=False, last=0):
        with self.lock:
            times = sorted(self.times if whole else self.times[-last:] if last else self.times[self.marked:])
        return times[int((len(times) - 1) * 0.99)] if times else 0.0

    def longest_gap(self):
        with self.lock:
            return max(self.gap, time.monotonic() - self.last_ok)

    def total(self):
        return sum(self.counts.values())

    def stop(self):
        self.going = False
        for t in self.threads:
            t.join(12)


# ---- the node ----


class Node:
    def __init__(self, binary, folder, name, port):
        self.binary, self.name, self.port, self.host = binary, name, port, NODES[name]
        self.file, self.state = os.path.join(folder, "demo.conf"), os.path.join(folder, name)
        self.log = os.path.join(folder, name + ".log")
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "run", self.file, "--node", self.name, "--state", self.state],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=dict(os.environ, HERE=self.host))
        wait_for(self._ready, 15, f"node {self.name} to be ready")

    def _ready(self):
        if not self.running:
            with open(self.log, errors="replace") as f:
                raise Disappointed(f"node {self.name} ended with {self.process.returncode}:\n{f.read()}")
        return self.status() is not None and connects(self.port, self.host)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """All of its processes at once, as a machine that loses its power."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def member(self, name):
        """What it thinks of a node."""
        members = ((self.status() or {}).get("cluster") or {}).get("members", [])
        return next((m for m in members if m["name"] == name), {"state": "-", "reason": ""})

    def heard_of(self, code, name, since):
        """When an event about a node came, if it was after that; seconds of the boot clock."""
        for e in self.events(50):
            if e["code"] == code and e["subject"] == name and e["boot_ns"] / 1e9 >= since:
                return e["boot_ns"] / 1e9
        return None

    def _run(self, *words):
        return subprocess.run([self.binary, *words, "--state", self.state], capture_output=True,
                              text=True, timeout=10, stdin=subprocess.DEVNULL)

    def status(self):
        try:
            done = self._run("status", "--json")
            return json.loads(done.stdout) if done.returncode == 0 else None
        except (subprocess.TimeoutExpired, ValueError):
            return None

    def instance(self, backend):
        status = self.status() or {"services": []}
        for service in status["services"]:
            for i in service["instances"]:
                if i["address"] == backend.address:
                    return i
        return {"verdict": "-", "reason": ""}

    def verdict(self, backend):
        return self.instance(backend)["verdict"]

    def pid(self, name):
        for p in (self.status() or {"processes": []})["processes"]:
            if p["name"] == name:
                return p["pid"]
        return None

    def reload(self):
        done = self._run("reload")
        if done.returncode:
            raise Disappointed("reload: " + done.stdout + done.stderr)

    def events(self, n):
        try:
            done = self._run("events", "--json", "--last", str(n))
            return [json.loads(line) for line in done.stdout.splitlines()]
        except (subprocess.TimeoutExpired, ValueError):
            return []

    def role(self):
        """What it knows of the service with a primary."""
        try:
            return json.loads(self._run("roles", "cache", "--json").stdout)["roles"][0]
        except (subprocess.TimeoutExpired, ValueError, LookupError):
            return {}

    def redis(self):
        """The process of its instance."""
        for e in reversed(self.events(200)):
            found = re.search(r"process (\d+)", e["text"]) if e["code"] == "role-instance" else None
            if found and int(found[1]):
                return int(found[1])
        raise Disappointed(f"node {self.name} has no instance of Redis")

    def switch(self, to):
        done = self._run("switchover", "cache", "to", to)
        if done.returncode:
            raise Disappointed("switchover: " + done.stdout + done.stderr)

    def stop(self):
        """SIGTERM: drains. The exit code, or None when it had to be killed."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.terminate()
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return None


class Stage:
    """Everything that the demo starts; leaves nothing behind."""

    def __init__(self, binary):
        self.folder = tempfile.mkdtemp(prefix="holdfast-demo.")
        os.chmod(self.folder, 0o711)  # as root, Redis and etcd run as somebody else
        self.mesh, self.port, self.cache, self.redis, *ports = free_ports(7, NODES.values())
        self.backends = [Backend(f"backend-{i + 1}", p, self.folder) for i, p in enumerate(ports)]
        self.nodes = [Node(binary, self.folder, name, self.port) for name in NODES]
        self.binary, self.load, self.writes = binary, None, None

    def __enter__(self):
        try:
            for b in self.backends:
                b.start()
            subprocess.run([self.binary, "key", "new", os.path.join(self.folder, "cluster.key")], check=True,
                           stdout=subprocess.DEVNULL)
            self.write(self.backends, "1s")
            for n in self.nodes:
                n.start()
            self.await_redis()
            self.load = Load(self.port)
            self.writes = Writes(NODES.values(), self.cache)
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exc):
        if self.load:
            self.load.going = False
        if self.writes:
            self.writes.going = False
        for n in self.nodes:
            n.stop()
        for b in self.backends:
            b.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def primary(self):
        """The name of the node whose Redis takes writes, as all nodes that run agree, and None while they do not."""
        said = [n.role() for n in self.nodes if n.running]
        names = {r.get("primary") if r.get("acts") else None for r in said}
        return names.pop() if len(names) == 1 else None

    def await_redis(self):
        """Until there is a primary and every node has all that it has. Its node."""
        def settled():
            roles = [n.role() for n in self.nodes]
            return len({r.get("primary") for r in roles}) == 1 and all(
                r.get("acts") and r.get("coordinator") and sorted(r.get("in_sync", [])) == list(NODES) for r in roles)
        wait_for(settled, 60, "Redis to be in sync on all nodes")
        name = self.nodes[0].role()["primary"]
        return next(n for n in self.nodes if n.name == name)

    def write(self, backends, every):
        """The file of all nodes."""
        text = CONFIGURATION.format(
            port=self.port, mesh=self.mesh, every=every, cache=self.cache, redis=self.redis, on=", ".join(NODES),
            nodes="\n".join(f"  node {name} {{ address = {host} }}" for name, host in NODES.items()),
            backends="\n".join(f"  backend {b.address}" for b in backends))
        with open(self.nodes[0].file, "w") as f:
            f.write(text)

    def reload(self):
        for n in self.nodes:
            if n.running:
                n.reload()

    @property
    def node(self):
        """One to ask: the first that runs."""
        return next((n for n in self.nodes if n.running), self.nodes[0])

    def twice(self):
        """POSTs that were delivered more than once, all backends together."""
        seen = collections.Counter(line for b in self.backends for line in b.deliveries()
                                   if line.startswith("POST "))
        return sum(1 for n in seen.values() if n > 1)


# ---- the story ----


class Story:
    def __init__(self, stage):
        self.stage, self.load, self.writes, self.node = stage, stage.load, stage.writes, stage.nodes[0]
        self.lost = []  # nodes that were killed
        self.began = time.monotonic()
        self.rows = []

    def say(self, text):
        print(f"{time.monotonic() - self.began:5.1f} s  {text}", flush=True)

    def carry(self, requests):
        goal = self.load.total() + requests
        wait_for(lambda: self.load.total() >= goal, 20, f"{requests} more requests")

    def until(self, backend, verdict):
        return wait_for(lambda: self.node.verdict(backend) == verdict, 15,
                        f"{backend.name} to be {verdict}")

    def scene(self, what, backend, do, undo):
        self.load.mark()
        before = self.load.counts["refused"]
        do()
        noticed = self.until(backend, "failed")
        instance = self.node.instance(backend)
        self.say(f"{what}: noticed after {noticed * 1000:.0f} ms "
                 f"({why(instance)})")
        self.carry(400)
        p99 = self.load.p99()
        undo()
        back = self.until(backend, "healthy")
        self.say(f"  it is back: healthy again after {back * 1000:.0f} ms")
        self.rows.append((what, f"noticed {noticed * 1000:6.0f} ms", f"back {back * 1000:6.0f} ms",
                          f"p99 {p99 * 1000:6.1f} ms",
                          f"POST refused {self.load.counts['refused'] - before}"))

    def kill_proxy(self):
        pid = self.node.pid("proxy")
        self.load.mark()
        self.load.killed(self.node.host)
        os.kill(pid, signal.SIGKILL)
        self.carry(200)
        gap = self.load.longest_gap()
        self.say(f"kill -9 the proxy process of node {self.node.name}: serving again after {gap * 1000:.0f} ms")
        self.rows.append(("kill -9 proxy", f"gap {gap * 1000:10.0f} ms", "", f"p99 {self.load.p99() * 1000:6.1f} ms",
                          f"died with it {self.load.counts['died']}"))

    def kill_control(self):
        self.load.mark()
        before = self.node.pid("control")
        os.kill(before, signal.SIGKILL)
        took = wait_for(lambda: self.node.pid("control") not in (None, before), 15, "control to return")
        self.carry(100)
        self.say(f"kill -9 the control process of node {self.node.name}: answers again after {took * 1000:.0f} ms, traffic goes on")
        self.rows.append(("kill -9 control", f"back {took * 1000:9.0f} ms", "",
                          f"p99 {self.load.p99() * 1000:6.1f} ms", ""))

    def notice(self, others, code, node, since):
        """Seconds until the last of the others said so, by their own clocks."""
        wait_for(lambda: all(n.heard_of(code, node.name, since) for n in others), 15,
                 f"the others to say {code} of {node.name}")
        return max(n.heard_of(code, node.name, since) for n in others) - since

    def lose_node(self, node):
        others = [n for n in self.stage.nodes if n is not node]
        primary = self.stage.await_redis() is node
        self.load.mark()
        died = self.load.counts["died"]
        self.lost.append(node)
        since = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.load.killed(node.host, node=True)
        begin = time.monotonic()
        node.kill()
        noticed = self.notice(others, "node-failed", node, since)
        self.say(f"kill -9 node {node.name}: {others[0].name} and {others[1].name} agree after {noticed * 1000:.0f} ms, "
                 "its clients go to them")
        also = []
        if primary:
            self.say("  it had the primary of Redis, too:")
            also.append(self.moved("  its Redis", node, begin))
        self.carry(400)
        p99 = self.load.p99()
        since = time.clock_gettime(time.CLOCK_BOOTTIME)
        node.start()
        self.load.down.discard(node.host)
        back = self.notice(others, "node-alive", node, since)
        self.carry(400)  # it has to hear the others for a while before it can judge them
        self.say(f"  it is back: alive to both after {back * 1000:.0f} ms")
        self.rows.append((f"kill -9 node {node.name}", f"noticed {noticed * 1000:6.0f} ms", f"back {back * 1000:6.0f} ms",
                          f"p99 {p99 * 1000:6.1f} ms", f"died with it {self.load.counts['died'] - died}"))
        self.rows += also

    def kept(self):
        """In words, whether all is there that was acknowledged so far."""
        count, lost = self.writes.count(), self.writes.missing()
        return f"all {count} acknowledged writes are there" if lost == 0 else f"{lost} ACKNOWLEDGED WRITES ARE LOST"

    def moved(self, what, was, begin):
        """After the primary was lost or left: until there is another one, and writes go on."""
        wait_for(lambda: self.stage.primary() not in (None, was.name), 20, "another primary")
        count = self.writes.count()
        wait_for(lambda: self.writes.count() > count + 50, 20, "writes to go on")
        pause = self.writes.pause(begin)
        to = self.stage.primary()
        self.say(f"  writes paused for {pause * 1000:.0f} ms, then Redis on node {to} took them; {self.kept()}")
        return what, f"pause {pause * 1000:8.0f} ms", f"{was.name} to {to}", "", ""

    def lose_redis(self):
        was = self.stage.await_redis()
        pid, begin = was.redis(), time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.say(f"kill -9 the primary's Redis, on node {was.name}:")
        self.rows.append(self.moved("kill -9 Redis", was, begin))

    def switch_over(self):
        was = self.stage.await_redis()
        to = next(n for n in self.stage.nodes if n is not was)
        self.say(f"switchover of Redis from node {was.name} to {to.name}, as before work on a machine:")
        begin = time.monotonic()
        was.switch(to.name)
        self.rows.append(self.moved("switchover", was, begin))

    def reloads(self, n):
        self.load.mark()
        backends = self.stage.backends
        for i in range(n):
            self.stage.write([b for k, b in enumerate(backends) if k != i % 4], ("1s", "2s")[i % 2])
            self.stage.reload()
            self.carry(30)
        self.stage.write(backends, "1s")
        self.stage.reload()
        self.carry(100)
        self.say(f"{n + 1} reloads of every node that change backends and checks, under load")
        self.rows.append((f"{n + 1} reloads", "", "", f"p99 {self.load.p99() * 1000:6.1f} ms", ""))

    def tell(self):
        first, second, third = self.stage.backends
        self.say(f"three nodes serve http://127.0.0.1, .2 and .3:{self.node.port} from three backends; {CLIENTS} clients "
                 "send GET, PUT and POST")
        self.say(f"a Redis with a replica on each other node, sync = 1, behind port {self.stage.cache} of every node; "
                 "a client writes a key every 5 ms")
        for b in self.stage.backends:
            self.until(b, "healthy")
        for n in self.stage.nodes:
            wait_for(lambda n=n: all(n.member(m)["state"] == "alive" for m in NODES), 15, f"{n.name} to hear the others")
        self.load.mark()
        self.carry(800)
        self.say(f"all healthy, {self.load.rate()} requests a second")
        self.rows.append(("nothing fails", "", "", f"p99 {self.load.p99() * 1000:6.1f} ms", ""))
        self.scene("kill -9 backend-1", first, first.kill, first.start)
        self.scene("backend-2 hangs", second, second.hang, second.resume)
        self.kill_proxy()
        self.kill_control()
        self.lose_redis()
        self.lose_node(self.stage.await_redis())
        for node in [n for n in self.stage.nodes if n not in self.lost]:
            self.lose_node(node)
        self.switch_over()
        self.reloads(4)
        self.load.stop()
        self.writes.stop()
        self.stage.await_redis()
        missing = self.writes.missing()
        codes = [n.stop() for n in self.stage.nodes]
        self.say(f"SIGTERM: drained and ended with {', '.join(map(str, codes))}")
        return self.verdict(any(code != 0 for code in codes), missing)

    def verdict(self, unclean, missing):
        c, twice = self.load.counts, self.stage.twice()
        print("\nWhat was measured")
        for row in self.rows:
            print("  {:<20}{:<20}{:<16}{:<18}{}".format(*row).rstrip())
        print(f"\n  {self.load.total()} requests, p99 {self.load.p99(True) * 1000:.1f} ms over all\n"
              f"  {c['lost']} lost (a GET or PUT that failed, or anything without a clear answer)\n"
              f"  {c['refused']} POST refused at once: their backend died or hung with them, and they may not be "
              f"sent again\n"
              f"  {twice} POST delivered twice\n"
              f"  {c['died']} ended together with a killed proxy process or node\n"
              f"  {self.writes.count()} writes to Redis acknowledged, of which {missing} lost; "
              f"{self.writes.unclear} without an answer")
        for what in self.load.lost[:10]:
            print(f"    lost: {what}")
        good = c["lost"] == 0 and twice == 0 and missing == 0 and not unclean and c["died"] <= CLIENTS * len(self.load.kills)
        print(f"\n{'No request was lost, and no acknowledged write.' if good else 'This did not go as it must.'}", flush=True)
        return 0 if good else 1


# ---- the screen ----

COLOURS = {"healthy": "32", "degraded": "33", "suspect": "33", "failed": "31"}


class Screen:
    KEYS = ("1 2 3 a b c  kill or restart a backend, a node    s 1..3  stop or go on (SIGSTOP)",
            "p  kill a proxy    k  kill a control    x  kill the primary's Redis    w  switch Redis over    r  reload    q  quit")
    STATES = {"alive": "healthy", "suspect": "suspect", "failed": "failed"}

    def __init__(self, stage):
        self.stage, self.load = stage, stage.load
        self.armed, self.message, self.going = False, "", True
        self.status, self.events, self.role = None, [], {}
        self.variant = 0

    def colour(self, text, verdict):
        return f"\x1b[{COLOURS.get(verdict, '0')}m{text}\x1b[0m"

    def watch(self):
        while self.going:
            self.status, self.events, self.role = self.stage.node.status(), self.stage.node.events(8), self.stage.node.role()
            time.sleep(0.2)

    def lines(self):
        c = self.load.counts
        yield (f"\x1b[1mholdfast\x1b[0m  http://127.0.0.1, .2 and .3:{self.stage.port}   {CLIENTS} clients, GET, PUT and POST")
        yield ""
        lost = self.colour(f"{c['lost']} lost", "failed" if c["lost"] else "healthy")
        yield (f"{self.load.rate():6} requests/s   {self.load.total()} in all   {lost}   "
               f"{c['refused']} POST refused   {c['died']} ended with a proxy or node   "
               f"p99 {self.load.p99(last=2000) * 1000:.1f} ms")
        yield ""
        yield "      backend                      process   verdict    requests/s  why"
        yield from self.backend_lines()
        yield ""
        yield "      node                         process   state      round trip  why"
        yield from self.node_lines()
        yield ""
        writes = self.stage.writes
        yield (f"      Redis, port {self.stage.cache}: primary {self.role.get('primary') or '-'}   in sync {', '.join(self.role.get('in_sync', [])) or '-'}"
               f"   {writes.count()} writes acknowledged   longest pause of the last minute {writes.pause(time.monotonic() - 60) * 1000:.0f} ms")
        yield ""
        yield f"node {(self.status or {}).get('node', '-')} is asked: " + "   ".join(
            f"{p['name']} {p['pid']}" + (f" (start {p['starts']})" if p.get("starts", 1) > 1 else "")
            for p in (self.status or {}).get("processes", []) if not p["name"].startswith("worker"))
        yield ""
        for e in self.events:
            yield f"  {e.get('time', '')[11:19]}  {e.get('subject', '')}  {e.get('text', '')}"
        yield ""
        yield from self.KEYS
        yield self.message

    def backend_lines(self):
        found = {i["address"]: i for s in (self.status or {}).get("services", []) for i in s["instances"]}
        for n, b in enumerate(self.stage.backends, 1):
            i = found.get(b.address, {"verdict": "-"})
            process = "stopped" if b.stopped else "running" if b.running else "dead"
            verdict = self.colour(f"{i['verdict']:<9}", i["verdict"])
            yield (f"   {n}  {b.name} {b.address:<17}  {process:<9} {verdict}  {i.get('requests_per_second', 0):9.0f}"
                   f"   {why(i)}")

    def node_lines(self):
        found = {m["name"]: m for m in ((self.status or {}).get("cluster") or {}).get("members", [])}
        for n in self.stage.nodes:
            m = found.get(n.name, {"state": "-", "reason": ""})
            state = self.colour(f"{m['state']:<9}", self.STATES.get(m["state"]))
            rtt = f"{m['rtt_us']} us" if m.get("rtt_us") else "-"
            yield (f"   {n.name}  {n.host:<27}  {'running' if n.running else 'dead':<9} {state}  {rtt:>10}   {m['reason']}")

    def draw(self):
        width = shutil.get_terminal_size().columns
        out = ["\x1b[H"]
        for line in self.lines():
            out.append(clip(line, width) + "\x1b[0m\x1b[K\r\n")
        sys.stdout.write("".join(out) + "\x1b[J")
        sys.stdout.flush()

    def key(self, key):
        stage, armed, self.armed, self.message = self.stage, self.armed, False, ""
        if not key:  # the terminal is gone
            self.going = False
        elif key in "123":
            b = stage.backends[int(key) - 1]
            if armed and b.running:
                (b.resume if b.stopped else b.hang)()
            elif not armed:
                (b.kill if b.running else b.start)()
        elif key == "s":
            self.armed, self.message = True, "stop or go on: which backend? 1, 2 or 3"
        elif key in NODES:
            node = next(n for n in stage.nodes if n.name == key)
            if node.running:
                self.load.killed(node.host, node=True)
                node.kill()
            else:
                node.start()
                self.load.down.discard(node.host)
        elif key in "pk":
            pid = stage.node.pid("proxy" if key == "p" else "control")
            if key == "p":
                self.load.killed(stage.node.host)
            if pid:
                os.kill(pid, signal.SIGKILL)
        elif key in "xw":
            node = next((n for n in stage.nodes if n.name == stage.primary()), None)
            if node is None:
                self.message = "Redis has no primary at this moment"
            elif key == "x":
                os.kill(node.redis(), signal.SIGKILL)
            else:
                node.switch("b" if node.name == "a" else "a")
        elif key == "r":
            self.variant += 1
            stage.write(stage.backends, ("1s", "2s")[self.variant % 2])
            stage.reload()
            self.message = "reloaded with checks every " + ("1s", "2s")[self.variant % 2]
        elif key in "q\x03\x04":
            self.going = False

    def run(self):
        old = termios.tcgetattr(sys.stdin)
        watcher = threading.Thread(target=self.watch, daemon=True)
        watcher.start()
        try:
            tty.setcbreak(sys.stdin)
            sys.stdout.write("\x1b[?1049h\x1b[?25l")
            while self.going:
                self.draw()
                if select.select([sys.stdin], [], [], 0.2)[0]:
                    try:
                        self.key(os.read(sys.stdin.fileno(), 1).decode(errors="replace"))
                    except Disappointed as e:
                        self.message = str(e).splitlines()[0]
        finally:
            self.going = False
            sys.stdout.write("\x1b[?25h\x1b[?1049l")
            sys.stdout.flush()
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, old)
            watcher.join(12)
        c = self.load.counts
        print(f"{self.load.total()} requests, {c['lost']} lost, {c['refused']} POST refused, "
              f"{c['died']} ended with a proxy or node, {self.stage.twice()} POST delivered twice")
        missing = self.stage.writes.missing()
        print(f"{self.stage.writes.count()} writes to Redis acknowledged, of which {missing} lost")
        return 0 if c["lost"] == 0 and self.stage.twice() == 0 and missing == 0 else 1


def clip(line, width):
    """The first `width` visible characters; colour codes take no room."""
    out, seen, i = [], 0, 0
    while i < len(line) and seen < width - 1:
        if line[i] == "\x1b":
            end = line.index("m", i) + 1
            out.append(line[i:end])
            i = end
        else:
            out.append(line[i])
            seen, i = seen + 1, i + 1
    return "".join(out)


def main():
    if sys.argv[1:2] == ["--backend"]:
        backend_main(sys.argv[2], int(sys.argv[3]), sys.argv[4])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--story", action="store_true", help="tell the story even on a terminal")
    parser.add_argument("--holdfast", default=os.path.join(TOP, "build", "holdfast"), metavar="BINARY")
    args = parser.parse_args()
    if not os.access(args.holdfast, os.X_OK):
        print(f"{args.holdfast} is not built yet: run make", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    interactive = sys.stdin.isatty() and sys.stdout.isatty() and not args.story
    try:
        with Stage(args.holdfast) as stage:
            return Screen(stage).run() if interactive else Story(stage).tell()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Disappointed as e:
        print(f"demo: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
