"""coordinated: clusters whose coordinator holdfast runs itself, and what a test asks about it.

    with Coordinated(site, "abc") as cluster:
        cluster.start()
        cluster.await_members("abc")            # all full members, one leads, all nodes agree
        cluster.etcd("b").send_signal(9)
"""

import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from cluster import MESH_PORT, Cluster, answered, now
from coordinator import Engine
from holdfast import BINARY, PATIENCE, TOOLS, until

STOP, GO, KILL = signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL


class Etcd:
    """The etcd process of a node, found as the agent says it."""

    def __init__(self, node):
        self.node = node

    @property
    def pid(self):
        return (self.node.coordinator().get("etcd") or {}).get("pid", 0)

    def send(self, number):
        pid = self.pid
        assert pid, f"no etcd runs on {self.node.name}"
        os.kill(pid, number)
        return pid


class Members:
    """The members by their number, as etcd.py's EtcdCluster has them: for who asks etcd itself, from a machine without a node."""

    def __init__(self, cluster):
        self.cluster, self.names, self.n = cluster, cluster.names, len(cluster.names)
        self.tls = os.path.join(cluster[self.names[0]].state, "etcd", "tls")
        self.prefix = cluster.clients.prefix
        self.urls = [f"https://{cluster.addresses[name]}:{MESH_PORT + 1}" for name in self.names]
        self.stopped = {}

    def kill(self, i):
        """The agent starts it again."""
        self._send(i, KILL)

    def start(self, i):
        pass

    def stop(self, i):
        self.stopped[i] = self._send(i, STOP)

    def resume(self, i):
        os.kill(self.stopped.pop(i), GO)

    def _send(self, i, number):
        pid = until(lambda: self.cluster.etcd(self.names[i]).pid, 30, f"etcd to run on {self.names[i]}")
        os.kill(pid, number)
        return pid

    def settle(self):
        self.cluster.await_members(self.names)

    @property
    def files(self):
        """Any node's certificate will do."""
        return {name: os.path.join(self.tls, file) for name, file in (("ca", "ca.pem"), ("cert", "node.pem"), ("key", "node.key"))}

    def _etcdctl(self, urls, *words):
        return subprocess.run([*self.prefix, "etcdctl", f"--cacert={self.files['ca']}", f"--cert={self.files['cert']}", f"--key={self.files['key']}",
                               "--endpoints", ",".join(urls), *words],
                              env=dict(os.environ, ETCDCTL_API="3"), capture_output=True, text=True, timeout=60 * PATIENCE)

    def _status(self):
        return json.loads(self._etcdctl(self.urls, "endpoint", "status", "-w", "json").stdout)

    def terms(self):
        """The highest term that a member knows."""
        return max(answer["Status"]["raftTerm"] for answer in self._status())

    def lead(self, name):
        """That node's member is made the leader. Whether it was asked for: it takes a moment."""
        url = self.urls[self.names.index(name)]
        said = self._status()
        leader = said[0]["Status"]["leader"]
        by = {answer["Endpoint"]: answer["Status"]["header"]["member_id"] for answer in said}
        if by[url] == leader:
            return False
        leads = next(u for u, member in by.items() if member == leader)
        self._etcdctl([leads], "move-leader", f"{by[url]:x}")
        return True

    def engine(self, prefix):
        options = [word for name, path in self.files.items() for word in (f"--{name}", path)]
        return Engine(f"etcd:{prefix}," + ",".join(self.urls), *options, prefix=self.prefix)


class Down:
    """No member answers until it is over(): all are stopped, or whichever the agents start dies at once."""

    def __init__(self, cluster, how):
        self.cluster, self.how, self.ending = cluster, how, threading.Event()
        self.stopped = [cluster.etcd(name).send(STOP) for name in cluster.names] if how == "stopped" else []
        self.killing = threading.Thread(target=self._kill, daemon=True)
        self.killing.start()

    def _kill(self):
        while self.how == "dying" and not self.ending.wait(0.01):
            for name in self.cluster.names:
                pid = self.cluster.etcd(name).pid
                with contextlib.suppress(ProcessLookupError):
                    if pid:
                        os.kill(pid, KILL)

    def over(self):
        self.ending.set()
        self.killing.join()
        for pid in self.stopped:
            os.kill(pid, GO)


