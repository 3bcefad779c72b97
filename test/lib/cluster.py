"""cluster: several nodes, each on a machine of its own as far as it can tell, with a network between them that a test cuts.

A Net is a bridge with machines at it, each a network namespace (switch.py). What is cut is cut at the bridge: silently, in one
direction or both, wholly or for a share of the frames; `heal` ends it all. A Cluster has nodes at such a net, backends and
clients on machines of their own, one configuration file for all, and follows every node's events.

    with Cluster(site, "abc") as cluster:
        cluster.start()
        at = cluster.net.alone("c")                     # ns of CLOCK_BOOTTIME, the clock of events' boot_ns
        seen = cluster.await_event("node-failed", "c", by="ab")
        print({observer: (event["boot_ns"] - at) / 1e6 for observer, event in seen.items()})
        cluster.net.heal()
        cluster.await_agreement()

Times that are judged are the nodes' own, of the clock that the bridge was asked by too; nothing is polled while it is measured.
"""

import http.client
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time

from holdfast import BINARY, HERE, PATIENCE, TOOLS, Load, Node, until

BACKEND_PORT, WEB_PORT, MESH_PORT = 3000, 8080, 7300
FLOATING = 100  # last parts of addresses: nobody's own, who has it is asked for
FIRST_BACKEND, FIRST_CLIENT, FIRST_OTHER = 101, 151, 201  # nodes begin with 1


