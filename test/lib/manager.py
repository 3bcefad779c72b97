"""manager: stands in for systemd where it is not process 1: starts what a unit file says, and speaks sd_notify(3) with it.

It does what a unit's [Service] asks for that holdfast's depends on: Type=notify, ExecStart, ExecReload, WatchdogSec, Restart, RestartSec,
TimeoutStartSec, TimeoutStopSec (and EXTEND_TIMEOUT_USEC), KillMode=mixed, EnvironmentFile, LimitNOFILE, LimitRTPRIO, LimitNICE, UMask, and as
root CapabilityBoundingSet and NoNewPrivileges. It does not do what takes mounts, namespaces and filters of system calls:
`IGNORED` names that, and test/package has it done by the real one.

    manager = Manager(site, UNIT, {"/usr/bin/holdfast": BINARY, ...})
    manager.start()                     # returns when the service has said READY=1
    manager.reload()
    manager.stop()                      # how it ended: "exited 0", "killed by 9", "time-out"

Messages are taken from the main process alone (NotifyAccess=main), by the credentials that the kernel adds.
"""
import ctypes
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

from holdfast import PATIENCE, until

IGNORED = re.compile(r"Protect|Private|Restrict(?!$)|System|Memory|Lock|OOM|\w+Directory|ReadWritePaths|Ambient")
KNOWN = {"Type", "EnvironmentFile", "ExecStart", "ExecReload", "Restart", "RestartSec", "WatchdogSec", "TimeoutStartSec", "KillMode",
         "TimeoutStopSec", "LimitNOFILE", "LimitRTPRIO", "LimitNICE", "UMask", "CapabilityBoundingSet", "NoNewPrivileges"}
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
                "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
                "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"]
LAST_CAPABILITY = 40
RLIMIT_NICE = 13        # the module has no name for it
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
libc = ctypes.CDLL(None, use_errno=True)


def read_unit(path):
    """{name: [values]} of [Service]."""
    section, found = None, {}
    with open(path) as f:
        for line in re.sub(r"\\\n", " ", f.read()).splitlines():
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Service]" and line and line[0] not in "#;":
                name, _, value = line.partition("=")
                found.setdefault(name, []).append(value)
    return found


