"""What people and other programs do to a service's address where it is: rules flushed, the address deleted, the interface down and up, a machine
that takes the same address. It must come back by itself, without a failover, and nobody else may answer meanwhile but he who should not.
"""
import json
import subprocess
import time

import pytest
from claims import Claims
from cluster import FLOATING, address, mac, now
from holdfast import PATIENCE, until
from prober import Prober
from roles import PORT, Roles

VIP = address(FLOATING)


@pytest.fixture
def cluster(site):
    with Roles(site, "abc", sync=1, more=f"vip = {VIP}/24\n  flaps = 0") as made:
        made.begin()
        made.observer = made.stranger("observer")
        made.rival = made.stranger("rival")
        yield made


def at(machine, *words, check=True):
    return subprocess.run([*machine.prefix, *words], check=check, capture_output=True, text=True, timeout=20).stdout


def has_address(machine):
    shown = json.loads(at(machine, "ip", "-j", "addr", "show", "dev", "eth0"))
    return VIP in {a.get("local") for i in shown for a in i["addr_info"]}


def guards(machine):
    """The tables that guard the address, whether each admits it."""
    tables = json.loads(at(machine, "nft", "-j", "list", "ruleset"))["nftables"]
    return {(t["set"]["family"], bool(t["set"].get("elem"))) for t in tables if "set" in t and t["set"]["table"].startswith("holdfast_vip_")}


WHOLE = {("inet", True), ("arp", True)}


def flush(machine):
    at(machine, "nft", "flush", "ruleset")


def delete(machine):
    at(machine, "ip", "addr", "del", f"{VIP}/32", "dev", "eth0")


def down_and_up(machine):
    at(machine, "sh", "-c", "ip link set eth0 down; ip link set eth0 up")


HANDS = {"rules flushed": flush, "address deleted": delete, "interface down and up": down_and_up}


def test_it_comes_back_by_itself(cluster, site):
    was = cluster.primary()
    machine = cluster[was].machine
    until(lambda: guards(machine) == WHOLE and has_address(machine), 10, "the address and its rules")
    machines = {n: cluster[n].machine for n in cluster.names}
    claims, prober = Claims(site, cluster.observer, VIP, PORT, machines, mac), Prober(site, cluster.clients.prefix, VIP, PORT)
    for what, hand in HANDS.items():
        begin = now()
        until(lambda: prober.again(begin), 20, "writes through the address")
        time.sleep(0.2)
        begin = now()
        hand(machine)
        done = now()
        until(lambda: guards(machine) == WHOLE and has_address(machine), 10, f"the address and its rules after: {what}")
        until(lambda: prober.again(done), 20, "writes through the address")
        time.sleep(0.5)
        silence, _ = prober.longest(begin, now())
        site.report(f"{what}: no write was accepted for {silence / 1e6:.0f} ms")
        assert cluster.primary() == was and not cluster.events("role-promoted", since=begin), cluster.story(begin)
        assert silence < 2e9 * PATIENCE
    assert [run[0] for run in claims.owners()] == [was], claims.owners()

    # Where it is not, flushed rules are made before it is taken
    other = cluster.backups(was)[0]
    flush(cluster[other].machine)
    cluster[was].command("switchover", "cache", "to", other)
    begin = now()
    until(lambda: guards(cluster[other].machine) == WHOLE, 10, "the rules at the new owner")
    until(lambda: prober.again(begin), 20, "writes through the address")
    assert [run[0] for run in claims.owners()] == [was, other], claims.owners()
    prober.stop()
    claims.stop()


def test_another_machine_that_takes_it_is_told_of_and_answered(cluster, site):
    was = cluster.primary()
    prober = Prober(site, cluster.clients.prefix, VIP, PORT)
    begin = now()
    until(lambda: prober.again(begin), 20, "writes through the address")
    at(cluster.rival, "ip", "addr", "add", f"{VIP}/24", "dev", "eth0")
    claimed = now()
    # it says so as a machine that begins to use an address does
    at(cluster.rival, "python3", "-c", f"""
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0x0806))
me, ip = s.getsockname()[4], socket.inet_aton("{VIP}")
s.send(b"\\xff" * 6 + me + b"\\x08\\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + me + ip + bytes(6) + ip)
""")
    rival = mac(cluster.rival.n)
    until(lambda: f"somebody else says that its address is his: {rival}" in open(cluster[was].errors).read(), 10, "the log to tell")
    until(lambda: prober.again(claimed + 10**9), 20, "writes through the address after its owner has answered")
    silence, _ = prober.longest(claimed, now())
    site.report(f"another machine claims the address: no write was accepted for {silence / 1e6:.0f} ms")
    at(cluster.rival, "ip", "addr", "del", f"{VIP}/24", "dev", "eth0")
    assert cluster.primary() == was
    prober.stop()
