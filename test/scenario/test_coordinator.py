"""The managed coordinator among real nodes: it forms, loses members and gets them back, while every request is answered."""

import os
import subprocess
import time

import pytest
from cluster import answered, now
from coordinated import GO, KILL, STOP, Coordinated
from holdfast import until


ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "1"))     # of changes of the key


@pytest.fixture
def three(site):
    with Coordinated(site, "abc") as cluster:
        cluster.start()
        cluster.await_members("abc")
        yield cluster


def test_three_nodes_form_one(site):
    with Coordinated(site, "abc") as cluster:
        cluster.start()
        load = cluster.load("b")
        cluster.await_members("abc")
        assert len(cluster.ids()) == 1 and None not in cluster.ids()
        founders = [name for name, e in cluster.events("coordinator") if e["text"].startswith("founds the coordinator")]
        assert founders == ["a"]  # the first of the file, once
        for name in "bc":
            cluster.await_told("joins the coordinator", name)
        assert answered(load)["requests"]


def test_a_node_that_is_missing_is_waited_for(site):
    """A coordinator is founded when all nodes said that they never had one: not by a part of them."""
    with Coordinated(site, "abc") as cluster:
        for name in "ab":
            cluster[name].start()
        event = cluster.await_told("waits for node c", "a")
        assert event["level"] == "warning"
        assert not [e for _, e in cluster.events("coordinator", by="ab") if "founds" in e["text"]]
        cluster["c"].start()
        cluster.await_members("abc")
        assert len(cluster.ids()) == 1


def test_a_member_killed_comes_back(three):
    load, at = three.load("b"), now()
    leader = three.leader()
    three.etcd(leader).send(KILL)
    three.await_told("its member ended by signal 9", leader, since=at)
    three.await_members("abc")
    assert len(three.ids()) == 1
    answered(load)


def test_a_member_paused_is_replaced_by_nobody(three):
    """Who is silent keeps its place: only a disk that is lost costs it."""
    load, leader, at = three.load("b"), three.leader(), now()
    others = [n for n in "abc" if n != leader]
    three.etcd(leader).send(STOP)
    three.await_told("follows another leader", others, since=at)
    time.sleep(3)
    three.etcd(leader).send(GO)
    three.await_members("abc")
    assert not [e for _, e in three.events("coordinator", since=at) if e["text"].startswith("removes")]
    answered(load)


def test_a_disk_that_is_lost_is_replaced(three):
    load, at = three.load("b"), now()
    before = {m["node"]: m["id"] for m in three["a"].coordinator()["members"]}
    three.wipe("c")
    three.await_agreement({"a": "alive", "b": "alive", "c": "failed"}, by="ab")
    three["c"].start()
    three.await_told("removes the member of c", "ab", since=at)
    three.await_told("joins the coordinator", "c", since=at)
    three.await_members("abc")
    after = {m["node"]: m["id"] for m in three["a"].coordinator()["members"]}
    assert after["c"] != before["c"] and after["a"] == before["a"] and after["b"] == before["b"]
    assert len(three.ids()) == 1
    answered(load)


def test_the_founder_that_lost_its_disk_founds_nothing(three):
    [was] = three.ids()
    at = now()
    three.wipe("a")
    three.await_agreement({"a": "failed", "b": "alive", "c": "alive"}, by="bc")
    three["a"].start()
    three.await_members("abc")
    assert three.ids() == {was}
    assert not [e for _, e in three.events("coordinator", since=at) if "founds the coordinator" in e["text"]]


def test_all_members_down_and_back(three):
    """Nothing that serves waits for the coordinator, and it comes back by itself."""
    load, at = three.load("b"), now()
    for name in "abc":
        three.etcd(name).send(STOP)
    for name in "abc":
        three.await_told("it cannot be reached", name, since=at, seconds=30)
    time.sleep(float(os.environ.get("HOLDFAST_AWAY", "10")))
    for name in "abc":
        three.etcd(name).send(KILL)
    three.await_members("abc")
    assert len(three.ids()) == 1
    answered(load)


def test_a_lost_quorum_is_restored_by_one_command(three):
    load, [was], at = three.load("a"), three.ids(), now()
    for name in "bc":
        three.wipe(name)
    three.await_told("it cannot be reached", "a", since=at, seconds=30)
    for name in "bc":
        three[name].start()
    refused = three["b"].command("coordinator", "restore", "--yes", check=False)
    assert refused.returncode == 1 and "has no data of the coordinator" in refused.stderr
    asked = three["a"].command("coordinator", "restore", check=False)
    assert asked.returncode != 0 and "--yes" in asked.stderr and "lost" in asked.stderr
    three["a"].command("coordinator", "restore", "--yes", seconds=90)
    three.await_members("abc")
    assert three.ids() == {was}
    assert {three[n].coordinator()["generation"] for n in "abc"} == {2}
    again = three["a"].command("coordinator", "restore", "--yes", check=False)
    assert again.returncode == 1 and "nothing is to be restored" in again.stderr
    answered(load, killed=True)


