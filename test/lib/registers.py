"""registers: clients that read and write registers of a service with a primary, through the listeners of all its nodes, and the judgement
whether what they were answered can have been (linearizable.py).

A register is a key and a second one that counts its changes, both changed by one script: its revision. So each change that was answered
tells its place among all others, and one that is made twice, or lost, is found at once. Clients read, write, and compare and set.
Whoever is not answered does not know, and asks elsewhere.
"""
import random
import socket
import threading
import time

from cluster import now
from linearizable import ANY, CONFLICT, DONE, FAILED, UNKNOWN, Key, Op, judge
from roles import PORT, Client

WRITE = b"""local at = tonumber(redis.call('GET', KEYS[2]) or '0')
if tonumber(ARGV[2]) >= 0 and tonumber(ARGV[2]) ~= at then return -1 end
redis.call('SET', KEYS[1], ARGV[1])
return redis.call('INCR', KEYS[2])"""
PATIENCE_S = 3          # for an answer
REFUSED = -2            # by an error: nothing was done, of a script that fails before its first change


class RegisterClient(Client, threading.Thread):
    """One at a time. Each connection may lead to another front."""

    def __init__(self, registers, number):
        Client.__init__(self, registers.cluster, registers.cluster.names)
        threading.Thread.__init__(self, daemon=True)
        self.registers, self.number, self.random = registers, number, random.Random(registers.seed * 1000 + number)
        self.turn, self.written, self.known, self.errors = number, 0, {}, {}

    def connect(self):
        front = self.fronts[self.turn % len(self.fronts)]
        self.sock, self.data = self.cluster.clients.socket(socket.SOCK_STREAM), b""
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect((self.cluster.addresses[front], PORT))

    def run(self):
        while not self.registers.ending:
            name = self.random.choice(self.registers.names)
            self.do(name, self.random.choice(("read", "write", "compare")))
            if self.random.random() < 0.02:
                self.leave()
            time.sleep(self.random.uniform(0, 0.04))
        self.close()

    def leave(self):
        self.close()
        self.turn += self.random.randrange(1, len(self.fronts))

    def do(self, name, what):
        start, key, op = now(), name.encode(), dict(client=self.number)
        if what != "read":
            self.written += 1
            op["value"] = f"{self.number}.{self.written}"
            op["expected"] = self.known.get(name, 0) if what == "compare" else ANY
        try:
            if not self.sock:
                self.connect()      # nothing was asked before
        except OSError as e:
            return self.failed(e)
        try:
            answer = self.read(key) if what == "read" else self.write(key, op)
        except (OSError, AssertionError) as e:
            self.failed(e)
            answer = None
        return self.registers.took(name, self.of(name, start, now(), op, answer))

    def failed(self, e):
        what = str(e)[:50] or type(e).__name__
        self.errors[what] = self.errors.get(what, 0) + 1
        self.leave()

    def write(self, key, op):
        line = self.ask(b"EVAL", WRITE, b"2", key, key + b".at", op["value"].encode(), b"%d" % op["expected"])
        if not line.startswith(b":"):
            self.failed(line.decode())
            return REFUSED
        return int(line[1:])

    def read(self, key):
        if self.ask(b"MGET", key, key + b".at") != b"*2":
            raise AssertionError("no answer to a read")
        return self.bulk(), int(self.bulk() or 0)

    def of(self, name, start, end, op, answer):
        """What is known of it; None: a read that was not answered says nothing."""
        if "value" not in op:
            if answer is None:
                return None
            value, at = answer
            self.known[name] = at
            return Op(op["client"], start, end, DONE, at, prefix=name, items={name: (value.decode(), at)} if at else {})
        outcome = UNKNOWN if answer is None else FAILED if answer == REFUSED else CONFLICT if answer < 0 else DONE
        if outcome == DONE:
            self.known[name] = answer
        return Op(op["client"], start, end, outcome, answer if outcome == DONE else None, keys=[Key(name, "put", op["expected"], op["value"])])


class Registers:
    """    with Registers(cluster, seed) as registers:
               ...
           registers.check()"""

    def __init__(self, cluster, seed, clients=5, registers=3):
        self.cluster, self.seed, self.ending, self.lock = cluster, seed, False, threading.Lock()
        self.names = [f"r{seed}.{i}." for i in range(registers)]    # nobody's name begins another's
        self.ops = {name: [] for name in self.names}
        self.clients = [RegisterClient(self, i) for i in range(clients)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *exc):
        self.ending = True
        for client in self.clients:
            client.join(3 * PATIENCE_S)
            assert not client.is_alive()

    def took(self, name, op):
        with self.lock:
            if op:
                self.ops[name].append(op)

    def answered(self, since):
        """How many writes that began after this moment were answered."""
        with self.lock:
            return sum(o.start > since and o.outcome == DONE and o.keys is not None for ops in self.ops.values() for o in ops)

    def check(self):
        """All are linearizable; how many operations, and how many of unknown outcome."""
        last = RegisterClient(self, len(self.clients))
        for name in self.names:
            last.do(name, "read")       # what is there at the end is part of it
        last.close()
        assert not last.errors, last.errors
        for name, ops in self.ops.items():
            problem = judge(ops, revision=0, items={})
            assert not problem, f"register {name}: {problem}"
        every = [o for ops in self.ops.values() for o in ops]
        return len(every), sum(o.outcome == UNKNOWN for o in every)