class Coordinated(Cluster):
    """Each node has one more method than usual: coordinator()."""

    def __init__(self, site, names, **more):
        super().__init__(site, names, coordinator="managed", **more)
        # As root, etcd runs as somebody who must reach its directory; pytest's own is closed to all others.
        self.folder = tempfile.mkdtemp(prefix="holdfast-coordinated-")
        os.chmod(self.folder, 0o711)
        for node in self.nodes.values():
            node.state = os.path.join(self.folder, node.name)
            os.makedirs(node.state)
        for node in self.nodes.values():
            node.coordinator = lambda node=node: self.picture_of(node)

    def __exit__(self, *exc):
        super().__exit__(*exc)
        shutil.rmtree(self.folder, ignore_errors=True)

    def on_slow_disks(self):
        """From their start on, the disks of nodes take as long to sync as slow() says. Before the start."""
        for node in self.nodes.values():
            node.disk = os.path.join(self.folder, f"disk-{node.name}")
            node.around = [os.path.join(TOOLS, "slowdisk"), node.disk]
        return self

    def with_quota(self, size):
        """The file of each member may have so many bytes: /usr/bin/etcd is a script there that says so to the real one. Before the start."""
        place = os.path.join(self.folder, "small")
        os.mkdir(place, 0o755)
        shutil.copy("/usr/bin/etcd", os.path.join(place, "etcd"))
        script = os.path.join(self.folder, "etcd")
        with open(script, "w") as f:
            f.write(f'#!/bin/sh\nexec /usr/src/etcd "$@" --quota-backend-bytes={size}\n')
        os.chmod(script, 0o755)
        # unshare's own way to keep mounts to itself needs "/" to be a mount, which it is not in a changed root
        alone = "mount --make-rprivate / 2>/dev/null || ! grep -q ' shared:' /proc/self/mountinfo"
        mounted = f'{alone}\nmount --bind "$1" /usr/src; mount --bind "$2" /usr/bin/etcd; shift 2; exec "$@"'
        for node in self.nodes.values():
            node.around = [*node.around, "unshare", "--mount", "--propagation", "unchanged", "sh", "-euc", mounted, "sh", place, script]
        return self

    def slow(self, names, ms):
        """Each sync of these nodes' processes takes so many ms more, from now on. Returns the moment."""
        for name in names:
            with open(self.nodes[name].disk + ".new", "w") as f:
                f.write(str(ms))
            os.rename(self.nodes[name].disk + ".new", self.nodes[name].disk)
        return now()

    def timers(self):
        """The heartbeats that the members run with, in ms."""
        return {(self.nodes[name].coordinator().get("etcd") or {}).get("heartbeat_ms") for name in self.names}

    def await_timers(self, heartbeat, seconds=60):
        try:
            until(lambda: self.timers() == {heartbeat}, seconds, f"all members to have a heartbeat of {heartbeat} ms")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.told()}") from None
        return now()

    def keys_of_their_own(self):
        """A key file for each node that its control may change, and a file that names it. Before the start."""
        user = next((u for u in ("holdfast", "nobody") if u in {p.pw_name for p in pwd.getpwall()}), None)
        for node in self.nodes.values():
            folder = os.path.join(self.folder, f"keys-{node.name}")
            os.mkdir(folder, 0o755)
            node.key, node.file = os.path.join(folder, "cluster.key"), os.path.join(folder, "cluster.conf")
            shutil.copy(self.key, node.key)
            os.chmod(node.key, 0o600)
            with open(node.file, "w") as f:
                f.write(self.config(key=node.key))
            for path in (folder, node.key) if os.geteuid() == 0 else ():
                shutil.chown(path, user, pwd.getpwnam(user).pw_gid)

    @staticmethod
    def picture_of(node):
        try:
            return node.ask("/v1/coordinator")
        except (OSError, ValueError):
            return {}

    def etcd(self, name):
        return Etcd(self.nodes[name])

    def await_running(self, name):
        """An etcd runs there (again)."""
        until(lambda: self.etcd(name).pid, 30, f"etcd to run on {name}")

    def members_down(self, how):
        return Down(self, how)

    def leader(self):
        for name in self.names:
            for m in self.nodes[name].coordinator().get("members", []):
                if m["leader"]:
                    return m["node"]
        return None

    def settled(self, voters, by=None):
        """Whether all that are asked see exactly these members, healthy and full, and can use the coordinator."""
        for name in by or self.names:
            p = self.nodes[name].coordinator()
            if not p.get("reachable") or (p.get("voters") or {}).get("nodes") != sorted(voters):
                return False
            if sorted(m["node"] or "-" for m in p["members"]) != sorted(voters):
                return False
            if not all(m["healthy"] and not m["learner"] for m in p["members"]):
                return False
        return True

    def await_members(self, voters, by=None, seconds=60):
        try:
            until(lambda: self.settled(voters, by), seconds, f"the coordinator's members to be {', '.join(voters)}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.told()}") from None
        return now()

    def told(self, since=0):
        """Everything that was said about the coordinator, for a failure's text, and who sees what."""
        lines = [f"{name}: {json.dumps(self.nodes[name].coordinator())[:1500]}" for name in self.names]
        for name, e in self.events("coordinator", since=since):
            lines.append(f"{e['boot_ns'] / 1e9:9.3f} {name}: {e['level']} {e['subject']}: {e['text']}")
        return "\n".join(lines)

    def await_told(self, text, by, since=0, seconds=20):
        """The first event about the coordinator with this text, by one of those."""
        def found():
            return next((e for o in by for e in self.nodes[o].follower.events
                         if e["code"] == "coordinator" and text in e["text"] and e["boot_ns"] >= since), None)
        try:
            return self.wait(found, seconds, f"'{text}' by one of {', '.join(by)}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.told()}") from None

    def ids(self):
        """The coordinator's id, as all nodes know it: never two."""
        return {self.nodes[name].coordinator().get("cluster") for name in self.names}

    def places(self):
        """The member's id of each node."""
        return {m["node"]: m["id"] for m in self.nodes[self.names[0]].coordinator()["members"]}

    def members(self):
        return Members(self)

    def told_by(self, name, since):
        """What the command `holdfast events` of this node tells about the coordinator since then, as "SUBJECT: TEXT"."""
        lines = self.nodes[name].command("events", "--since", "1h", "--code", "coordinator", "--json").stdout.splitlines()
        return [f"{e['subject']}: {e['text']}" for e in map(json.loads, lines) if e["boot_ns"] >= since]

    def shows(self, since, *steps):
        """That each step, (nodes, text), can be read in `holdfast events` of one of these nodes."""
        for by, text in steps:
            try:
                until(lambda: any(text in line for name in by for line in self.told_by(name, since)), 20, f"'{text}' in events of {by}")
            except AssertionError as e:
                raise AssertionError(f"{e}\n{self.told(since)}") from None

    def apply(self, name, file, *words):
        return subprocess.run([*self.nodes[name].prefix, BINARY, "apply", file, "--yes", "--state", self.nodes[name].state, *words],
                              capture_output=True, text=True, timeout=60 * PATIENCE)

    def wipe(self, name):
        """All of the node's processes end and its disk is lost."""
        node = self.nodes[name]
        node.kill()
        subprocess.run(["rm", "-rf", node.state], check=True)
        os.makedirs(node.state)