def now():
    """ns, by the clock of events' boot_ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Moment(int):
    """When something was done that takes a moment: just before, by now(). Whatever begins after `done` has met it. An outage is counted from
    the moment itself, so that none is told shorter than it was, and is over with something that began after `done`."""

    def __new__(cls, before, done=None):
        made = super().__new__(cls, before)
        made.done = now() if done is None else done
        return made


def done(at):
    """From when on what was done at that moment is in force."""
    return getattr(at, "done", at)


def address(n):
    return f"10.77.0.{n}"


def mac(n):
    return f"02:00:0a:4d:00:{n:02x}"


def both_ways(some, others):
    """The ways between two groups of machines, for Net.cut."""
    return [way for a in some for b in others if a != b for way in ((a, b), (b, a))]


def answered(load, killed=False):
    """Ends the load; its figures. Every request must have had its answer; where an instance was killed, every one that
    may be sent twice: others may have been under way to it."""
    total = load.stop()
    failed = total["idempotent"]["failed"] if killed else load.failed(total)
    assert failed == 0, f"{failed} of {total['requests']} requests failed: {total['failures'][:5]}"
    return total


class Machine:
    """A network namespace at the bridge. Programs in it are run with `prefix`."""

    def __init__(self, net, name, n, pid):
        self.net, self.name, self.n, self.address, self.pid = net, name, n, address(n), pid
        self.prefix = net.prefix(pid)

    def socket(self, kind=socket.SOCK_DGRAM, family=socket.AF_INET, protocol=0):
        return self.net.socket(self.pid, family, kind, protocol)


class Net:
    def __init__(self, site):
        self.site, self.machines, self.lock = site, {}, threading.Lock()
        self.ways, self.silent, self.losses = set(), set(), {}
        self.as_root = subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(30 * PATIENCE)
        self.errors = site.path("switch.err")
        with theirs, open(self.errors, "wb") as err:
            self.process = site.process(
                ["unshare", *([] if self.as_root else ["--user", "--map-root-user"]), "--net", sys.executable, "-S", "-B",
                 os.path.join(HERE, "switch.py"), str(theirs.fileno())], pass_fds=[theirs.fileno()], stderr=err)
        self._answer()

    def _answer(self):
        data, fds, _, _ = socket.recv_fds(self.channel, 1 << 16, 1)
        if not data:
            with open(self.errors) as f:
                raise AssertionError(f"no network to cut: it takes root, or user namespaces, and nftables\n{f.read()}")
        answer = json.loads(data)
        assert "error" not in answer, answer["error"]
        return socket.socket(fileno=fds[0]) if fds else answer

    def _ask(self, what, **more):
        with self.lock:
            self.channel.send(json.dumps({"do": what, **more}).encode())
            return self._answer()

    def prefix(self, pid):
        """Not as root, a program in a namespace must be its root to enter, and is its old self again afterwards."""
        enter = ["nsenter", f"--net=/proc/{pid}/ns/net"]
        if self.as_root:
            return [*enter, "--"]
        return [*enter, f"--user=/proc/{pid}/ns/user", "--preserve-credentials", "--", "unshare", "--user",
                f"--map-user={os.getuid()}", f"--map-group={os.getgid()}", "--", "setpriv", "--pdeathsig", "KILL", "--"]

    def machine(self, name, n):
        neighbours = {address(i): mac(i) for i in range(1, 255) if i != FLOATING}
        pid = self._ask("join", name=name, address=address(n), mac=mac(n), neighbours=neighbours)["pid"]
        self.machines[name] = Machine(self, name, n, pid)
        return self.machines[name]

    def socket(self, pid, family, kind, protocol=0):
        """A socket in the namespace of that process; None: at the bridge itself, where all that is sent passes."""
        return self._ask("socket", pid=pid, family=int(family), type=int(kind), protocol=protocol)

    def cut(self, *ways):
        """Frames from the one to the other machine of each way (from, to) are dropped. All from the Moment that is returned."""
        self.ways.update(ways)
        return self._apply()

    def alone(self, name):
        """Nothing passes to or from this machine, as if its cable were pulled where it cannot notice."""
        self.silent.add(name)
        return self._apply()

    def lose(self, permille, *ways):
        """That many of a thousand frames on these ways are dropped at random."""
        self.losses.update((way, permille) for way in ways)
        return self._apply()

    def heal(self):
        """Everything passes. Returns the Moment."""
        self.ways, self.silent, self.losses = set(), set(), {}
        return self._apply()

    def _apply(self):
        rules = [f'{where} "p-{name}" drop' for name in sorted(self.silent) for where in ("iifname", "oifname")]
        rules += [f'iifname "p-{a}" oifname "p-{b}" drop' for a, b in sorted(self.ways)]
        rules += [f'iifname "p-{a}" oifname "p-{b}" numgen random mod 1000 < {n} drop' for (a, b), n in sorted(self.losses.items())]
        text = ["flush chain bridge net forward", *(f"add rule bridge net forward {rule}" for rule in rules)]
        said = self._ask("rules", text="\n".join(text) + "\n")
        return Moment(said["before"], said["after"])

    def close(self):
        self.channel.close()
        self.process.end()


class Follower(threading.Thread):
    """Takes a node's events as they come, over restarts of its control and of itself."""

    def __init__(self, node, changed):
        super().__init__(daemon=True)
        self.node, self.changed, self.events, self.after, self.lost = node, changed, [], 0, 0
        self.ending = False

    def run(self):
        while not self.ending:
            try:
                answer = self.node.ask(f"/v1/events?after={self.after}&wait=20", 30)
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.02)  # it does not run, or not yet
                continue
            with self.changed:
                # A control that starts anew has an empty ring: that nothing before it is held is no loss.
                self.lost += answer["lost"] if self.after else 0
                self.after = answer["next"]
                self.events += answer["events"]
                self.changed.notify_all()


