"""The engine for etcd with real etcd: members are killed, stopped, started again; histories are compacted."""

import os
import threading
import time

import pytest

from etcd import Certificates, EtcdCluster, contract, text64
from holdfast import PATIENCE, until

CHANGES = int(os.environ.get("HOLDFAST_CHANGES", "1500"))      # watched while members die; 10,000 takes minutes
LOSSES = 6      # at least, meanwhile


@pytest.fixture
def one(site):
    with EtcdCluster(site, 1) as etcd:
        yield etcd


@pytest.fixture
def three(site):
    with EtcdCluster(site, 3) as etcd:
        yield etcd


def done(answer):
    assert answer["outcome"] == "done", answer
    return answer["revision"]


def sure_put(client, key, value):
    """Until it is certain that it is there; how often it was not known."""
    for unknown in range(100):
        answer = client.put(key, value, "any", 1000)
        if answer["outcome"] == "done":
            return answer["revision"], unknown
    raise AssertionError(f"{key} could not be written: {answer}")


# --- the contract of all engines (src/coord/contract_test.h) ---

@pytest.mark.parametrize("members", [1, 3, 5])
def test_the_contract(site, members):
    with EtcdCluster(site, members) as etcd:
        contract(etcd)


# --- one member ---

def test_what_is_read_is_what_was_written(one):
    client = one.client()
    first = done(client.put("a", "1", 0))
    assert client.put("a", "2", 0)["outcome"] == "conflict"
    second = done(client.put("a", "2", first))
    assert second > first
    assert done(client.ask("leave", "a", second, 1000)) >= second
    assert client.ask("leave", "a", first, 1000)["outcome"] == "conflict"
    answer = client.range()
    assert [i[:3] for i in answer["items"]] == [["a", "2", second]] and answer["revision"] >= second
    done(client.remove("a", second))
    assert client.range()["items"] == []


def test_other_peoples_keys_are_not_ours(one):
    client = one.client()
    one.ask(0, "/v3/kv/put", {"key": text64("hf/test0"), "value": text64("x")})
    one.ask(0, "/v3/kv/put", {"key": text64("hf/tes"), "value": text64("x")})
    done(client.put("b", "1", 0))
    assert [i[0] for i in client.range()["items"]] == ["b"]


def test_a_prefix_of_many_mebibytes(one):
    client = one.client()
    for i in range(24):
        done(client.ask("fill", f"big/{i:03}", 700 * 1024, 10000))
    for i in range(300):
        done(client.put(f"big/small/{i:03}", "v", 0))
    answer = client.range("big/")
    assert answer["outcome"] == "done", answer
    assert len(answer["items"]) == 324
    assert answer["items"] == sorted(answer["items"])
    watch = client.watch("big/")
    watch.await_revision(answer["revision"])
    assert watch.changes() == answer["items"]
    last = done(client.ask("fill", "big/000", 700 * 1024, 10000))
    watch.await_revision(last)


def test_a_watch_goes_on_after_a_restart(one):
    client = one.client()
    watch = client.watch()
    for round_ in range(3):
        revision = done(client.put("a", round_, "any"))
        one.restart(0)
        client.await_reachable()
        revision, _ = sure_put(client, "b", round_)
        watch.await_revision(revision)
    assert watch.state()["b"][0] == "2" and watch.state()["a"][0] == "2"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_history_is_compacted_while_the_watch_is_away(site, how):
    """Nobody can be asked, then the history is gone: the last values come, and what is gone is told."""
    with EtcdCluster(site, 3) as etcd:
        away = etcd.client(urls=[etcd.url(0)])
        other = etcd.client(urls=etcd.urls[1:])
        watch = away.watch()
        for key in ("kept", "gone", "changed", "again"):
            done(other.put(key, "1", 0))
        watch.await_revision(other.range()["revision"])
        getattr(etcd, how)(0)
        etcd.await_leader(without=(0,))
        other.await_reachable()
        for key in ("gone", "again"):
            until(lambda: other.remove(key, "any", 1000)["outcome"] == "done", 20, "a removal")
        for i in range(20):
            sure_put(other, "changed", i)
        sure_put(other, "again", "2")
        revision, _ = sure_put(other, "new", "1")
        etcd.compact(revision, 1)
        if how == "kill":
            etcd.start(0)
        else:
            etcd.resume(0)
        watch.await_revision(revision)
        assert {k: v[0] for k, v in watch.state().items()} == {"kept": "1", "changed": "19", "again": "2", "new": "1"}
        last, _ = sure_put(other, "new", "2")
        watch.await_revision(last)
        assert watch.state()["new"] == ("2", last)
        assert [i for i in watch.changes() if i[0] == "gone" and i[3]]


