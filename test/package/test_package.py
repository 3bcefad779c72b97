"""From the package to a working cluster by the README's words alone, and from version to version under load.

The machines are bare Debian roots with systemd as process 1, three nodes, two backends and a client at one network. The tests of
this file are one story: each goes on where the one before it ended.
"""
import hashlib
import os
import re
import shutil
import subprocess

import pytest

from holdfast import PATIENCE, TOOLS, TOP, Load, until
from installed import ADDRESSES, PORT


def versions(nodes):
    return {node.name: nodes.version(node) for node in nodes}


def conffiles(node):
    return node.run("sha256sum /etc/holdfast/holdfast.conf /etc/default/holdfast /var/lib/holdfast/cluster.key").stdout


# --- installed ---

def test_a_cluster_by_the_words_of_the_readme(installed, packages):
    installed.follow()
    installed.agree()
    for node in installed:
        installed.serving(node)
        node.run(installed.any)
        assert node.systemctl("is-enabled", "holdfast").strip() == "enabled"
    assert versions(installed) == dict.fromkeys("abc", packages.old[1])
    load = Load(installed.site, PORT, "first", host=ADDRESSES["b"], prefix=installed.clients.prefix, connections=4)
    load.carry(500)
    total = load.stop()
    assert Load.failed(total) == 0 and total["requests"] >= 500, total


def test_who_runs_as_whom(installed):
    """What speaks to the network is not root, and what the unprivileged processes write is theirs."""
    for node in installed:
        users = owners(node)
        assert users.pop("holdfast") == users.pop("holdfast-agent") == "root", users
        assert set(users.values()) == {"holdfast"} and {"holdfast-ctrl", "holdfast-proxy"} <= set(users), users
        assert node.run("stat -c '%U %a' /var/lib/holdfast /var/lib/holdfast/cluster.key").stdout.split() == \
            ["holdfast", "750", "holdfast", "600"]
        assert "CAP_DAC_READ_SEARCH" not in node.log(), "the key and the configuration can be read without a privilege"
        assert not re.search(r"(?i)does not let|without Landlock|no filter", node.log()), "the unit leaves each process what its sandbox takes"


def owners(node):
    """{name of a process of the unit: its user}"""
    found = {}
    for pid in node.run("cat /sys/fs/cgroup/system.slice/holdfast.service/cgroup.procs").stdout.split():
        comm, uid = node.run(f"cat /proc/{pid}/comm; awk '/^Uid:/ {{ print $3 }}' /proc/{pid}/status").stdout.split()
        found[comm] = node.run(f"getent passwd {uid} | cut -d: -f1").stdout.strip()
    return found


def test_the_keys_rotate(installed):
    before = {node.name: node.run("holdfast key show /var/lib/holdfast/cluster.key").stdout for node in installed}
    installed["b"].run("holdfast key rotate --wait 60")
    after = {node.name: node.run("holdfast key show /var/lib/holdfast/cluster.key").stdout for node in installed}
    assert len(set(after.values())) == 1 and after["a"] != before["a"]
    installed.agree()


def test_a_reload_by_the_service_manager(installed):
    node = installed["a"]
    good = node.run("cat /etc/holdfast/holdfast.conf").stdout
    pid, load = node.main_pid(), installed.busy()
    node.write("/etc/holdfast/holdfast.conf", good.replace("backend 10.0.0.12:3000", "backend 10.0.0.12:3000 { weight = 3 }"))
    node.run("systemctl reload holdfast")
    node.write("/etc/holdfast/holdfast.conf", good + "nonsense\n")
    refused = node.run("systemctl reload holdfast", check=False)
    assert refused.returncode != 0 and "nonsense" in node.log()
    node.write("/etc/holdfast/holdfast.conf", good)
    node.run("systemctl reload holdfast")
    load.carry("a")
    load.end()
    assert node.main_pid() == pid and node.systemctl("is-active", "holdfast").strip() == "active"


# --- from version to version ---