class ClusterNode(Node):
    """One node, on its machine."""

    def __init__(self, cluster, name, machine):
        super().__init__(cluster.site, name, "", WEB_PORT, machine.prefix)
        self.cluster, self.machine, self.file = cluster, machine, cluster.file
        self.follower = Follower(self, cluster.changed)
        self.around = []        # what its processes are started by, on that machine

    def write(self, config):
        """The file is the cluster's."""

    def start(self, wait=True):
        with open(self.errors, "ab") as err:
            self.process = self.site.process([*self.prefix, *self.around, BINARY, "run", self.file, "--node", self.name, "--state", self.state],
                                             stdout=err, stderr=err)
        if not self.follower.is_alive():
            self.follower.start()
        if wait:
            until(self.ready, 20, f"{self.name} to be ready ({self.errors})")
        return self

    def ready(self):
        assert self.process.running, f"holdfast ended: {self.said()}"
        status = self.status(check=False)
        return bool(status and status.get("services"))

    def kill(self):
        """SIGKILL to all its processes at once."""
        self.process.end()

    def ask(self, path, seconds=5):
        """The answer of the admin socket, which can be reached from outside of the node's namespace."""
        c = http.client.HTTPConnection("node", timeout=seconds * PATIENCE)
        try:
            c.sock = socket.socket(socket.AF_UNIX)
            c.sock.settimeout(seconds * PATIENCE)
            c.sock.connect(self.state + "/admin.sock")
            c.request("GET", path)
            return json.loads(c.getresponse().read())
        finally:
            c.close()

    def command(self, *words, check=True, seconds=20):
        """Runs `holdfast WORDS --state DIR` where the node runs."""
        done = subprocess.run([*self.prefix, BINARY, *words, "--state", self.state], capture_output=True, text=True,
                              timeout=seconds * PATIENCE)
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode} {done.stdout}{done.stderr}"
        return done

    def status(self, check=True):
        try:
            return self.ask("/v1/status")
        except (OSError, http.client.HTTPException, ValueError):
            if check:
                raise
            return None

    def members(self):
        """{name: member}, as this node sees them now; {} while it does not answer."""
        try:
            return {m["name"]: m for m in self.ask("/v1/members")["members"]}
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return {}

    def states(self):
        return {name: m["state"] for name, m in self.members().items()}

    def events(self, *codes, since=0):
        """Those of these codes that are no older than `since` (now())."""
        with self.cluster.changed:
            return [e for e in self.follower.events if e["boot_ns"] >= since and (not codes or e["code"] in codes)]


class Origin:
    """backend.c on a machine of its own. It never fails."""

    def __init__(self, cluster, name, machine):
        self.address, self.log = f"{machine.address}:{BACKEND_PORT}", cluster.site.path(f"{name}.log")
        self.process = cluster.site.process(
            [*machine.prefix, os.path.join(TOOLS, "backend"), "--listen", self.address, "--control", "127.0.0.1:3001", "--log", self.log,
             "--name", name, "--service-us", "500"])