class Manager:
    def __init__(self, site, unit, places, **instead):
        """places: what stands in for paths of the unit; instead: other values of its settings, as a drop-in would give."""
        self.site, self.places, self.unit = site, places, read_unit(unit)
        unknown = [name for name in self.unit if name not in KNOWN and not IGNORED.match(name)]
        assert not unknown, f"{unit}: this stand-in does not know {unknown}"
        self.unit.update({name: [str(value)] for name, value in instead.items()})
        assert (self.one("Type"), self.one("KillMode")) == ("notify", "mixed")
        self.said, self.strangers, self.starts, self.end_of_main = [], 0, 0, None
        self.main, self.ending, self.extended, self.fed = None, False, 0, 0
        self.at, self.errors = site.path("notify"), site.path("service.err")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(self.at)
        self.socket.settimeout(0.05)
        self.wanted = threading.Event()
        # One thread starts, hears and watches: who dies with its parent (PDEATHSIG) dies with the thread that started it.
        self.thread = threading.Thread(target=self._manage, daemon=True)

    def one(self, name, otherwise=None):
        return self.unit.get(name, [otherwise])[-1]

    def seconds(self, name):
        return float(self.one(name)) * PATIENCE

    def words(self, name):
        """A command of the unit: the stand-ins for its paths, and variables as words."""
        values = {"HOLDFAST_OPTIONS": ""}
        words = [w for part in self.one(name).split() for w in ([values[part[1:]]] if part.startswith("$") else [part]) if w]
        return [self.places.get(word, word) for word in words]

    # --- the main process ---

    def limits(self):
        """(what, how much) of the unit. A nice value has a sign, and the kernel counts it from 20 down."""
        nice = self.one("LimitNICE")
        assert nice[0] in "+-", "without a sign it would be the kernel's own figure"
        return [(resource.RLIMIT_NOFILE, int(self.one("LimitNOFILE"))), (resource.RLIMIT_RTPRIO, int(self.one("LimitRTPRIO"))),
                (RLIMIT_NICE, 20 - int(nice))]

    def _limits(self):
        for limit, value in self.limits():
            try:
                resource.setrlimit(limit, (value, value))
            except (ValueError, PermissionError):       # as close as may be, as systemd does
                least = min(value, resource.getrlimit(limit)[1])
                resource.setrlimit(limit, (least, least))
        os.umask(int(self.one("UMask"), 8))
        if os.geteuid() == 0:
            kept = {CAPABILITIES.index(c.removeprefix("CAP_")) for line in self.unit["CapabilityBoundingSet"] for c in line.split()}
            for capability in set(range(LAST_CAPABILITY + 1)) - kept:
                libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.setpgid(0, 0)
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)

    def _launch(self):
        self.starts += 1
        self.ready, self.extended, self.fed = False, 0, time.monotonic()
        environment = {**os.environ, "NOTIFY_SOCKET": self.at, "INVOCATION_ID": f"test{os.getpid()}-{self.starts}",
                       "WATCHDOG_USEC": str(int(self.seconds("WatchdogSec") * 1e6))}
        with open(self.errors, "ab") as err:
            self.main = subprocess.Popen(self.words("ExecStart"), stdin=subprocess.DEVNULL, stdout=err, stderr=err, env=environment,
                                         preexec_fn=self._limits)

    def _hear(self):
        try:
            data, extra, _, _ = self.socket.recvmsg(4096, 1024)
        except socket.timeout:
            return
        except OSError:
            return
        pids = [struct.unpack("3i", part)[0] for level, kind, part in extra if kind == socket.SCM_CREDENTIALS]
        if pids != [self.main.pid]:
            self.strangers += 1
            return
        for line in data.decode().splitlines():
            self.said.append((time.monotonic(), line))
            name, _, value = line.partition("=")
            if name == "READY":
                self.ready = True
            elif name == "WATCHDOG":
                self.fed = time.monotonic()
            elif name == "EXTEND_TIMEOUT_USEC":
                self.extended = time.monotonic() + int(value) / 1e6 * PATIENCE

    def _end_all(self):
        """SIGKILL to what is left of the service: mixed."""
        mark = f"INVOCATION_ID=test{os.getpid()}-{self.starts}".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    if mark in f.read().split(b"\0"):
                        os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass    # it has just ended, or is nobody's business

    def _manage(self):
        self._launch()
        while True:
            self._hear()
            code = self.main.poll()
            if code is not None:
                self.end_of_main = f"exited {code}" if code >= 0 else f"killed by {-code}"
                self._end_all()
                if self.ending or self.one("Restart") != "on-failure" or code == 0:
                    return
                time.sleep(float(self.one("RestartSec")))
                self._launch()
            elif self.ready and not self.ending and time.monotonic() > self.fed + self.seconds("WatchdogSec"):
                self.said.append((time.monotonic(), "(the watchdog's time is over)"))
                self.main.send_signal(signal.SIGABRT)
                self.main.send_signal(signal.SIGKILL)   # systemd waits for the core first; here nobody wants one
            elif self.ending and time.monotonic() > max(self.deadline, self.extended):
                self.end_of_main = "time-out"
                self._end_all()
                self.main.wait()
                return

    # --- what a test asks for ---

    def start(self):
        self.thread.start()
        until(lambda: self.starts and getattr(self, "ready", False), self.seconds("TimeoutStartSec") / PATIENCE, f"READY=1 ({self.errors})")
        return self

    def reload(self):
        return subprocess.run(self.words("ExecReload"), capture_output=True, text=True, timeout=60 * PATIENCE)

    def begin_stop(self):
        self.deadline = time.monotonic() + self.seconds("TimeoutStopSec")
        self.ending = True
        self.main.terminate()

    def stop(self):
        if not self.ending:
            self.begin_stop()
        self.thread.join()
        return self.end_of_main

    def close(self):
        if self.main and self.thread.is_alive():
            self.deadline, self.extended, self.ending = 0, 0, True
            self.thread.join()
        self.socket.close()

    def heard(self, name, since=0):
        """The values of that name, as they came."""
        return [line.partition("=")[2] for at, line in list(self.said) if at >= since and line.partition("=")[0] == name]
