"""The managed coordinator among real nodes: it forms, loses members and gets them back, while every request is answered."""

import contextlib
import os
import subprocess
import threading
import time

import pytest
from cluster import answered, now
from coordinated import GO, KILL, STOP, Coordinated, Throughout
from holdfast import PATIENCE, Site, until

ROUNDS = int(os.environ.get("HOLDFAST_ROUNDS", "1"))        # of changes of the key
AWAY = float(os.environ.get("HOLDFAST_AWAY", "5"))          # seconds without any member


@pytest.fixture(scope="module")
def formed(tmp_path_factory, long_report):
    """[a cluster of three], which what follows forms anew when a test left it in pieces."""
    with contextlib.ExitStack() as stack:
        def form():
            stack.close()
            site = stack.enter_context(Site(tmp_path_factory.mktemp("three"), long_report))
            cluster = stack.enter_context(Coordinated(site, "abc"))
            cluster.start()
            cluster.await_members("abc")
            return cluster
        yield form


@pytest.fixture
def three(formed, request):
    cluster = getattr(request.module, "kept", None)
    if not cluster or not cluster.settled("abc") or not cluster.agreed():
        cluster = request.module.kept = formed()
    return cluster


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
    before, leader = three.places(), three.leader()
    others = [n for n in "abc" if n != leader]
    with Throughout(three, "abc") as meanwhile:
        three.etcd(leader).send(KILL)
        three.await_told("its member ended by signal 9", leader, since=meanwhile.at)
        meanwhile.apply(others[0])
        three.await_running(leader)
        three.await_members("abc")
        meanwhile.apply(leader)
        meanwhile.await_version()
    assert three.places() == before
    three.shows(meanwhile.at, (leader, "its member ended by signal 9"), (leader, "its member is started again"))


def test_a_member_paused_is_replaced_by_nobody(three):
    """Who is silent keeps its place: only a disk that is lost costs it."""
    before, leader = three.places(), three.leader()
    others = [n for n in "abc" if n != leader]
    with Throughout(three, "abc") as meanwhile:
        three.etcd(leader).send(STOP)
        three.await_told("its member here leads", others, since=meanwhile.at)
        meanwhile.apply(others[0])
        meanwhile.carry(3)
        meanwhile.apply(leader)
        three.etcd(leader).send(GO)
        three.await_members("abc")
        meanwhile.apply(leader)
        meanwhile.await_version()
    assert three.places() == before
    three.shows(meanwhile.at, (others, "its member here leads"), (leader, "its member here follows another leader"))


def test_a_disk_that_is_lost_is_replaced(three):
    before, [was] = three.places(), three.ids()
    with Throughout(three, "ab", lost="c") as meanwhile:
        meanwhile.apply("c")
        three.wipe("c")
        three.await_agreement({"a": "alive", "b": "alive", "c": "failed"}, by="ab")
        meanwhile.apply("b")
        three["c"].start()
        three.await_told("removes the member of c", "ab", since=meanwhile.at)
        three.await_told("joins the coordinator", "c", since=meanwhile.at)
        three.await_members("abc")
        meanwhile.await_version()
        meanwhile.apply("c")
    after = three.places()
    assert after["c"] != before["c"] and after["a"] == before["a"] and after["b"] == before["b"]
    assert three.ids() == {was}
    three.shows(meanwhile.at, ("ab", "c: removes the member of c"), ("ab", "c: adds c to the members"), ("c", "c: joins the coordinator"),
                ("ab", "c: c has caught up and becomes a full member"))


def test_the_founder_that_lost_its_disk_founds_nothing(three):
    [was] = three.ids()
    with Throughout(three, "bc", lost="a") as meanwhile:
        three.wipe("a")
        three.await_agreement({"a": "failed", "b": "alive", "c": "alive"}, by="bc")
        meanwhile.apply("c")
        three["a"].start()
        three.await_members("abc")
        meanwhile.await_version()
        meanwhile.apply("a")
    assert three.ids() == {was}
    assert not [e for _, e in three.events("coordinator", since=meanwhile.at) if "founds the coordinator" in e["text"]]
    three.shows(meanwhile.at, ("bc", "a: removes the member of a"), ("a", "a: joins the coordinator"),
                ("bc", "a: a has caught up and becomes a full member"))


@pytest.mark.parametrize("how", ["stopped", "dying"])
def test_all_members_down_and_back(three, how):
    """Nothing that serves waits for the coordinator, and it comes back by itself."""
    before = three.places()
    with Throughout(three, "abc") as meanwhile:
        meanwhile.apply("a")
        down = three.members_down(how)
        for name in "abc":
            three.await_told("it cannot be reached", name, since=meanwhile.at, seconds=30)
        meanwhile.refused("b")
        meanwhile.carry(AWAY)
        down.over()
        back = now()
        three.await_members("abc")
        meanwhile.await_version()
        meanwhile.apply("b")
    assert three.places() == before
    three.shows(meanwhile.at, *((n, "it cannot be reached") for n in "abc"))
    three.shows(back, *((n, "it is there, at") for n in "abc"))
    three.site.report(f"all members {how} for {AWAY:g} s: {meanwhile.requests} requests, none failed")