class Cluster:
    """Nodes of these names (at 10.77.0.1 and so on), two backends, and a client machine."""

    EVENTS = ("node-suspect", "node-failed", "node-alive", "node-left", "partition", "partition-healed")
    WELL = {"self", "heard"}  # reasons of who is alive when nothing is cut

    def __init__(self, site, names, settings="", more="", spare="", coordinator="none"):
        """settings: of the cluster block; more: blocks after it; spare: names with a machine that are not in the file yet."""
        self.coordinator = coordinator
        self.site, self.names, self.settings, self.more = site, list(names), settings, more
        self.net, self.changed = Net(site), threading.Condition()
        self.file, self.key = site.path("cluster.conf"), site.path("cluster.key")
        self.addresses = {name: address(n) for n, name in enumerate([*names, *spare], 1)}
        self.new_key(self.key)
        self.origins = [Origin(self, f"origin{i}", self.net.machine(f"origin{i}", FIRST_BACKEND + i)) for i in range(2)]
        self.clients = self.net.machine("clients", FIRST_CLIENT)
        self.others = itertools.count(FIRST_OTHER)
        self.nodes = {name: ClusterNode(self, name, self.net.machine(name, n)) for n, name in enumerate([*names, *spare], 1)}
        site.nodes += self.nodes.values()
        self.configure()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for node in self.nodes.values():
            node.follower.ending = True
            if node.process:
                node.process.end()
        for node in self.nodes.values():
            if node.follower.is_alive():
                node.follower.join(5)
        self.net.close()

    @staticmethod
    def new_key(path):
        subprocess.run([BINARY, "key", "new", path], check=True, capture_output=True)

    def stranger(self, name="stranger"):
        """Another machine in the network, without a node of the file."""
        return self.net.machine(name, next(self.others))

    def config(self, names=None, key=None, more=None):
        nodes = "\n".join(f"  node {name} {{ address = {self.addresses[name]} }}" for name in names or self.names)
        backends = "\n".join(f"  backend {o.address}" for o in self.origins)
        return f"""workers = 1
cluster prod {{
  key = file:{key or self.key}
  coordinator = {self.coordinator}
  {self.settings}
{nodes}
}}
service web {{
  listen  = http://0.0.0.0:{WEB_PORT}
{backends}
  check   {{ http = /health  every = 1s  rise = 1  fall = 3 }}
  timeout {{ connect = 500ms  first-byte = 2s }}
  retry   {{ on = {{connect, reset, timeout, 5xx}}  attempts = 3  budget = 20% }}
}}
{self.more if more is None else more}
"""

    def configure(self, names=None):
        """Writes the file of all nodes, at once."""
        self.names = list(names or self.names)
        with open(self.file + ".new", "w") as f:
            f.write(self.config())
        os.rename(self.file + ".new", self.file)

    def __getitem__(self, name):
        return self.nodes[name]

    def start(self):
        """All nodes; until they agree that all are alive, and serve."""
        for name in self.names:
            self.nodes[name].start(wait=False)
        for name in self.names:
            until(self.nodes[name].ready, 20, f"{name} to be ready ({self.nodes[name].errors})")
        self.await_agreement(seconds=20)
        for name in self.names:
            self.nodes[name].await_all_healthy()
        return self

    def load(self, name, connections=2, **options):
        """A client that asks this node's proxy all the time."""
        options = {"timeout_ms": int(5000 * PATIENCE), "think_us": 10000, **options}
        return Load(self.site, WEB_PORT, f"to-{name}", host=self.addresses[name], prefix=self.clients.prefix,
                    connections=connections, **options)

    def wait(self, condition, seconds, what):
        """Like until(), but looks when an event has come: condition() is about the followers' events."""
        end = time.monotonic() + seconds * PATIENCE
        with self.changed:
            while not (found := condition()):
                left = end - time.monotonic()
                assert left > 0, f"waited {seconds * PATIENCE:g} s in vain for {what}\n{self.picture()}"
                self.changed.wait(min(left, 1))
        return found

    def await_event(self, code, subject, by, since, seconds=10):
        """{observer: the first event of this code about subject since then}, when each of `by` has one."""
        def found():
            seen = {o: [e for e in self.nodes[o].follower.events if e["code"] == code and e["subject"] == subject and e["boot_ns"] >= since]
                    for o in by}
            return {o: e[0] for o, e in seen.items()} if all(seen.values()) else None
        return self.wait(found, seconds, f"{code} of {subject} by each of {', '.join(by)}")

    def agreed(self, states=None, by=None):
        """Whether each of `by` sees the members as given (all alive unless told), and hears those that are alive itself."""
        states = states or dict.fromkeys(self.names, "alive")

        def agrees(members):
            return ({name: m["state"] for name, m in members.items()} == states
                    and all(m["reason"] in self.WELL for m in members.values() if m["state"] == "alive"))
        return all(agrees(self.nodes[o].members()) for o in by or self.names)

    def await_agreement(self, states=None, by=None, seconds=10):
        """Waits until all of `by` agree; the moment at which that is certain, a few ms after it came to be."""
        try:
            until(lambda: self.agreed(states, by), seconds, f"agreement of {', '.join(by or self.names)}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.picture()}") from None
        return now()

    def events(self, *codes, since=0, by=None):
        """(observer, event) of all nodes, in order of time."""
        found = [(o, e) for o in by or self.names for e in self.nodes[o].events(*(codes or self.EVENTS), since=since)]
        return sorted(found, key=lambda pair: pair[1]["boot_ns"])

    def picture(self):
        """Who sees what, and what they said last, for a failure's text."""
        lines = [f"{name} sees " + ", ".join(f"{m['name']} {m['state']} ({m['reason']})" for m in self.nodes[name].members().values())
                 for name in self.names]
        first = min((e["boot_ns"] for _, e in self.events()), default=0)
        lines += [f"{(e['boot_ns'] - first) / 1e9:9.3f} s {o}: {e['code']} {e['subject']}: {e['text']}" for o, e in self.events()[-60:]]
        return "\n".join(lines)
