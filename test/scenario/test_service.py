"""The unit file and what the supervisor tells a service manager. Where systemd is not process 1, manager.py stands in for it: what that
does not enforce is printed, and test/package has systemd itself enforce it."""
import os
import re
import resource
import signal
import socket
import subprocess
import time

import pytest

from holdfast import BINARY, PATIENCE, TOP, sample, until
from manager import IGNORED, RLIMIT_NICE, Manager, read_unit

UNIT = f"{TOP}/packaging/debian/holdfast.service"


@pytest.fixture
def service(site):
    """service(config, port, **settings of the unit) -> a Manager whose service is ready, and a Node to ask it."""
    made = []

    def go(config, port, **instead):
        node = site.node(config, port, start=False)
        places = {"/usr/bin/holdfast": BINARY, "/etc/holdfast/holdfast.conf": node.file, "/var/lib/holdfast": node.state}
        made.append(Manager(site, UNIT, places, **instead))
        ignored = [name for name in read_unit(UNIT) if IGNORED.match(name)]
        site.report(f"manager.py stands in for systemd: {len(ignored)} settings of the unit are not enforced (mounts, filters of system calls)")
        made[-1].start()
        until(lambda: (node.status(check=False) or {}).get("services"), 20, "the node to answer")
        return made[-1], node
    yield go
    for manager in made:
        manager.close()


def test_what_a_service_manager_is_told(site, service):
    backend = site.backend()
    port = site.port()
    manager, node = service(sample(port, [backend], more="").replace("first-byte = 2s", "first-byte = 2s  drain = 100s"), port)
    node.await_all_healthy()
    pid, load = manager.main.pid, site.load(port, think_us=5000, connections=8)
    assert node.pid("supervisor") == pid
    assert manager.reload().returncode == 0
    node.command("upgrade", seconds=60)
    upgraded = time.monotonic()
    assert node.pid("supervisor") == pid
    until(lambda: len(manager.heard("WATCHDOG", upgraded)) >= 3, 20, "the upgraded supervisor to feed the watchdog")
    load.carry(100)
    assert load.failed(load.stop()) == 0
    with socket.create_connection(("127.0.0.1", port), 10 * PATIENCE) as tunnel:
        tunnel.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        assert b" 101 " in tunnel.recv(4096)
        manager.begin_stop()
        until(lambda: manager.heard("STOPPING"), 10, "STOPPING=1")
        until(lambda: manager.heard("EXTEND_TIMEOUT_USEC"), 10, "to be asked for more time")
        assert [100e6 < int(t) < 130e6 for t in manager.heard("EXTEND_TIMEOUT_USEC")] == [True]
    assert manager.stop() == "exited 0"
    assert manager.starts == 1 and manager.heard("READY")
    assert manager.strangers == 0, "somebody else than the main process notified"


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL], ids=["hangs", "dies"])
def test_a_supervisor_that_fails_is_started_again(site, service, how):
    backend = site.backend()
    port = site.port()
    manager, node = service(sample(port, [backend]), port, WatchdogSec=4, RestartSec=0.1)
    node.await_all_healthy()
    pid, began = manager.main.pid, time.monotonic()
    os.kill(pid, how)
    until(lambda: manager.starts == 2 and manager.ready and manager.heard("WATCHDOG", began + 5 * (how == signal.SIGSTOP)), 30,
          "another supervisor")
    assert any("watchdog" in line for at, line in manager.said) == (how == signal.SIGSTOP)
    node.await_all_healthy()
    assert node.pid("supervisor") == manager.main.pid != pid
    assert manager.stop() == "exited 0"


def test_etcd_may_be_favoured(site, service):
    """Whoever the service starts may go down to the nice value that docs/processes.md promises, without a capability too."""
    port = site.port()
    manager, _ = service(sample(port, [site.backend()]), port)
    with open(f"/proc/{manager.main.pid}/limits") as f:
        [(soft, hard)] = re.findall(r"Max nice priority +(\d+) +(\d+)", f.read())
    [wanted] = [value for limit, value in manager.limits() if limit == RLIMIT_NICE]
    may = subprocess.run(["prlimit", f"--nice={wanted}", "true"], stderr=subprocess.DEVNULL).returncode == 0
    least = wanted if may else min(wanted, resource.getrlimit(RLIMIT_NICE)[1])
    assert (wanted, int(soft), int(hard)) == (31, least, least)
    assert manager.stop() == "exited 0"


def test_the_unit_is_hardened(site):
    """By systemd's own measure: 10 is no protection at all, below 4 is what it calls OK."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT], capture_output=True, text=True)
    [score] = re.findall(r"Overall exposure level for holdfast.service: ([\d.]+)", done.stdout)
    site.report(f"systemd-analyze security --offline=true: {score}")
    assert float(score) < 4.0
    with open(f"{TOP}/docs/packages.md") as f:
        assert f"**{score}**" in f.read(), "docs/packages.md tells another score"
