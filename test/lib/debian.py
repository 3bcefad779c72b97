"""debian: machines with a Debian of their own, systemd as their process 1, at the network of cluster.py.

A Debian is a copy of one bare root; what changes in it is in memory and gone with the test. Nothing of it is left on the machine that
runs the test: mounts, processes and host name live in namespaces that end with the test run, however that ends.

    net = Net(site)
    a = Debian(site, net, "a", 1, base)             # boots
    a.run("apt-get install -y /tmp/holdfast_0.1.0_amd64.deb")
    a.systemctl("is-active", "holdfast")
    a.end()

systemd here is the real one, of the root itself: units, their hardening, watchdogs and what maintainer scripts ask of it are what
they are on any Debian machine. The kernel, its modules and its clock are those of the machine that runs the test.
"""
import os
import shutil
import subprocess

from holdfast import HERE, PATIENCE, until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Debian:
    def __init__(self, site, net, name, n, base, addresses=()):
        self.name, self.machine = name, net.machine(name, n)
        self.address, self.work = self.machine.address, site.path(f"{name}-debian")
        os.mkdir(self.work)
        for address in addresses:
            subprocess.run([*self.machine.prefix, "ip", "addr", "add", f"{address}/24", "dev", "eth0"], check=True)
        self.said = site.path(f"{name}.boot")
        with open(self.said, "wb") as out:
            self.process = site.process([*self.machine.prefix, os.path.join(HERE, "debian_root.sh"), base, name, self.work],
                                        stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        until(lambda: self.pid() is not None, 20, f"{name} to boot ({self.said})")
        until(lambda: self.systemctl("is-system-running").strip() in ("running", "degraded"), 60, f"systemd of {name} to be up")

    def pid(self):
        """Of its process 1, as we see it; None as long as that is not systemd."""
        assert self.process.running, open(self.said).read()
        for pid in _children(self.process.pid):
            with open(f"/proc/{pid}/comm") as f:
                if f.read().strip() == "systemd":
                    return pid
        return None

    def prefix(self):
        return ["nsenter", f"--target={self.pid()}", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--",
                "chroot", os.path.join(self.work, "root"), "env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8",
                "DEBIAN_FRONTEND=noninteractive", "TERM=dumb"]

    def run(self, script, check=True, seconds=120, **more):
        """Runs these lines in a shell of the machine, as root."""
        done = subprocess.run([*self.prefix(), "sh", "-euc", script], capture_output=True, text=True, timeout=seconds * PATIENCE,
                              **{"stdin": subprocess.DEVNULL, **more})
        if check:
            assert done.returncode == 0, f"{self.name}: {script}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}"
        return done

    def systemctl(self, *words):
        return subprocess.run([*self.prefix(), "systemctl", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=120 * PATIENCE).stdout

    def log(self, unit="holdfast"):
        """What the journal has of a unit."""
        return self.run(f"journalctl --no-pager --quiet --output=cat --unit={unit}", check=False).stdout

    def main_pid(self, unit="holdfast"):
        """As the machine sees it; 0 if it does not run."""
        return int(self.systemctl("show", "--value", "--property=MainPID", unit))

    def put(self, path, into, mode=0o644):
        """A file of ours becomes one of the machine."""
        with open(path, "rb") as f:
            self.write(into, f.read(), mode)

    def write(self, path, content, mode=0o644):
        content = content if isinstance(content, bytes) else content.encode()
        done = subprocess.run([*self.prefix(), "sh", "-euc", f'cat >"{path}"; chmod {mode:o} "{path}"'], input=content,
                              capture_output=True, timeout=60 * PATIENCE)
        assert done.returncode == 0, done.stderr

    def end(self):
        self.process.end()
        shutil.rmtree(self.work, ignore_errors=True)
        _remove_groups(self.name, self.process.pid)


def _children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(child) for child in f.read().split()]
    except OSError:
        return []


def _remove_groups(name, pid):
    """The control groups of a machine that has ended, mounted where nobody else sees it."""
    script = ('d=$(mktemp -d); mount -t cgroup2 cgroup2 "$d"; '
              f'find "$d"/holdfast-{name}-{pid} -depth -type d -exec rmdir {{}} + 2>/dev/null; r=$?; umount "$d"; rmdir "$d"; exit $r')

    def removed():
        subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], capture_output=True)
        listing = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                                  'd=$(mktemp -d); mount -t cgroup2 cgroup2 "$d"; ls "$d"; umount "$d"; rmdir "$d"'],
                                 capture_output=True, text=True).stdout.split()
        return f"holdfast-{name}-{pid}" not in listing

    until(removed, 20, f"the control groups of {name} to be gone")