# --- three members ---

def move_away(etcd, client, watch, member, how):
    """The member dies or stops: another one is asked, and nothing is lost."""
    getattr(etcd, how)(member)
    began = time.monotonic()
    revision, unknown = sure_put(client, "after", how)
    took = time.monotonic() - began
    watch.await_revision(revision)
    assert client.in_use(etcd) != member
    if how == "kill":
        etcd.start(member)
    else:
        etcd.resume(member)
    etcd.await_leader()
    return took, unknown


@pytest.mark.parametrize("how", ["kill", "stop"])
@pytest.mark.parametrize("whom", ["in use", "leader", "in use, a follower"])
def test_the_member_that_is_asked_is_lost(site, three, how, whom):
    client = three.client()
    watch = client.watch()
    client.await_reachable()
    revision, _ = sure_put(client, "before", "1")
    watch.await_revision(revision)
    leader = three.await_leader()
    member = leader if whom == "leader" else client.in_use(three)
    if whom == "in use, a follower" and member == leader:
        follower = (leader + 1) % 3
        client.send("endpoints", three.url(follower))
        until(lambda: client.in_use(three) == follower, 20, "the follower to be in use")
        client.send("endpoints", *three.urls)
        member = follower
    took, unknown = move_away(three, client, watch, member, how)
    site.report(f"{whom}, {how}: a cas is done again after {took * 1000:.0f} ms, {unknown} of unknown outcome before")
    assert took < 3 * PATIENCE
    assert watch.state()["after"][0] == how


def test_without_a_majority_nothing_is_said_to_be_done(three):
    client = three.client()
    watch = client.watch()
    revision = done(client.put("a", "1", 0))
    watch.await_revision(revision)
    three.kill(1)
    three.stop(2)
    answers = [client.put("a", i, "any", 700) for i in range(4)]
    assert {a["outcome"] for a in answers} <= {"unknown", "failed"}
    assert client.range(ms=500)["outcome"] == "failed"
    assert client.ask("leave", "a", revision, 500)["outcome"] != "done"     # not even a comparison alone
    until(lambda: not client.health()["reachable"], 20, "it to be noticed")
    three.start(1)
    three.resume(2)
    client.await_reachable(30)
    last, _ = sure_put(client, "a", "last")
    watch.await_revision(last)
    assert watch.state()["a"] == ("last", last)


class Writer(threading.Thread):
    """Changes keys, some at once, until `enough` says so: what is certain to have been done."""

    def __init__(self, client, enough):
        super().__init__()
        self.client, self.enough = client, enough
        self.asked = self.unknown = 0
        self.written = []       # (revision, number)
        self.problem = None

    def run(self):
        try:
            while not self.enough():
                some = range(self.asked, self.asked + 10)
                ids = [(k, self.client.send("put", f"n/{k % 50:02}", k, "any", 1000)) for k in some]
                for k, of in ids:
                    answer = self.client.await_answer(of)
                    if answer["outcome"] == "done":
                        self.written.append((answer["revision"], k))
                    else:
                        self.unknown += 1
                self.asked += len(ids)
        except (AssertionError, OSError) as e:
            self.problem = e


def test_changes_are_watched_once_each_while_members_die(site, three):
    """A writer whose endpoints die under it, and two watches: each number once, in order, none missing."""
    client, other = three.client(), three.client()
    watches = [client.watch("n/"), other.watch("n/")]
    until(lambda: all(w.calls() for w in watches), 20, "the watches to begin")
    lost, enough = [], threading.Event()
    writer = Writer(client, lambda: writer.asked >= CHANGES and enough.is_set())
    writer.start()
    while writer.is_alive():
        writer.join(0.8)        # something is written between two losses
        member, how = len(lost) % 3, ("kill", "stop")[len(lost) % 2]
        getattr(three, how)(member)
        lost.append(how)
        writer.join(0.8)
        three.start(member) if how == "kill" else three.resume(member)
        three.await_leader()
        if len(lost) >= LOSSES:
            enough.set()
    assert not writer.problem, writer.problem
    last, _ = sure_put(client, "n/last", "end")
    for watch in watches:
        watch.await_revision(last)
        told = [(item[2], int(item[1])) for item in watch.changes() if item[1] != "end"]
        assert len(set(told)) == len(told)
        assert set(writer.written) <= set(told), "a change that was done is missing"
    both = max(w.calls()[0]["revision"] for w in watches)
    a, b = ([i for i in w.changes() if i[2] > both] for w in watches)
    assert a == b
    site.report(f"{writer.asked} changes, {len(writer.written)} done, {writer.unknown} of unknown outcome or refused; "
                f"{len(lost)} members lost")


# --- who may ask ---

def test_users_and_tokens(site, one):
    one.control("user", "add", "root:rootword")
    one.control("user", "grant-role", "root", "root")
    one.control("user", "add", "hf:password-of-hf")
    one.control("role", "add", "hf")
    one.control("role", "grant-permission", "hf", "readwrite", "hf/test/", "hf/test0")
    one.control("user", "grant-role", "hf", "hf")
    one.control("auth", "enable")
    nobody, wrong = one.client(), one.client("--user", "hf", "--password", "secret-that-is-wrong")
    client = one.client("--user", "hf", "--password", "password-of-hf")
    outside = one.client("--user", "hf", "--password", "password-of-hf", "--prefix", "other/")
    watch = client.watch()
    done(client.put("a", "1", 0))
    one.restart(0)      # it knows no token any more
    client.await_reachable()
    revision, _ = sure_put(client, "a", "2")
    watch.await_revision(revision)
    assert watch.state()["a"][0] == "2"
    for refused, why in ((nobody, "user name is empty"), (wrong, "authentication failed"), (outside, "permission denied")):
        until(lambda: why in refused.health()["problem"], 20, why)
        assert refused.put("a", "3", "any", 300)["outcome"] == "failed"
        assert "secret" not in refused.health()["problem"]
    one.control("auth", "disable", user="root:rootword")
    done(client.put("b", "1", 0))


def test_tls_with_certificates_of_both_sides(site):
    tls = Certificates(site)
    with EtcdCluster(site, 1, tls=tls) as etcd:
        client = etcd.client(*tls.options)
        watch = client.watch()
        done(client.put("a", "1", 0))
        without, stranger = etcd.client("--ca", tls.path("ca.pem")), etcd.client()
        for refused in (without, stranger):
            until(lambda: "no answer yet" not in refused.health()["problem"], 20, "it to be refused")
            assert refused.put("a", "2", "any", 300)["outcome"] == "failed"
        # Another certificate for each side: new connections use it.
        os.rename(tls.path("client.pem"), tls.path("old.pem"))
        tls.make("client", "DNS:client")
        tls.make("server", "IP:127.0.0.1")
        etcd.restart(0)
        client.await_reachable()
        revision, _ = sure_put(client, "b", "2")
        watch.await_revision(revision)
        assert watch.state().keys() == {"a", "b"}