def test_upgraded_node_by_node_under_load(installed, packages):
    kept = {node.name: conffiles(node) for node in installed}
    pids = {node.name: node.main_pid() for node in installed}
    load = installed.busy()
    for node in installed:
        load.carry(node.name)
        installed.copy(node, packages.new[0])
        said = node.run(f"cd /srv\n{re.sub('apt install', 'apt-get install -y', installed.upgrade)}", seconds=300).stdout
        assert packages.new[1] in said
        assert installed.version(node) == packages.new[1]
        load.carry(node.name)
        installed.agree()
    figures = load.end()
    assert versions(installed) == dict.fromkeys("abc", packages.new[1])
    assert {node.name: conffiles(node) for node in installed} == kept
    assert {node.name: node.main_pid() for node in installed} == pids
    for name, (total, cut) in figures.items():
        installed.report(f"{name} upgraded under load: {total['requests']} requests, 0 failed; {cut['opened']} tunnels, 0 cut, "
                         f"silent for {cut['max_gap_us'] / 1000:.0f} ms at most")


def broken(packages, tmp_path, how):
    """The new package with another program in it, as a version of its own."""
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", packages.new[0], tree], check=True)
    program = tree / "usr/bin/holdfast"
    if how == "no program at all":
        program.write_text("#!/nonexistent\n")
    else:
        shutil.copy(os.path.join(TOOLS, "faulty"), program)
        (tree / "usr/bin/fault").write_text(how)
    program.chmod(0o755)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {packages.new[1]}.broken", control.read_text()))
    path = tmp_path / f"holdfast_{packages.new[1]}.broken_amd64.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, path], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("how", ["crashes", "no program at all"])
def test_a_broken_version_leaves_the_old_one_serving(installed, packages, tmp_path, how):
    node, load = installed["b"], installed.busy()
    pid = node.main_pid()
    refused = installed.install(node, broken(packages, tmp_path, how), check=False)
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0 and f"goes on with version {packages.new[1]}" in said, said
    load.carry("b")
    # The way back that the message names.
    installed.install(node, packages.new[0], check=False)
    node.run("cd /srv && apt-get install -y --allow-downgrades ./holdfast_*.deb", seconds=300)
    assert "install ok installed" in node.run("dpkg -s holdfast").stdout
    assert installed.version(node) == packages.new[1]
    load.carry("b")
    load.end()
    assert node.main_pid() == pid


def test_a_downgrade(installed, packages):
    node, load = installed["c"], installed.busy()
    pid = node.main_pid()
    installed.copy(node, packages.old[0])
    node.run("cd /srv && apt-get install -y --allow-downgrades ./holdfast_*.deb", seconds=300)
    assert installed.version(node) == packages.old[1] and node.main_pid() == pid
    load.carry("c")
    load.end()


# --- watched ---

def test_what_dies_or_hangs_is_started_again(installed):
    node = installed["c"]
    node.run("mkdir -p /etc/systemd/system/holdfast.service.d; printf '[Service]\\nWatchdogSec=5\\n' "
             ">/etc/systemd/system/holdfast.service.d/test.conf; systemctl daemon-reload; systemctl restart holdfast")
    for signal in "KILL", "STOP":
        pid = node.main_pid()
        node.run(f"kill -{signal} {pid}")
        until(lambda: node.main_pid() not in (0, pid), 60, f"another supervisor after SIG{signal}")
        installed.serving(node)
        installed.agree()
    assert "Watchdog timeout" in node.run("journalctl -q --no-pager -o cat -u holdfast").stdout
    assert node.systemctl("show", "--value", "--property=NRestarts", "holdfast").strip() == "2"