def test_a_lost_quorum_is_restored_by_one_command(three):
    [was], generation = three.ids(), three["a"].coordinator()["generation"]
    with Throughout(three, "a", lost="bc") as meanwhile:
        meanwhile.apply("b")
        for name in "bc":
            three.wipe(name)
        three.await_told("it cannot be reached", "a", since=meanwhile.at, seconds=30)
        meanwhile.refused("a")
        for name in "bc":
            three[name].start()
        refused = three["b"].command("coordinator", "restore", "--yes", check=False)
        assert refused.returncode == 1 and "has no data of the coordinator" in refused.stderr
        asked = three["a"].command("coordinator", "restore", check=False)
        assert asked.returncode != 0 and "--yes" in asked.stderr and "lost" in asked.stderr
        three["a"].command("coordinator", "restore", "--yes", seconds=90)
        three.await_members("abc")
        meanwhile.await_version()
        meanwhile.apply("c")
    assert three.ids() == {was}
    assert {three[n].coordinator()["generation"] for n in "abc"} == {generation + 1}
    again = three["a"].command("coordinator", "restore", "--yes", check=False)
    assert again.returncode == 1 and "nothing is to be restored" in again.stderr
    three.shows(meanwhile.at, ("a", "it cannot be reached"),
                ("a", f"an operator restores it from what this node has: generation {generation + 1}"), ("a", "it is there, at"),
                ("b", "joins the coordinator"), ("c", "joins the coordinator"),
                ("abc", "b has caught up and becomes a full member"), ("abc", "c has caught up and becomes a full member"))


def test_with_no_disk_left_a_backup_is_enough(three, tmp_path):
    file = str(tmp_path / "backup.json")
    with Throughout(three, "a") as meanwhile:
        meanwhile.apply("c")
        three["b"].command("coordinator", "backup", file)
    head, revision = meanwhile.head("a"), three["b"].coordinator()["revision"]
    for name in "abc":
        three.wipe(name)
    three["c"].start(wait=False)
    three["a"].start()
    three["b"].start()
    until(three["c"].ready, 20, "c to be ready")
    with Throughout(three, "abc", lost="abc") as meanwhile:
        # all disks are new: another coordinator is founded, and the backup put in its place
        three.await_members("abc")
        three["c"].command("coordinator", "restore", "--from", file, "--force", "--yes", seconds=120)
        three.await_members("abc")
        meanwhile.await_version(head)
        meanwhile.apply("a")
    assert len(three.ids()) == 1
    assert min(three[n].coordinator()["revision"] for n in "abc") > revision  # above all that was given out
    three.shows(meanwhile.at, ("a", "founds the coordinator, as its first member"), ("c", "restore: an operator restores it from"),
                ("abc", "keys are restored from a backup"), ("a", "it is there, at"))


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
        until(lambda: not any(cluster.etcd(name).pid for name in "ac"), 20, "etcd to end where it does not belong any more")
        answered(load)


def test_the_cluster_s_key_is_changed_under_it(site):
    """Certificates grow from the key: members of the old one and of the new one understand each other meanwhile."""
    with Coordinated(site, "abc") as cluster:
        cluster.keys_of_their_own()
        cluster.start()
        cluster.await_members("abc")
        [was] = cluster.ids()
        with Throughout(cluster, "abc") as meanwhile:
            for number in range(1, ROUNDS + 1):
                forgets = threading.Timer(1, lambda: os.kill(cluster["b"].pid("control"), KILL))     # what it was about to do
                forgets.start()
                rotated = cluster["a"].command("key", "rotate", seconds=90)
                assert rotated.returncode == 0, rotated.stderr
                meanwhile.apply("abc"[number % 3])
                # each member starts anew twice: to know the new key before the old one goes, and to forget that one
                until(lambda: [restarts(cluster, n, meanwhile.at) for n in "abc"] == [2 * number] * 3, 90, "all members to have started anew")
                cluster.await_members("abc")
                meanwhile.await_version()
            assert not [e for _, e in cluster.events("coordinator", since=meanwhile.at) if "cannot be reached" in e["text"]]
        assert cluster.ids() == {was}


def restarts(cluster, name, since):
    return len([e for e in cluster[name].events("coordinator", since=since) if e["text"].startswith("its member restarts")])


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


def write_until(cluster, enough):
    """Until a member has no room for it on a disk that is full."""
    with cluster.members().engine("filler/") as engine:
        for i in range(200):
            if enough():
                return
            until(lambda: engine.ask(do="cas", ops=[{"key": f"k{i % 4}", "act": "put", "expected": -1, "value": "v" * (512 << 10)}])
                  ["outcome"] == "done", 30, "a change to be done without the node whose disk is full")


def test_a_full_disk_stops_one_node_from_following_and_nothing_else(site):
    """The node whose disk is full serves on, and has the version in force when there is room again; so has its member of etcd."""
    with Coordinated(site, "abc") as cluster:
        disk = cluster["c"].state
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m,mode=755", "tmpfs", disk], check=True)
        try:
            cluster.start()
            cluster.await_members("abc")
            before = cluster.places()
            with Throughout(cluster, "abc") as meanwhile:
                meanwhile.apply("a")
                meanwhile.await_version(1)
                filler = fill(disk)
                # an etcd that dies for want of room leaves some, until it starts again; what c says of itself comes when it has tried
                said, end = [], time.monotonic() + 60 * PATIENCE
                while len(said) < 10 or not any("c: version" in words and "No space left on device" in words for words in said):
                    assert time.monotonic() < end, said
                    said.append(meanwhile.apply("ab"[len(said) % 2], everywhere=None))
                number = 1 + len(said)
                meanwhile.await_version(number, by="ab")
                write_until(cluster, lambda: [e for _, e in cluster.events("coordinator", since=meanwhile.at, by="c") if "ended" in e["text"]])
                cluster.await_told("its member ended by exit status", "c", since=meanwhile.at)
                meanwhile.carry(2)
                os.unlink(filler)
                meanwhile.await_version(number)
                cluster.await_members("abc")
                meanwhile.apply("c")
            assert cluster.places() == before and len(cluster.ids()) == 1
            cluster.shows(meanwhile.at, ("c", "its member ended by exit status"), ("c", "its member is started again"))
        finally:
            for node in cluster.nodes.values():
                node.kill()
            subprocess.run(["umount", "-l", disk], check=True)