def test_with_no_disk_left_a_backup_is_enough(three, tmp_path):
    load = three.load("a")
    file = str(tmp_path / "backup.json")
    three["b"].command("coordinator", "backup", file)
    revision = three["b"].coordinator()["revision"]
    answered(load)
    for name in "abc":
        three.wipe(name)
    three["c"].start(wait=False)
    three["a"].start()
    three["b"].start()
    # all disks are new: another coordinator is founded, and the backup put in its place
    three.await_members("abc")
    load = three.load("a")
    three["c"].command("coordinator", "restore", "--from", file, "--force", "--yes", seconds=120)
    three.await_members("abc")
    assert len(three.ids()) == 1
    assert min(three[n].coordinator()["revision"] for n in "abc") > revision  # above all that was given out
    answered(load)


def test_it_grows_and_shrinks(site):
    with Coordinated(site, "abc", spare="de") as cluster:
        cluster.start()
        cluster.await_members("abc")
        load, [was] = cluster.load("a"), cluster.ids()
        cluster.configure("abcde")
        for name in "abc":
            cluster[name].command("reload")
        for name in "de":
            cluster[name].start()
        cluster.await_members("abcde", seconds=120)
        assert cluster.ids() == {was}
        cluster.settings = "voters = {b, d, e}"
        cluster.configure("abcde")
        for name in "abcde":
            cluster[name].command("reload")
        cluster.await_members("bde", seconds=120)
        assert cluster.ids() == {was}
        assert not any((cluster[name].coordinator().get("etcd") or {}).get("pid") for name in "ac")
        answered(load)


def test_the_cluster_s_key_is_changed_under_it(site):
    """Certificates grow from the key: members of the old one and of the new one understand each other meanwhile."""
    with Coordinated(site, "abc") as cluster:
        cluster.keys_of_their_own()
        cluster.start()
        cluster.await_members("abc")
        load, [was], at = cluster.load("b"), cluster.ids(), now()
        for number in range(ROUNDS):
            rotated = cluster["a"].command("key", "rotate", seconds=90)
            assert rotated.returncode == 0, rotated.stderr
            cluster.await_members("abc", seconds=90)
            apply(cluster, "abc"[number % 3], number + 1)
            until(lambda: versions(cluster) == [number + 1] * 3, 30)
        # members start anew under the new key alone, so it is that one which counts
        leader = cluster.leader()
        cluster.etcd(leader).send(KILL)
        cluster.await_told("its member ended by signal 9", leader, since=at)
        cluster.await_members("abc", seconds=90)
        assert cluster.ids() == {was}
        answered(load)


def test_five_nodes_form_one(site):
    with Coordinated(site, "abcde") as cluster:
        cluster.start()
        load = cluster.load("a")
        cluster.await_members("abcde", seconds=120)
        assert len(cluster.ids()) == 1
        answered(load)


def versions(cluster):
    """What each node runs; None: it does not answer."""
    return [((cluster.nodes[n].ask("/v1/config") or {}).get("used") or {}).get("version") for n in cluster.names]


def apply(cluster, by, number, everywhere=True):
    """A version that differs from the one before in nothing but a comment. Exit code 1: it is in force, and not all nodes run it."""
    file = cluster.site.path("next.conf")
    with open(cluster.file) as now_, open(file, "w") as next_:
        next_.write(now_.read() + f"# {number}\n")
    done = cluster.apply(by, file, *([] if everywhere else ["--wait", "0"]))
    assert done.returncode == (0 if everywhere else 1), done.stdout + done.stderr
    assert f"version {number} is applied" in done.stdout
    return done.stdout


def fill(disk):
    """Until nothing more goes in; the file that does it."""
    path = os.path.join(disk, "filler")
    with open(path, "wb", buffering=0) as f:
        with pytest.raises(OSError):
            while True:
                f.write(bytes(1 << 20))
        with pytest.raises(OSError):
            while True:
                f.write(bytes(1))
    return path


def test_a_full_disk_stops_one_node_from_following_and_nothing_else(site):
    """The node whose disk is full serves on, and has the version in force when there is room again."""
    with Coordinated(site, "abc") as cluster:
        disk = cluster["c"].state
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m,mode=755", "tmpfs", disk], check=True)
        try:
            cluster.start()
            cluster.await_members("abc")
            load = cluster.load("c")
            apply(cluster, "a", 1)
            until(lambda: versions(cluster) == [1, 1, 1], 20)
            filler, at = fill(disk), now()
            for number in range(2, 12):
                said = apply(cluster, "ab"[number % 2], number, everywhere=False)
            assert "c: version" in said and "No space left on device" in said
            until(lambda: versions(cluster)[:2] == [11, 11], 20)
            assert versions(cluster)[2] in range(1, 12)
            os.unlink(filler)
            until(lambda: versions(cluster) == [11, 11, 11], 60, "the node with room again to follow")
            cluster.await_members("abc")
            assert len(cluster.ids()) == 1
            assert not [e for _, e in cluster.events("coordinator", since=at) if e["text"].startswith("removes")]
            answered(load)
        finally:
            for node in cluster.nodes.values():
                node.kill()
            subprocess.run(["umount", "-l", disk], check=True)
