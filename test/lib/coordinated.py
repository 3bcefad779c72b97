"""coordinated: clusters whose coordinator holdfast runs itself, and what a test asks about it.

    with Coordinated(site, "abc") as cluster:
        cluster.start()
        cluster.await_members("abc")            # all full members, one leads, all nodes agree
        cluster.etcd("b").send_signal(9)
"""

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

from cluster import Cluster, now
from holdfast import BINARY, PATIENCE, TOOLS, until


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

    def apply(self, name, file, *words):
        return subprocess.run([*self.nodes[name].prefix, BINARY, "apply", file, "--yes", "--state", self.nodes[name].state, *words],
                              capture_output=True, text=True, timeout=60 * PATIENCE)

    def wipe(self, name):
        """All of the node's processes end and its disk is lost."""
        node = self.nodes[name]
        node.kill()
        subprocess.run(["rm", "-rf", node.state], check=True)
        os.makedirs(node.state)


STOP, GO, KILL = signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL
