"""mixed: a node with services of every kind, their clients, and what may happen to them, for test_soak.py.

A Soak owns backends of three kinds: faulty ones, that die, hang and fail one at a time; steady ones, that never do, so that what they
have begun must end well; and roaming ones, that join and leave a service by its directory. `happen` lets the next event of the
seed's schedule happen, `undo_due` ends what has lasted long enough, `sample` looks at processes, counters, tunnels and deliveries.
All of it is done by the one thread that calls; clients have threads of their own.
"""

import json
import os
import random
import re
import shutil
import time

from drift import Series, look
from holdfast import BINARY, PATIENCE, Tunnels, until
from metrics import metrics
from soak import Bodies, Datagrams, Echo, Ledger, Limited, Proxied, Routed, Sticky, UdpEcho, Uploads

REST = (0.4, 0.8)  # of the time: nothing replaces the proxy
TUNNELS = 10
RATE, BURST = 5, 5
REFUSALS = {"200", "500", "502", "503", "504"}  # what a POST may get when its backend fails

SERVICES = """workers = 2
service web {{
  listen = http://127.0.0.1:{web}
  {web_backends}
  check {{ http = /health  every = 1s  rise = 1  fall = 3 }}
  timeout {{ connect = 500ms  first-byte = {first_byte}s  drain = 1d }}
  retry {{ on = {{connect, reset, timeout, 5xx}}  attempts = 3  budget = 20% }}
}}
service big {{
  listen = http://127.0.0.1:{big}
  balance = round-robin
  {steady}
  timeout {{ connect = 5s  first-byte = 30s  drain = 1d }}
}}
service front {{
  listen = http://127.0.0.1:{front}
  {steady}
  timeout {{ connect = 5s  first-byte = 30s  drain = 1d }}
  route tea  {{ path = "=/tea"  respond = 418  text = "short and stout" }}
  route old  {{ path = /old  redirect = "/new{{rest}}"  status = 302 }}
  route v1   {{ path = /v1  to = plain  rewrite = /  response-set = "X-Route: v1" }}
  route beta {{ header = "X-Beta: yes"  to = plain  response-set = "X-Route: beta" }}
  route rest {{ response-set = "X-Route: rest" }}
}}
service plain {{
  {steady}
  timeout {{ connect = 5s  first-byte = 30s  drain = 1d }}
}}
service sessions {{
  listen = http://127.0.0.1:{sessions}
  sticky {{ cookie = SRV }}
  {steady}
  timeout {{ connect = 5s  first-byte = 30s  drain = 1d }}
}}
service limited {{
  listen = http://127.0.0.1:{limited}
  rate {{ per = header:X-Key  requests = {rate}  burst = {burst} }}
  {steady}
  timeout {{ connect = 5s  first-byte = 30s  drain = 1d }}
}}
service inside {{
  listen = http://127.0.0.1:{inside}
  accept-proxy = yes
  response-set = "X-Saw: {{client}}"
  {steady}
  timeout {{ connect = 5s  first-byte = 30s  drain = 1d }}
}}
service outside {{
  listen = tcp://127.0.0.1:{outside}
  send-proxy = v2
  backend 127.0.0.1:{inside}
  timeout {{ connect = 5s  idle = 1h  drain = 1d }}
}}
service bytes {{
  listen = tcp://127.0.0.1:{bytes}
  {steady}
  timeout {{ connect = 5s  drain = 1d }}
}}
service datagrams {{
  listen = udp://127.0.0.1:{datagrams}
  replies = 1
  check = none
  backend 127.0.0.1:{udp0}
  backend 127.0.0.1:{udp1}
}}
service found {{
  listen = http://127.0.0.1:{found}
  dynamic = yes
  backends-from = {directory}
  check {{ http = /health  every = 500ms  rise = 1  fall = 3 }}
  timeout {{ connect = 5s  first-byte = 30s  drain = 1d }}
}}
{more}"""


