"""What a node starts with when it cannot start with the newest version that it keeps, or when its own file is broken."""
import hashlib
import os
import signal
import socket

import pytest
from holdfast import sample, until
from test_apply import config_of, listens, service, write


@pytest.fixture
def node(site):
    port = site.port()
    return site.node("workers = 2\n" + sample(port, [site.backend()]).replace("workers = 1\n", ""), port)


def kept(node, number):
    return os.path.join(node.state, "config", f"{number:010d}")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def runs(node):
    return node.status()["config"]["version"]


def apply(node, tmp_path, more=""):
    with open(node.file) as f:
        node.command("apply", write(f"{tmp_path}/apply.conf", f.read() + more), "--yes")
    return runs(node)


def events(node):
    return node.command("events").stdout


def test_a_version_that_the_machine_cannot_take_at_the_start(node, site, tmp_path):
    """An address that is in use stopped nobody from serving while holdfast ran, and stops nobody after a restart."""
    api, taken = site.port(), site.port()
    assert apply(node, tmp_path, service("api", api, ["127.0.0.1:9"])) == 1
    assert apply(node, tmp_path, service("api", api, ["127.0.0.1:9"]) + service("more", taken, ["127.0.0.1:9"])) == 2
    node.terminate()
    before = digest(kept(node, 2))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        node.start()
        assert runs(node) == 1 and listens(api)
        until(lambda: "version 2" in node.status()["config"]["problem"], what="the status to say so")
        assert f"127.0.0.1:{taken}" in node.status()["config"]["problem"]
        assert f"configuration: {node.status()['config']['problem']}\n" in node.command("status").stdout
        assert "version 2" in node.said() and str(taken) in events(node)
        os.kill(node.pid("control"), signal.SIGKILL)
        until(lambda: node.status(check=False) and config_of(node)["head_known"] and config_of(node)["problem"], what="another control")
        assert runs(node) == 1 and config_of(node)["head"]["version"] == 2
        assert digest(kept(node, 2)) == before and os.path.exists(kept(node, 1))
    until(lambda: runs(node) == 2, 30, "the version in force to run when it can")
    assert listens(taken) and not node.status()["config"]["problem"]


def test_no_version_at_all_that_can_be_taken(node, site, tmp_path):
    taken = site.port()
    assert apply(node, tmp_path, service("api", taken, ["127.0.0.1:9"])) == 1
    node.terminate()
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        with pytest.raises(AssertionError, match="holdfast ended"):
            node.start()
    assert str(taken) in node.said()


@pytest.mark.parametrize("coordinator", [True, False])
def test_the_newest_is_damaged(node, site, tmp_path, coordinator):
    api, more = site.port(), site.port()
    assert apply(node, tmp_path, service("api", api, ["127.0.0.1:9"])) == 1
    assert apply(node, tmp_path, service("api", api, ["127.0.0.1:9"]) + service("more", more, ["127.0.0.1:9"])) == 2
    node.terminate()
    os.truncate(kept(node, 2), 100)
    if not coordinator:
        write(os.path.join(node.state, "coordinator.db"), "no database " * 1000)
        for name in "-wal", "-shm":
            if os.path.exists(os.path.join(node.state, "coordinator.db" + name)):
                os.remove(os.path.join(node.state, "coordinator.db" + name))
    node.start()
    until(lambda: "config/0000000002" in events(node), what="the damage to be told")
    assert os.path.exists(kept(node, 2) + ".damaged") and listens(api)
    if coordinator:
        until(lambda: runs(node) == 2, what="the coordinator to have it")
        assert listens(more) and not node.status()["config"]["problem"]
    else:
        assert runs(node) == 1 and not listens(more)
        assert "version 2, the newest here, cannot be used" in node.status()["config"]["problem"]


@pytest.mark.parametrize("broken, place", [("workers = 2\nadmin {\n", ":2:"), ("workers = banana\n", ":1:"), (None, "")])
def test_a_broken_own_file_stops_no_node(node, site, tmp_path, broken, place):
    api = site.port()
    with open(node.file) as f:
        whole = f.read()
    assert apply(node, tmp_path, service("api", api, ["127.0.0.1:9"])) == 1
    if broken:
        node.write(broken)
    else:
        os.remove(node.file)
    refused = node.reload(check=False)
    assert refused.returncode == 1 and os.path.basename(node.file) in refused.stderr and place in refused.stderr
    node.terminate()
    node.start()
    status = node.status()
    assert (status["config"]["version"], status["workers"]) == (1, 2) and listens(api)
    assert os.path.basename(node.file) in status["config"]["own_file_problem"]
    assert "own file: " in node.command("status").stdout and "as it was" in events(node)
    other = site.port()
    text = write(f"{tmp_path}/next.conf", whole + service("api", other, ["127.0.0.1:9"]))
    node.command("apply", text, "--yes")
    assert runs(node) == 2 and listens(other), "a version comes into force all the same"
    node.write("workers = 2\n")             # no more than what is local, and that is enough
    assert "nothing changed" in node.reload().stdout
    assert not node.status()["config"]["own_file_problem"]


def test_errors_that_are_not_local_are_errors(node, site, tmp_path):
    """The version goes on running, whatever the own file says of services; who asks for a reload is told."""
    assert apply(node, tmp_path, service("api", site.port(), ["127.0.0.1:9"])) == 1
    with open(node.file) as f:
        whole = f.read()
    node.write(whole.replace("backend ", "bakend "))
    refused = node.reload(check=False)
    assert refused.returncode == 1 and "bakend" in refused.stderr
    node.terminate()
    node.start()
    assert runs(node) == 1
    assert "none of them in what is local" in node.status()["config"]["own_file_problem"]
    node.write(whole)
    node.reload()
    assert not node.status()["config"]["own_file_problem"]
