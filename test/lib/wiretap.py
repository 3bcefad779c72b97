"""wiretap: who listens on the wire of a cluster's network, and who says there what he should not.

A Tap records the datagrams of the mesh where they pass the bridge. A Stranger has a machine at the bridge, and no key: it sends
what it recorded, or made up, in its own name or with another's address.
"""

import collections
import socket
import struct
import threading

from cluster import MESH_PORT
from holdfast import until

ETH_P_ALL, PACKET_OUTGOING, IP, UDP = 3, 4, 20, 8  # ALL: the bridge takes frames before who asks for IP alone

Datagram = collections.namedtuple("Datagram", "source target payload")


def dissect(frame):
    """The Datagram of an Ethernet frame of the mesh; None for another frame."""
    if len(frame) < 14 + IP + UDP or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
        return None
    begin = 14 + 4 * (frame[14] & 15)
    source_port, target_port, n = struct.unpack_from(">HHH", frame, begin)
    if MESH_PORT not in (source_port, target_port):
        return None
    source, target = (socket.inet_ntoa(frame[at:at + 4]) for at in (26, 30))
    return Datagram(source, target, frame[begin + UDP:begin + n])


class Tap(threading.Thread):
    """Takes each frame once, when it comes from its sender: before it is cut, if it is."""

    def __init__(self, net, keep=50000):
        super().__init__(daemon=True)
        self.datagrams, self.frames, self.ending = collections.deque(maxlen=keep), 0, False
        self.socket = net.socket(None, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.settimeout(0.2)
        self.start()

    def run(self):
        while not self.ending:
            try:
                frame, where = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            if where[2] != PACKET_OUTGOING and (d := dissect(frame)):
                self.datagrams.append(d)
                self.frames += 1

    def between(self, source, target):
        """Payloads from the one address to the other, so far."""
        return [d.payload for d in list(self.datagrams) if (d.source, d.target) == (source, target)]

    def await_between(self, source, target, n):
        return until(lambda: len(found := self.between(source, target)) >= n and found, 10, f"{n} datagrams from {source} to {target}")

    def close(self):
        self.ending = True
        self.join()
        self.socket.close()


class Stranger:
    def __init__(self, machine):
        self.machine, self.address = machine, machine.address
        self.own, self.raw = machine.socket(), machine.socket(socket.SOCK_RAW, protocol=socket.IPPROTO_RAW)
        self.own.bind((self.address, MESH_PORT))
        self.own.setblocking(False)

    def send(self, target, payload):
        self.own.sendto(payload, (target, MESH_PORT))

    def send_as(self, source, target, payload):
        """With the address of somebody else, who would get the answer."""
        udp = struct.pack(">HHHH", MESH_PORT, MESH_PORT, UDP + len(payload), 0) + payload  # no checksum: allowed in IPv4
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, IP + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0, socket.inet_aton(source),
                         socket.inet_aton(target))
        self.raw.sendto(ip + udp, (target, 0))

    def heard(self):
        """What has been sent to the stranger itself so far."""
        found = []
        try:
            while True:
                found.append(self.own.recv(4096))
        except BlockingIOError:
            return found

    def close(self):
        self.own.close()
        self.raw.close()
