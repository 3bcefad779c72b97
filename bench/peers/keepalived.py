"""keepalived on two machines: the virtual address alone, with an echo behind it that says who answered. A client asks it every 5 ms.

After a fault what counts is the first answer from the other machine: whoever is killed with everything keeps the address, and goes on answering.
"""
import os
import subprocess
import sys

PORT, EVERY = 7777, 0.005
NAMES = "ab"
ECHO = ("import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('0.0.0.0',int(sys.argv[2])))\n"
        "while 1:\n d,a=s.recvfrom(64)\n try: s.sendto(d+b' '+sys.argv[1].encode(),a)\n except OSError: pass\n")
ASK = """
import select,socket,sys,time
now = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setblocking(False)
due = time.monotonic()
while True:
    if select.select([s], [], [], max(0, due - time.monotonic()))[0]:
        try:
            sent, owner = s.recv(64).split()
            print(sent.decode(), now(), owner.decode(), flush=True)
        except OSError:
            pass
    if time.monotonic() >= due:
        due = max(due + float(sys.argv[3]), time.monotonic() - 1)
        try:
            s.sendto(b"%d" % now(), (sys.argv[1], int(sys.argv[2])))
        except OSError:
            pass
"""


class Echoes:
    def __init__(self, site, prefix, address, lost):
        self.lost, self.before = lost, None
        self.path = site.path("echoes")
        with open(self.path, "wb") as out:
            self.process = site.process([*prefix, sys.executable, "-S", "-c", ASK, address, str(PORT), str(EVERY)], stdout=out)

    def lines(self):
        with open(self.path) as f:
            return [(int(a), int(b), c) for a, b, c in (line.split() for line in f.read().rpartition("\n")[0].splitlines())]

    def again(self, after):
        """The first time from the owner who is going to be lost, which says that all is well; then from the other."""
        whose = [b for a, b, owner in self.lines() if a >= after and (owner == self.lost) == (self.before is None)]
        return min(whose, default=None)

    def begins(self):
        self.before = True

    def stop(self):
        self.process.end()


class Keepalived:
    name = "keepalived"

    def __init__(self, site, advert, vip):
        from cluster import FIRST_CLIENT, Net
        self.site, self.advert, self.vip, self.net, self.runs = site, advert, vip, Net(site), {}
        self.machines = {name: self.net.machine(name, n) for n, name in enumerate(NAMES, 1)}
        self.clients, self.observer = self.net.machine("clients", FIRST_CLIENT), self.net.machine("observer", FIRST_CLIENT + 1)
        for name, machine in self.machines.items():
            site.process([*machine.prefix, sys.executable, "-S", "-c", ECHO, name, str(PORT)])
        for name in reversed(NAMES):
            self.start(name)

    def start(self, name):
        machine, path = self.machines[name], self.site.path(f"keepalived-{name}")
        subprocess.run([*machine.prefix, "ip", "addr", "flush", "to", f"{self.vip}/32", "dev", "eth0"], check=False)
        with open(path + ".conf", "w") as f:
            f.write(f"global_defs {{\n router_id {name}\n vrrp_version 3\n vrrp_startup_delay 0\n}}\n"
                    f"vrrp_instance V {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {150 if name == NAMES[0] else 100}\n"
                    f" advert_int {self.advert}\n virtual_ipaddress {{ {self.vip}/24 dev eth0 }}\n}}\n")
        for end in (".pid", ".vrrp"):
            if os.path.exists(path + end):
                os.unlink(path + end)
        with open(path + ".log", "ab") as log:
            self.runs[name] = self.site.process(
                [*machine.prefix, "keepalived", "-n", "-l", "-D", "-P", "-f", path + ".conf", "-p", path + ".pid", "-r", path + ".vrrp"],
                stdout=log, stderr=log)

    def has(self, name):
        prefix = self.machines[name].prefix
        return self.vip in subprocess.run([*prefix, "ip", "-4", "addr", "show", "dev", "eth0"], capture_output=True, text=True).stdout

    def well(self):
        """The one with the higher priority has it, alone."""
        return [self.has(name) for name in NAMES] == [True, False]

    def primary(self):
        return NAMES[0]

    def prober(self, site, primary):
        return Echoes(site, self.clients.prefix, self.vip, primary)

    def machine(self, name):
        return self.machines[name]

    def restart(self, name):
        self.runs[name].end()
        self.start(name)

    def close(self):
        self.net.close()
