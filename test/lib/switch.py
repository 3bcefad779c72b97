"""switch: a network that a test can cut. A program that lives in a network namespace of its own and is asked over a socket.

In that namespace is one bridge. `join` makes a namespace for a machine and plugs it into the bridge by a veth pair; nft rules
in the bridge's forward chain then decide what passes from which machine to which: nothing that a machine does, has or sees
tells it that it was cut off. `Net` in cluster.py is the other end.

Nothing here has a name outside: namespaces live as long as the processes in them. This program ends with its socket, whose other end
dies with the test run, and takes with it whatever still runs in the namespaces that it made.

As root the namespaces belong to the machine; otherwise they belong to a user namespace, in which this program is root.

    switch.py FD    FD is a SOCK_SEQPACKET socket: a JSON object in, a JSON object out

| do      | with                         | answers with |
| join    | name, address, mac, neighbours ({address: mac}) | pid: of a process in the new namespace |
| rules   | text: nft commands           | before, after: CLOCK_BOOTTIME in ns around the moment from which they hold |
| socket  | pid (none: of the bridge), family, type, protocol | a descriptor |
"""

import array
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time

BRIDGE = "bridge"
PORT = "p-"  # + name: a machine's end at the bridge
SETUP = """
add table bridge net
add chain bridge net forward { type filter hook forward priority 0; policy accept; }
"""

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, CLONE_NEWNET = 1, 0x40000000


class Refused(Exception):
    """What was asked could not be done; the text goes back."""


def run(command, text=""):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"{' '.join(command)}: {done.stderr.strip()}")


class Rules:
    """libnftables, in this process: starting nft for each cut would blur the moment of it by milliseconds."""

    def __init__(self):
        self.lib = ctypes.CDLL("libnftables.so.1")
        self.lib.nft_ctx_new.restype = ctypes.c_void_p
        self.lib.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p(self.lib.nft_ctx_new(0))
        self.lib.nft_ctx_buffer_error(self.context)
        self.apply(SETUP)

    def apply(self, text):
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        failed = self.lib.nft_run_cmd_from_buffer(self.context, text.encode())
        after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if failed:
            raise Refused(self.lib.nft_ctx_get_error_buffer(self.context).decode() + text)
        return {"before": before, "after": after}


def hold_namespace():
    """A child that does nothing but to be in a network namespace of its own; its pid."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.close(ready)
        if libc.unshare(CLONE_NEWNET) == 0:
            os.write(tell, b"+")
        os.close(tell)
        while True:
            signal.pause()
    os.close(tell)
    made = os.read(ready, 1)
    os.close(ready)
    if not made:
        raise Refused("no permission for another network namespace")
    return pid


def join(name, address, mac, neighbours):
    pid = hold_namespace()
    # Neighbours are known for good: a one-way cut stops what is sent that way, and not the other way's address resolution.
    inside = ["link set lo up", f"link set eth0 address {mac}", "link set eth0 addrgenmode none up", f"addr add {address}/24 dev eth0",
              *(f"neigh add {a} lladdr {m} dev eth0 nud permanent" for a, m in neighbours.items() if a != address)]
    run(["ip", "link", "add", PORT + name, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"], "\n".join(inside) + "\n")
    run(["ip", "link", "set", PORT + name, "master", BRIDGE, "addrgenmode", "none", "up"])
    return {"pid": pid}


def open_socket(channel, pid, family, kind, protocol):
    """In another namespace it is opened by a child, which sends it, so that this program stays where it is."""
    child = os.fork() if pid else 0
    if child:
        return os.waitpid(child, 0)
    try:
        if pid:
            with open(f"/proc/{pid}/ns/net") as f:
                if libc.setns(f.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
        with socket.socket(family, kind, protocol) as s:
            channel.sendmsg([b"{}"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
    except OSError as e:
        answer(channel, {"error": str(e)})
    if pid:
        os._exit(0)


def namespace_of(pid):
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None  # it has just ended


def end_all(made):
    """Until nobody is left in these namespaces: a process may have started another meanwhile."""
    while left := [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and namespace_of(pid) in made and not zombie(pid)]:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)


def zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def answer(channel, what):
    channel.send(json.dumps(what).encode())


def serve(channel, rules, made):
    while asked := channel.recv(1 << 20):
        asked = json.loads(asked)
        what = asked.pop("do")
        try:
            if what == "socket":
                open_socket(channel, asked["pid"], asked["family"], asked["type"], asked["protocol"])
            elif what == "rules":
                answer(channel, rules.apply(asked["text"]))
            else:
                joined = join(**asked)
                made.add(namespace_of(joined["pid"]))
                answer(channel, joined)
        except Refused as e:
            answer(channel, {"error": str(e)})


def main():
    channel, made = socket.socket(fileno=int(sys.argv[1])), set()
    libc.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)  # the end of the socket tells as well, and leaves time to clean up
    run(["ip", "-batch", "-"], f"link set lo up\nlink add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n"
        f"link set {BRIDGE} addrgenmode none\nlink set {BRIDGE} up\n")
    rules = Rules()
    answer(channel, {"pid": os.getpid()})
    try:
        serve(channel, rules, made)
    finally:  # a reset, too, is how a test run may end
        end_all(made)


if __name__ == "__main__":
    main()
