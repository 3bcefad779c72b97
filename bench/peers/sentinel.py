"""Redis Sentinel on three machines: one Redis and one sentinel each. A client that has not heard of the new primary asks all of them:
the prober writes to each address, and the first that accepts counts. That is kinder than most clients are."""
import os

from cluster import FIRST_CLIENT, Net, address
from holdfast import until
from prober import Prober

SENTINEL = 26380


class Everywhere:
    """Probers of all three; a write that any of them accepts counts."""

    def __init__(self, probers):
        self.probers = probers

    def again(self, after):
        return min((t for t in (p.again(after) for p in self.probers) if t), default=None)

    def stop(self):
        for p in self.probers:
            p.stop()


class Sentinel:
    name = "sentinel"

    def __init__(self, site, down_after, port):
        self.site, self.port, self.down_after = site, port, down_after
        self.net, self.sets, self.processes = Net(site), 0, []
        self.machines = {name: self.net.machine(name, n) for n, name in enumerate("abc", 1)}
        self.clients = self.net.machine("clients", FIRST_CLIENT)

    def fresh(self):
        """Another set for each run: after a failover a sentinel may take a minute until it calls the set whole again."""
        for process in self.processes:
            process.end()
        self.sets, self.processes = self.sets + 1, []
        for name in "abc":
            self.start_redis(name, None if name == "a" else "a")
        until(lambda: "connected_slaves:2" in self.ask("a", "INFO", "replication"), 30, "two replicas")
        for name in "abc":
            self.start_sentinel(name)

    def start_redis(self, name, follows):
        machine = self.machines[name]
        directory = self.site.path(f"redis-{name}-{self.sets}")
        os.makedirs(directory, exist_ok=True)
        more = ["--replicaof", self.machines[follows].address, str(self.port)] if follows else []
        self.processes.append(self.site.process(
            [*machine.prefix, "redis-server", "--port", str(self.port), "--bind", machine.address, "--protected-mode", "no", "--save", "",
             "--dir", directory, "--logfile", f"{directory}/log", "--repl-diskless-sync-delay", "0", *more]))

    def start_sentinel(self, name):
        machine, path = self.machines[name], self.site.path(f"sentinel-{name}-{self.sets}.conf")
        with open(path, "w") as f:
            f.write(f"port {SENTINEL}\nbind {machine.address}\nprotected-mode no\nlogfile {path}.log\n"
                    f"sentinel monitor m {self.machines['a'].address} {self.port} 2\n"
                    f"sentinel down-after-milliseconds m {self.down_after}\nsentinel parallel-syncs m 1\n"
                    f"sentinel failover-timeout m 5000\n")
        self.processes.append(self.site.process([*machine.prefix, "redis-server", path, "--sentinel"]))

    def ask(self, name, *words, port=None, seconds=0.5):
        """The whole of what one command is answered with, as far as it comes at once; "" on any trouble."""
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)
        try:
            with self.clients.socket(kind=1) as s:      # SOCK_STREAM
                s.settimeout(seconds)
                s.connect((self.machines[name].address, port or self.port))
                s.sendall(request)
                return s.recv(65536).decode()
        except OSError:
            return ""

    def primary(self):
        said = self.ask("b", "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m", port=SENTINEL).split("\r\n")
        return next(n for n, m in self.machines.items() if m.address in said)

    def well(self):
        """All sentinels name the same primary, which has two replicas that are up to date."""
        named = set()
        for name in "abc":
            said = self.ask(name, "SENTINEL", "MASTER", "m", port=SENTINEL).split("\r\n")
            words = [w for w in said if w and w[0] not in "*$"]
            of = dict(zip(words[::2], words[1::2]))
            if of.get("flags") != "master" or of.get("num-slaves") != "2" or of.get("num-other-sentinels") != "2":
                return False
            named.add(of.get("ip"))
        if len(named) != 1:
            return False
        owner = next(n for n, m in self.machines.items() if m.address in named)
        return "connected_slaves:2" in self.ask(owner, "INFO", "replication")

    def prober(self, site, primary):
        return Everywhere([Prober(site, self.clients.prefix, address(n), self.port) for n in (1, 2, 3)])

    def machine(self, name):
        return self.machines[name]

    def close(self):
        self.net.close()