def test_stopping_drains_for_as_long_as_the_configuration_says(installed):
    """Longer than the unit's own limit: the supervisor asks for the time that it needs."""
    node = installed["c"]
    good = node.run("cat /etc/holdfast/holdfast.conf").stdout
    node.write("/etc/holdfast/holdfast.conf", good.replace("check  {", "timeout { drain = 12s }\n  check  {"))
    node.run("printf '[Service]\\nTimeoutStopSec=3\\n' >/etc/systemd/system/holdfast.service.d/test.conf; systemctl daemon-reload; "
             "systemctl restart holdfast")
    installed.serving(node)
    with installed.clients.socket(kind=1) as idle:
        idle.settimeout(30 * PATIENCE)
        idle.connect((ADDRESSES["c"], PORT))
        idle.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        assert b"101" in idle.recv(4096)
        node.run("systemctl --no-block stop holdfast")
        until(lambda: "deactivating" in node.systemctl("is-active", "holdfast"), 10, "the unit to stop")
        while idle.recv(4096):
            pass
    until(lambda: node.systemctl("is-active", "holdfast").strip() in ("inactive", "failed"), 30, "the unit to have stopped")
    assert node.systemctl("show", "--value", "--property=Result", "holdfast").strip() == "success"
    node.run("rm -r /etc/systemd/system/holdfast.service.d; systemctl daemon-reload")
    node.write("/etc/holdfast/holdfast.conf", good)
    node.run("systemctl start holdfast")
    installed.serving(node)


def test_hardening(installed):
    said = installed["a"].run("systemd-analyze security --no-pager holdfast.service").stdout
    [score] = re.findall(r"Overall exposure level for holdfast.service: ([\d.]+)", said)
    installed.report(f"systemd-analyze security: {score}")
    assert float(score) < 4.0
    assert f"**{score}**" in open(f"{TOP}/docs/packages.md").read()


def test_the_nodes_decide_together(installed):
    """Last, since from here on a node's own file counts for little. etcd is that of Debian's package, started by the agent below the unit's hardening;
    a configuration is applied once, for all."""
    for node in installed:
        until(lambda: node.run("holdfast coordinator", check=False).returncode == 0, 60, f"{node.name} to reach the coordinator")
    until(lambda: owners(installed["c"]).get("etcd") == "holdfast", 60, "etcd to run on the third voter too")
    installed["b"].write("/etc/holdfast/next.conf", installed.config.replace("backend 10.0.0.12:3000", "backend 10.0.0.12:3000 { weight = 2 }"))
    installed["b"].run("holdfast apply --yes /etc/holdfast/next.conf")
    for node in installed:
        until(lambda: [i["weight"] for s in installed.ask(node, "status")["services"] for i in s["instances"]] == [1, 2], 20,
              f"{node.name} to have adopted the version")


# --- gone ---

def test_removed_and_purged(installed):
    node = installed["a"]
    node.run("apt-get remove -y holdfast", seconds=300)
    assert node.main_pid() == 0 and not node.run("pidof holdfast", check=False).stdout.strip()
    node.run("test -f /etc/holdfast/holdfast.conf -a -f /var/lib/holdfast/cluster.key -a ! -e /usr/bin/holdfast")
    node.run("apt-get purge -y holdfast", seconds=300)
    left = node.run("find / -xdev -name '*holdfast*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/srv/*' "
                    "-not -path '/var/log/journal/*' -not -path '/tmp/*'").stdout.split()
    assert left == [], left
    node.run("getent passwd holdfast")      # users stay, as Debian's do
    installed.serving(installed["b"])


# --- the package itself ---

def test_the_same_files_give_the_same_bytes(packages, tmp_path):
    subprocess.run([f"{TOP}/tools/deb.sh", "--out", tmp_path], check=True, capture_output=True, umask=0o077,
                   env={**os.environ, "TZ": "Pacific/Auckland", "LANG": "de_DE.UTF-8", "SOURCE_DATE_EPOCH": packages.epoch})
    [again] = tmp_path.glob("*.deb")
    digests = [hashlib.sha256(open(p, "rb").read()).hexdigest() for p in (packages.old[0], again)]
    assert digests[0] == digests[1]


def test_lintian_has_nothing_to_say(packages):
    done = subprocess.run(["lintian", "--fail-on=error,warning", "--allow-root", packages.old[0]], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
