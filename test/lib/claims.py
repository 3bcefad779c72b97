"""claims: who on a link answers for an address, seen by a machine that has nothing to do with it.

Every 2 ms it asks everybody by ARP; and it sends pings and the beginnings of TCP connections for that address to each machine's own
hardware address, so that one that would take them is found out also where nobody leads them to it. Every frame in which a machine claims the
address, or answers from it, is a line. Run as a program on the observing machine:

    claims.py ADDRESS PORT OWN_ADDRESS OWN_MAC MAC...

    TIME MAC KIND          ns of CLOCK_BOOTTIME, the sender, arp | icmp | tcp

A class Claims starts it, and looks at its lines.
"""

import os
import socket
import struct
import subprocess
import sys
import time

EVERY = 0.002
ALL = b"\xff" * 6
ETH_P_ALL, PACKET_OUTGOING = 3, 4


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def hardware(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


class Asker:
    def __init__(self, address, port, own, mac):
        self.address, self.port, self.own, self.mac = socket.inet_aton(address), int(port), socket.inet_aton(own), hardware(mac)
        self.number = 0

    def arp(self):
        return (ALL + self.mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + self.mac + self.own + bytes(6) + self.address)

    def packet(self, to, protocol, body):
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), self.number & 0xffff, 0, 64, protocol, 0, self.own, self.address)
        return to + self.mac + b"\x08\x00" + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body

    def ping(self, to):
        self.number += 1
        body = struct.pack("!BBHHH", 8, 0, 0, 1, self.number & 0xffff)
        return self.packet(to, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])

    def syn(self, to):
        self.number += 1
        body = struct.pack("!HHIIBBHHH", 20000 + self.number % 40000, self.port, self.number, 0, 0x50, 2, 65535, 0, 0)
        sum_of = self.own + self.address + struct.pack("!HH", 6, len(body)) + body
        return self.packet(to, 6, body[:16] + struct.pack("!H", checksum(sum_of)) + body[18:])

    def claim(self, frame):
        """(sender, kind) of a frame that claims the address, or is from it."""
        kind, sender = frame[12:14], frame[6:12]
        if kind == b"\x08\x06" and frame[28:32] == self.address:
            return sender, "arp"
        if kind == b"\x08\x00" and frame[26:30] == self.address:
            return sender, {1: "icmp", 6: "tcp"}.get(frame[23], "other")
        return None


def main(address, port, own, mac, *macs):
    asker, to, turn = Asker(address, port, own, mac), [hardware(m) for m in macs], 0
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind(("eth0", ETH_P_ALL))
    due = time.monotonic()
    while True:
        s.settimeout(max(0.0001, due - time.monotonic()))
        try:
            frame, (_, _, packet, _, _) = s.recvfrom(2048)
            found = None if packet == PACKET_OUTGOING else asker.claim(frame)
            if found:
                print(now(), found[0].hex(":"), found[1], flush=True)
        except (TimeoutError, BlockingIOError):
            pass
        if time.monotonic() < due:
            continue
        due = max(due + EVERY, time.monotonic() - EVERY)
        turn += 1
        s.send(asker.arp())
        s.send(asker.ping(to[turn % len(to)]))
        if turn % 8 == 0:
            s.send(asker.syn(to[turn // 8 % len(to)]))


class Claims:
    """machine: the observer; machines: {name: Machine} of those who might answer."""

    def __init__(self, site, machine, address, port, machines, mac):
        self.path = site.path(f"claims-{now()}")
        self.names = {mac(m.n): name for name, m in machines.items()}
        with open(self.path, "wb") as out:
            self.process = site.process([*machine.prefix, sys.executable, "-S", os.path.abspath(__file__), address, str(port), machine.address,
                                         mac(machine.n), *self.names], stdout=out, stderr=subprocess.STDOUT)

    def lines(self, since=0):
        """(time, name, kind)"""
        with open(self.path) as f:
            lines = [line.split() for line in f.read().rpartition("\n")[0].splitlines()]
        return [(int(t), self.names.get(m, m), kind) for t, m, kind in lines if int(t) >= since]

    def owners(self, since=0):
        """[name, first, last, kinds] of each time that one answered, until another did: in order, as they came in."""
        runs = []
        for t, name, kind in self.lines(since):
            if not runs or runs[-1][0] != name:
                runs.append([name, t, t, set()])
            runs[-1][2] = t
            runs[-1][3].add(kind)
        return runs

    def stop(self):
        self.process.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