class Soak:
    """The node, everything around it, and what may happen to it."""

    def __init__(self, site, seed, log):
        self.site, self.seed, self.log, self.random = site, seed, log, random.Random(seed)
        self.ledger, self.series = Ledger(), Series()
        self.faulty = [site.backend(service_us=2000) for _ in range(3)]
        self.steady = [site.backend(service_us=500) for _ in range(2)]
        self.roaming = [site.backend(service_us=500) for _ in range(3)]
        names = ("web", "big", "front", "sessions", "limited", "inside", "outside", "bytes", "datagrams", "found", "udp0", "udp1", "extra")
        self.ports = {name: site.port() for name in names}
        self.echoes = [UdpEcho(self.ports["udp0"]), UdpEcho(self.ports["udp1"])]
        self.directory = site.path("found.d")
        os.mkdir(self.directory)
        self.members(self.roaming)
        self.node = site.node(self.config(), self.ports["web"])
        self.programs, self.upgrades = [self.program(name) for name in ("one", "two")], 0
        self.fault = self.drained = None  # (when it ends, what undoes it, what it is)
        self.attacks, self.happened, self.refused = [], {}, []
        self.watched, self.posts, self.read = {}, set(), {}
        self.lives = {}
        with open(log, "w") as f:
            f.write(json.dumps({"seed": seed}) + "\n")

    # ---- the node ----

    def config(self, more=False, weights=(1, 1, 1), first_byte=3):
        web = "\n  ".join(f"backend {b.address} {{ weight = {w} }}" for b, w in zip(self.faulty, weights))
        steady = "\n  ".join([f"backend {b.address}" for b in self.steady] + ["check { tcp = yes  every = 2s  timeout = 2s  fall = 5 }"])
        extra = f"service extra {{ listen = http://127.0.0.1:{self.ports['extra']}\n  {steady}\n}}\n" if more else ""
        return SERVICES.format(web_backends=web, steady=steady, more=extra, first_byte=first_byte, rate=RATE, burst=BURST,
                               directory=self.directory, **self.ports)

    def program(self, name):
        os.mkdir(self.site.path(name))
        path = shutil.copy(BINARY, os.path.join(self.site.path(name), "holdfast"))
        os.chmod(self.site.path(name), 0o755)
        os.chmod(path, 0o755)
        return path

    def members(self, backends):
        with open(os.path.join(self.directory, "members.new"), "w") as f:
            f.write("".join(f"backend {b.address}\n" for b in backends))
        os.rename(os.path.join(self.directory, "members.new"), os.path.join(self.directory, "members.conf"))

    def status(self):
        """While control is being replaced, the next one's."""
        return until(lambda: self.node.status(check=False), 60, "a status")

    def instances(self, service):
        return {i["address"]: i for s in self.status()["services"] if s["name"] == service for i in s["instances"]}

    def proxy(self):
        return [p["pid"] for p in self.status()["proxies"] if p["role"] == "accepting"][0]

    def command(self, *words, seconds=60):
        return self.node.command(*words, check=False, seconds=seconds)

    def generations(self):
        return max(p["generation"] for p in self.status()["proxies"])

    def close(self):
        for e in self.echoes:
            e.close()

    # ---- clients ----

    def start_clients(self):
        port, ledger = self.ports, self.ledger
        slow = 30000 * PATIENCE
        self.loads = {
            "web": self.site.load(port["web"], connections=24, think_us=120000, timeout_ms=int(slow)),
            "fresh": self.site.load(port["web"], connections=6, think_us=150000, fresh=1, timeout_ms=int(slow)),
            "found": self.site.load(port["found"], connections=8, think_us=150000, timeout_ms=int(slow)),
        }
        self.load_began = {name: time.monotonic() for name in self.loads}
        self.clients = [Bodies(ledger, self.seed, f"16k-{i}", port["big"], 0.2, size=16384) for i in range(3)]
        self.clients.append(Bodies(ledger, self.seed, "1m", port["big"], 0.5, size=1 << 20))
        self.clients += [Uploads(ledger, self.seed, f"upload-{i}", port["big"], 0.2) for i in range(2)]
        self.clients.append(Routed(ledger, self.seed, "routes", port["front"], 0.1))
        self.clients += [Sticky(ledger, self.seed, f"sticky-{i}", port["sessions"], 0.2) for i in range(2)]
        self.clients.append(Limited(ledger, self.seed, "limited", port["limited"], 0.1))
        self.clients.append(Proxied(ledger, self.seed, "proxy-in", port["inside"], 0.2, own=True))
        self.clients.append(Proxied(ledger, self.seed, "proxy-out", port["outside"], 0.2, own=False))
        self.clients.append(Echo(ledger, self.seed, "websocket", port["big"], 0.5))
        self.clients.append(Echo(ledger, self.seed, "tcp-echo", port["bytes"], 0.5))
        self.clients.append(Datagrams(ledger, self.seed, "udp", port["datagrams"], 0.05))
        self.tunnels = {service: self.open_tunnels(service) for service in ("big", "bytes")}
        for c in self.clients:
            c.start()

    def open_tunnels(self, service):
        return Tunnels(self.site, self.ports[service], TUNNELS, every_ms=500, stall_ms=int(30000 * PATIENCE))

    # ---- events: each does something and says what ----

    def undo_later(self, low, high):
        return time.monotonic() + self.random.uniform(low, high)

    def event_fault(self):
        b, kind = self.random.choice(self.faulty), self.random.choice(["kill", "stop", "slow", "sick", "error", "reset", "close"])
        if self.fault:
            return None
        does, undoes = {"kill": (b.kill, b.start), "stop": (b.stop, b.resume)}.get(kind, (lambda: b.mode(kind), lambda: b.mode("normal")))
        does()
        self.fault = [self.undo_later(1, 6), undoes, b]
        return f"{kind} {b.name}"

    def event_reload(self):
        weights = [self.random.randrange(1, 4) for _ in range(3)]
        done = self.node.reload(self.config(self.random.random() < 0.5, weights, self.random.choice([3, 4])), check=False)
        return self.judge("reload", done)

    def event_members(self):
        chosen = self.random.sample(self.roaming, self.random.randrange(1, 4))
        self.members(chosen)
        return f"members {' '.join(b.name for b in chosen)}"

    def event_drain(self):
        b = self.random.choice(self.steady)
        if self.drained:
            return None
        self.drained = (self.undo_later(1, 6), f"big/{b.address}")
        return self.judge(f"drain {b.name}", self.command("drain", self.drained[1]))

    def event_burst(self):
        how, count = self.random.choice([("loris", 60), ("idle", 100), ("abort", 100), ("drip", 30), ("fields", 5)])
        more = {"abort": {"at_once": 20, "bytes": 300000}, "fields": {"bytes": 200000}}.get(how, {})
        self.attacks.append((self.undo_later(1, 5), self.site.attack(self.ports["web"], how, count, every_ms=300, rate=500, **more)))
        return f"{count} {how}"

    def event_restart(self):
        return self.judge("restart proxy", self.command("restart", "proxy"))

    def event_upgrade(self):
        self.upgrades += 1
        return self.judge("upgrade", self.command("upgrade", "--binary", self.programs[self.upgrades % 2], seconds=120))

    def event_kill_control(self):
        os.kill(self.node.pid("control"), 9)
        self.status()
        return "kill -9 control"

    def event_kill_proxy(self):
        pid, begun = self.proxy(), time.monotonic()
        os.kill(pid, 9)
        until(lambda: look(pid) is None, 60, "the killed proxy to be gone")
        self.ledger.killed(begun, time.monotonic())
        until(lambda: self.status() and self.proxy() != pid, 60, "another proxy")
        self.watch_tunnels()
        return "kill -9 proxy"

    def judge(self, what, done):
        """A command has worked, or was refused as its manual says."""
        if done.returncode == 0:
            return what
        said = (done.stdout + done.stderr).strip()
        if "drain already" in said:
            self.refused.append(f"{what}: {said}")
            return f"{what}, refused"
        raise AssertionError(f"{what}: {done.returncode}: {said}")

    EVENTS = {"fault": 40, "reload": 15, "members": 12, "drain": 8, "burst": 10, "kill_control": 3, "restart": 4, "upgrade": 4, "kill_proxy": 0.7}
    REPLACE = ("restart", "upgrade", "kill_proxy")

    def happen(self, share):
        """The next event. Each kind comes once before they are drawn by weight."""
        allowed = [e for e in self.EVENTS if not (e in self.REPLACE and REST[0] <= share < REST[1])]
        first = [e for e in allowed if e not in self.happened]
        first = [e for e in first if e in self.REPLACE] or first
        event = self.random.choice(first) if first else self.random.choices(allowed, [self.EVENTS[e] for e in allowed])[0]
        what = getattr(self, "event_" + event)()
        if what:
            self.happened[event] = self.happened.get(event, 0) + 1
            self.record({"event": what})

    def undo_due(self, all_of_it=False):
        now = time.monotonic()
        if self.fault and self.fault[1] and (all_of_it or self.fault[0] <= now):
            self.fault[1]()
            self.fault[:2] = [now + 0.5, None]
        if self.fault and not self.fault[1] and self.fault[0] <= now:
            self.fault[0] = now + 0.5  # asked for twice a second
            if self.instances("web")[self.fault[2].address]["verdict"] == "healthy":
                self.fault = None
        if self.drained and (all_of_it or self.drained[0] <= now):
            self.judge("resume", self.command("resume", self.drained[1]))
            self.drained = None
        for ends, attack in list(self.attacks):
            if all_of_it or ends <= now:
                attack.stop()
                self.attacks.remove((ends, attack))

    # ---- what is seen ----

    def record(self, row):
        with open(self.log, "a") as f:
            f.write(json.dumps({"seconds": round(time.monotonic() - self.ledger.began, 1), **row}) + "\n")

    def sample(self):
        """What each process holds now; counters, tunnels and deliveries are looked at too."""
        status, now, held = self.status(), time.monotonic(), {}
        pids = [(p["name"], p["pid"]) for p in status["processes"] if p["name"] in ("supervisor", "control")]
        pids += [("proxy" if p["role"] == "accepting" else p["role"], p["pid"]) for p in status["proxies"]]
        for role, pid in pids:
            figures = look(pid)
            if figures:
                self.series.add(now, role, figures)
                held.setdefault(role, []).append(figures)
                if role == "proxy":
                    self.lives.setdefault(pid, Series()).add(now, role, figures)
        self.watch_counters()
        self.watch_tunnels()
        self.watch_deliveries()
        self.record({"held": held})
        return held

    def watch_counters(self):
        found = until(lambda: self.scrape(), 60, "metrics")
        now = {n: v for n, v in found.items() if re.match(r"holdfast_(worker|service)_\w*(_total|_count|_bucket|_sum)\b", n) and "extra" not in n}
        fallen = {n: (v, now.get(n)) for n, v in self.watched.items() if now.get(n, -1) < v}
        if fallen:
            self.ledger.failed("counters", f"fallen: {dict(list(fallen.items())[:5])}")
        self.watched = now

    def scrape(self):
        try:
            return metrics(self.node)
        except (OSError, IndexError):
            return None

    def watch_tunnels(self):
        """None is cut, but with the proxy that had it."""
        for service, tunnels in list(self.tunnels.items()):
            f, name = tunnels.snapshot(), service + " tunnels"
            if f["open"] == TUNNELS and not f["stalled"]:
                continue
            if f["garbled"] + f["refused"] + f["stalled"] or not self.ledger.killed_lately():
                self.ledger.failed(name, str(f))
            else:
                self.ledger.cut[name] += f["cut"]
            self.ledger.ok(name, tunnels.stop()["echoes"])
            self.tunnels[service] = self.open_tunnels(service)

    def watch_deliveries(self):
        for b in self.site.backends:
            with open(b.log) as f:
                f.seek(self.read.get(b.name, 0))
                lines = f.read()
                whole = lines.rfind("\n") + 1
                self.read[b.name] = self.read.get(b.name, 0) + whole
            for line in lines[:whole].splitlines():
                if line.startswith("POST "):
                    if line in self.posts:
                        self.ledger.failed("deliveries", f"twice: {line}")
                    self.posts.add(line)

    def minute(self, minute):
        """The clients' figures since the last one."""
        row = {}
        for name, load in self.loads.items():
            f = load.phase(f"{minute}")
            row[name] = {k: f[k] for k in ("requests", "connects", "idempotent", "non_idempotent")}
            self.judge_load(name, f)
        self.record({"minute": minute, "load": row})
        return row

    def judge_load(self, name, f):
        left = f["idempotent"]["failed"] + f["non_idempotent"]["failed"]
        self.ledger.ok(name, f["idempotent"]["ok"] + f["non_idempotent"]["ok"])
        for x in f["failures"]:
            left -= 1
            ended = self.load_began[name] + x["at_s"]
            begun = ended - x["us"] / 1e6
            if x["outcome"] == "died" and self.ledger.excused(begun - 0.3 * PATIENCE, ended + 0.1):
                self.ledger.cut[name] += 1
            elif x["kind"] == "non_idempotent" and name != "found" and x["outcome"] == "status" and str(x["status"]) in REFUSALS:
                self.ledger.ok("POST refused")
            else:
                self.ledger.failed(name, str(x))
        if left:
            self.ledger.failed(name, f"{left} more")
