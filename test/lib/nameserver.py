"""A small name server for tests: what it answers, how long that counts, and how it fails are set while it runs.

    with NameServer() as dns:
        dns.set("api.test", A=["127.0.0.2"], ttl=1)
        dns.set("_http._tcp.api.test", SRV=[(0, 10, 8080, "n1.api.test")])
        dns.fail("api.test", "SERVFAIL")        # or "NXDOMAIN", "silent", "truncate"
"""
import ipaddress
import socket
import struct
import threading

TYPES = {"A": 1, "CNAME": 5, "AAAA": 28, "SRV": 33}
RCODES = {"SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}


def wire_name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.rstrip(".").split(".") if label) + b"\0"


def wire_data(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "CNAME":
        return wire_name(value)
    priority, weight, port, target = value
    return struct.pack(">3H", priority, weight, port) + wire_name(target)


class NameServer:
    def __init__(self):
        self.lock = threading.Lock()
        self.records = {}       # (name, type) -> (ttl, values)
        self.failures = {}      # name -> how
        self.asked = []         # (name, type, "udp" or "tcp")
        self.bind()
        self.open = True
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.serve_udp, self.serve_tcp)]
        for thread in self.threads:
            thread.start()

    def bind(self):
        """One port that is free for both."""
        while True:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket()
            try:
                self.tcp.bind(("127.0.0.1", self.port))
                self.tcp.listen(16)
                return
            except OSError:
                self.udp.close()
                self.tcp.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Nobody answers any more; the port stays free for a successor."""
        if not self.open:
            return
        self.open = False
        self.udp.close()
        try:
            self.tcp.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.tcp.close()

    def set(self, name, ttl=1, **records):
        """Replaces all records of the name, and ends its failure."""
        with self.lock:
            self.failures.pop(name, None)
            for key in [k for k in self.records if k[0] == name]:
                del self.records[key]
            for kind, values in records.items():
                self.records[name, TYPES[kind]] = (ttl, [wire_data(kind, v) for v in values])

    def fail(self, name, how):
        with self.lock:
            self.failures[name] = how

    def count(self, name):
        with self.lock:
            return sum(asked[0] == name for asked in self.asked)

    def answer(self, query, over):
        try:
            identity, _, questions = struct.unpack(">3H", query[:6])
            at, labels = 12, []
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            kind, _ = struct.unpack(">2H", query[at + 1:at + 5])
        except (struct.error, IndexError, UnicodeDecodeError):
            return None
        name = ".".join(labels).lower()
        with self.lock:
            self.asked.append((name, kind, over))
            how = self.failures.get(name)
            known = any(k[0] == name for k in self.records)
            chain, current = [], name
            while (current, TYPES["CNAME"]) in self.records and kind != TYPES["CNAME"]:
                ttl, values = self.records[current, TYPES["CNAME"]]
                chain.append((current, TYPES["CNAME"], ttl, values[0]))
                current = next(k for k in {n for n, _ in self.records} if wire_name(k) == values[0])
            ttl, values = self.records.get((current, kind), (1, []))
        if how == "silent":
            return None
        flags, records = 0x8180, chain + [(current, kind, ttl, v) for v in values]
        if how == "truncate" and over == "udp":
            flags, records = flags | 0x200, []
        elif how in RCODES:
            flags, records = flags | RCODES[how], []
        elif not known and not how:
            flags |= RCODES["NXDOMAIN"]
        body = b"".join(wire_name(n) + struct.pack(">HHIH", k, 1, t, len(d)) + d for n, k, t, d in records)
        return struct.pack(">6H", identity, flags, questions, len(records), 0, 0) + query[12:at + 5] + body

    def serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
                reply = self.answer(query, "udp")
                if reply:
                    self.udp.sendto(reply, peer)
            except OSError:
                return

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection:
                try:
                    size = struct.unpack(">H", connection.recv(2))[0]
                    reply = self.answer(connection.recv(size), "tcp")
                    if reply:
                        connection.sendall(struct.pack(">H", len(reply)) + reply)
                except (OSError, struct.error):
                    pass
