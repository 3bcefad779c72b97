"""Whatever happens to nodes, what clients read and write through the listeners of all of them is linearizable, with `sync = 1`.

A run is a few faults in a row, drawn by its seed: processes killed, a whole node killed or asleep, every shape of partition of
test_partitions.py, a full disk, a switchover, some of them at once. HOLDFAST_ROUNDS=N: N runs; else two short ones. HOLDFAST_SEED=N is the first.
"""
import contextlib
import os
import random
import signal
import subprocess
import time

from cluster import now
from holdfast import PATIENCE, until
from registers import Registers
from roles import Roles
from test_partitions import THREE

ROUNDS, SEED = int(os.environ.get("HOLDFAST_ROUNDS", "0")), int(os.environ.get("HOLDFAST_SEED", "1"))
FAULTS = 5 if ROUNDS else 3
ON_DISK_MB = 400


class Faults:
    """Each does something to the cluster and returns what ends it."""

    def __init__(self, cluster, r):
        self.cluster, self.r = cluster, r

    def victim(self):
        """More often than not the one that matters."""
        primary = self.cluster.primary()
        return primary if primary and self.r.random() < 0.6 else self.r.choice(self.cluster.names)

    def instance_killed(self):
        return self._kill(self.cluster.pid(self.victim()))

    def control_killed(self):
        return self._kill(next(p["pid"] for p in self.cluster[self.victim()].status()["processes"] if p["name"] == "control"))

    def agent_killed(self):
        return self._kill(next(p["pid"] for p in self.cluster[self.victim()].status()["processes"] if p["name"] == "agent"))

    def coordinator_killed(self):
        return self._kill(self.cluster.etcd(self.victim()).pid)

    @staticmethod
    def _kill(pid):
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)
        return lambda: None

    def node_killed(self):
        node = self.cluster[self.victim()]
        node.kill()
        return lambda: node.start(wait=False)

    def instance_asleep(self):
        return self._stop([self.cluster.pid(self.victim())])

    def control_asleep(self):
        return self._stop([next(p["pid"] for p in self.cluster[self.victim()].status()["processes"] if p["name"] == "control")])

    def node_asleep(self):
        return self._stop(self.cluster.everything(self.victim()))

    def _stop(self, pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

        def go_on():
            self.r.shuffle(pids)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        return go_on

    def partition(self):
        shape = self.r.choice(list(THREE.values()))
        place = dict(zip("abc", self.r.sample(self.cluster.names, 3)))
        self.cluster.net.cut(*((place[a], place[b]) for a, b in shape.ways))
        return self.cluster.net.heal

    def cut_off(self):
        self.cluster.net.alone(self.victim())
        return self.cluster.net.heal

    def lossy(self):
        names = self.cluster.names
        self.cluster.net.lose(self.r.choice((20, 100, 300)), *((a, b) for a in names for b in names if a != b))
        return self.cluster.net.heal

    def disk_full(self):
        path = os.path.join(self.cluster[self.victim()].state, "filler")
        with open(path, "wb", buffering=0) as f, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while f.write(bytes(size)) == size:
                        pass
        return lambda: os.unlink(path)

    def switchover(self):
        self.cluster[self.r.choice(self.cluster.names)].command("switchover", "cache", "to", self.r.choice(self.cluster.names), check=False, seconds=60)
        return lambda: None

    KINDS = (instance_killed, control_killed, agent_killed, coordinator_killed, node_killed, instance_asleep, control_asleep, node_asleep,
             partition, partition, partition, cut_off, lossy, disk_full, switchover)

    def one(self):
        """Begins one, now and then two; lets them last; ends them. What was done."""
        begun = [self._begin(kind) for kind in self.r.sample(self.KINDS, self.r.choice((1, 1, 2)))]
        time.sleep(self.r.uniform(0.2, 3.5))
        for _, end in begun:
            end()
        return " + ".join(name for name, _ in begun)

    def _begin(self, kind):
        try:
            return kind.__name__, kind(self)
        except (OSError, StopIteration, AssertionError):    # what it wants to hit is gone already
            return kind.__name__ + " (in vain)", lambda: None


@contextlib.contextmanager
def disks_of_their_own(cluster):
    """A disk for each node that can be filled."""
    try:
        for node in cluster.nodes.values():
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ON_DISK_MB}m,mode=755", "tmpfs", node.state], check=True)
        yield
    finally:
        for node in cluster.nodes.values():
            node.kill()
            subprocess.run(["umount", "-l", node.state], check=False)


def run(cluster, site, seed):
    faults, done, at = Faults(cluster, random.Random(seed)), [], now()
    with Registers(cluster, seed) as registers:
        for _ in range(FAULTS):
            began = now()
            done.append(faults.one())
            print(f"seed {seed}: {(began - at) / 1e6:.0f} to {(now() - at) / 1e6:.0f}: {done[-1]}", flush=True)
            time.sleep(faults.r.choice((0, 0.3, 1.5)))
        over = now()
        try:
            until(lambda: registers.answered(over) > 20, 60, "writes to be answered again")
        except AssertionError as e:
            raise AssertionError(f"{e}\nseed {seed}: {done}\n{cluster.story(at)}") from None
        again = (now() - over) / 1e6
        cluster.settle(seconds=90)
    try:
        total, unknown = registers.check()
    except AssertionError as e:
        raise AssertionError(f"{e}\nseed {seed}: {done}\n{cluster.story(at)}") from None
    promoted = len(cluster.events("role-promoted", since=at))
    site.report(f"seed {seed}: {', '.join(done)}: {total} operations, {unknown} unknown, {promoted} promotions, answered again within {again:.0f} ms")
    return total, unknown, promoted


def test_registers_are_linearizable_whatever_happens(site):
    totals = []
    with Roles(site, "abc", sync=1, more="flaps = 0") as cluster, disks_of_their_own(cluster):
        cluster.begin()
        for seed in range(SEED, SEED + max(2, ROUNDS)):
            totals.append(run(cluster, site, seed))
    operations, unknown, promotions = map(sum, zip(*totals))
    site.report(f"{len(totals)} runs: {operations} operations, {unknown} of unknown outcome, {promotions} promotions: all linearizable")
    assert operations > 300 * len(totals) / PATIENCE
