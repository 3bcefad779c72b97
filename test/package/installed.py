"""installed: three machines that follow the README, their backends, and clients that ask all the time."""
import json
import os
import re
import subprocess
import types

import readme
from debian import Debian
from holdfast import PATIENCE, TOOLS, Load, Tunnels, until

NAMES = "abc"
PORT = 8080
ADDRESSES = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}     # the README's
BACKENDS = ("10.0.0.11", "10.0.0.12")
CLIENT = "10.0.0.99"
TUNNELS = 10


class Installed:
    def __init__(self, site, net, packages):
        self.site, self.net, self.packages = site, net, packages
        self.every, self.config, self.first, self.others, self.any, self.upgrade = readme.install()
        self.nodes, self.clients = {}, self.at_the_net("clients", 151, CLIENT)
        self.report("systemd 252 of the roots is their process 1: nothing stands in for it")
        for n, address in enumerate(BACKENDS):
            machine = self.at_the_net(f"origin{n}", 101 + n, address)
            site.process([*machine.prefix, os.path.join(TOOLS, "backend"), "--listen", f"{address}:3000", "--control", "127.0.0.1:3001",
                          "--log", site.path(f"origin{n}.log"), "--name", f"origin{n}", "--service-us", "500"])
        try:
            for n, name in enumerate(NAMES, 1):
                self.nodes[name] = Debian(site, net, name, n, packages.root, [ADDRESSES[name]])
        except BaseException:
            self.end()
            raise

    def report(self, line):
        self.site.report(line)

    def at_the_net(self, name, n, address):
        """A machine with an address of the README's beside its own."""
        machine = self.net.machine(name, n)
        subprocess.run([*machine.prefix, "ip", "addr", "add", f"{address}/24", "dev", "eth0"], check=True)
        return machine

    def __iter__(self):
        return iter(self.nodes.values())

    def __getitem__(self, name):
        return self.nodes[name]

    # --- what the README says ---

    def copy(self, node, package):
        """The package lies where the commands are run, and no other."""
        node.run("rm -f /srv/holdfast_*.deb")
        node.put(package, f"/srv/{os.path.basename(package)}")

    def install(self, node, package, check=True):
        self.copy(node, package)
        return node.run(f"cd /srv\n{re.sub('apt install', 'apt-get install -y', self.every)}", check=check, seconds=300)

    def follow(self):
        for node in self:
            self.install(node, self.packages.old[0])
            node.write("/etc/holdfast/holdfast.conf", self.config)
        first, *others = self
        token = first.run(self.first).stdout
        for i, node in enumerate(others):
            if i:
                token = first.run("holdfast token").stdout
            [word] = re.findall(r"\bhf1\.[\w.-]+", token)
            node.run(self.others.replace("TOKEN", word))
        return first

    # --- what is to be seen ---

    def ask(self, node, *words):
        return json.loads(node.run(f"holdfast {' '.join(words)} --json").stdout)

    def version(self, node):
        return self.ask(node, "status")["version"]

    def agree(self, seconds=30):
        def all_alive():
            for node in self:
                done = node.run("holdfast members --json", check=False)
                if done.returncode or {m["name"]: m["state"] for m in json.loads(done.stdout)["members"]} != dict.fromkeys(NAMES, "alive"):
                    return False
            return True
        until(all_alive, seconds, "all nodes to believe all alive")

    def serving(self, node, seconds=20):
        def healthy():
            done = node.run("holdfast status --json", check=False)
            return done.returncode == 0 and {i["verdict"] for s in json.loads(done.stdout)["services"]
                                             for i in s["instances"]} == {"healthy"}
        until(healthy, seconds, f"{node.name}'s instances to be healthy")

    # --- clients ---

    def busy(self):
        """Load and tunnels to every node, from another machine. end() of what it returns gives the figures, when nothing failed."""
        loads = {n.name: Load(self.site, PORT, f"to-{n.name}-{len(self.site.processes)}", host=ADDRESSES[n.name], prefix=self.clients.prefix,
                              connections=8, timeout_ms=int(10000 * PATIENCE), think_us=5000) for n in self}
        tunnels = {n.name: Tunnels(self.site, PORT, TUNNELS, host=ADDRESSES[n.name], prefix=self.clients.prefix) for n in self}

        def carry(name, requests=200):
            loads[name].carry(requests, 60)

        def end():
            figures = {}
            for name in loads:
                cut, total = tunnels[name].stop(), loads[name].stop()
                assert Load.failed(total) == 0, f"{name}: {total}"
                assert (cut["opened"], cut["cut"], cut["garbled"], cut["stalled"]) == (TUNNELS, 0, 0, 0), f"{name}: {cut}"
                figures[name] = (total, cut)
            return figures
        return types.SimpleNamespace(carry=carry, end=end)

    def end(self):
        for node in self:
            node.end()
        self.net.close()