class Throughout:
    """What must hold while something happens to the coordinator: requests to these nodes never fail, and configurations never diverge:
    one number is one configuration everywhere, and no node goes back to an older one, unless its disk is lost.

        with Throughout(cluster, "ab") as meanwhile:
            meanwhile.apply("a")            # a version that differs in nothing but a comment
            cluster.etcd("c").send(KILL)
            meanwhile.carry(3)              # so many seconds
    """

    def __init__(self, cluster, serving, lost=""):
        self.cluster, self.serving, self.lost = cluster, serving, lost
        self.at, self.loads, self.requests = now(), [], 0
        self.digests, self.highest, self.problem = {}, {}, None
        self.ending = threading.Event()
        self.looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self.loads = [self.cluster.load(name) for name in self.serving]
        self.looking.start()
        return self

    def __exit__(self, kind, *_):
        self.ending.set()
        self.looking.join()
        if kind:
            return
        assert not self.problem, self.problem
        for load in self.loads:
            self.requests += answered(load)["requests"]
        assert self.requests

    def carry(self, seconds):
        """So much time passes, in which every node that serves answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for load in self.loads:
                load.carry(10)

    def _look(self):
        while not self.ending.wait(0.05) and not self.problem:
            for name in self.cluster.names:
                self._look_at(name)

    def _look_at(self, name):
        try:
            used = self.cluster.nodes[name].ask("/v1/config")["used"]
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return      # it does not run
        number, digest = (used["version"], used["digest"]) if used else (0, None)
        if self.digests.setdefault(number, digest) != digest:
            self.problem = f"{name} runs another version {number} than somebody else: {digest}, {self.digests[number]}"
        if number < self.highest.get(name, 0) and name not in self.lost:
            self.problem = f"{name} runs version {number} after {self.highest[name]}"
        self.highest[name] = number

    def head(self, by):
        return (self.cluster.nodes[by].ask("/v1/config")["head"] or {"version": 0})["version"]

    def apply(self, by, everywhere=True):
        """In force, and run by all nodes that are alive; None: or not by all of them. What was said. Where the coordinator's answer was
        lost with a member, the history is asked, as the command says, and what is not in it is applied again."""
        number = self.head(by) + 1
        words = ["--wait", "2"] if everywhere is None else []
        done = self._apply(by, number, *words)
        for _ in range(3):
            if done.returncode != 1 or "is not known" not in done.stderr:
                break
            until(lambda: self.cluster.nodes[by].ask("/v1/coordinator").get("reachable"), 20, "the coordinator to be reached again")
            number = self.head(by) + 1
            done = self._apply(by, number, *words)
        assert done.returncode == 0 or done.returncode == 1 and everywhere is None, done.stdout + done.stderr + self.cluster.told(self.at)
        assert f"version {number} is applied" in done.stdout
        return done.stdout

    def refused(self, by):
        """Without a coordinator nothing is applied, and who asks is told so."""
        done = self._apply(by, 0)
        assert done.returncode == 1 and "coordinator is away" in done.stderr, done.stdout + done.stderr

    def _apply(self, by, number, *words):
        file = self.cluster.site.path("next.conf")
        with open(self.cluster.file) as now_, open(file, "w") as next_:
            next_.write(now_.read() + f"# {number} {time.monotonic_ns()}\n")
        return self.cluster.apply(by, file, *words)

    def await_version(self, number=None, by=None, seconds=60):
        """All run the version in force."""
        by = by or self.cluster.names
        until(lambda: {((self.cluster.nodes[n].ask("/v1/config") or {}).get("used") or {}).get("version") for n in by}
              == {number or self.head(by[0])}, seconds, "all nodes to run the version in force")
