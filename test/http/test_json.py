"""Every --json and every answer of the admin API against its schema in docs/schema, strictly: a field that the
schema does not know is a mistake here, though a client would ignore it."""

import glob
import http.client
import json
import os
import re
import socket
import subprocess

import jsonschema
import pytest

from holdfast import BINARY, CLUSTER_KEY, PATIENCE, TOP, sample, until

SCHEMAS = {os.path.basename(p)[:-5]: p for p in glob.glob(os.path.join(TOP, "docs/schema/*.json"))}


def read(path):
    with open(os.path.join(TOP, path)) as f:
        return f.read()


def strict(schema):
    """The same, with no other fields."""
    if isinstance(schema, dict):
        closed = {k: strict(v) for k, v in schema.items()}
        return {**closed, "additionalProperties": False} if "properties" in schema else closed
    return [strict(s) for s in schema] if isinstance(schema, list) else schema


def check(text, *names):
    """Each line, or the whole; the names of the schemas that it had."""
    try:
        objects = [json.loads(text)]
    except json.JSONDecodeError:
        objects = [json.loads(line) for line in text.splitlines()]
    assert objects
    for o in objects:
        assert list(o)[0] == "schema"
        name = re.fullmatch(r"holdfast\.([a-z-]+)\.v1", o["schema"])[1]
        assert name in names, (name, names)
        jsonschema.Draft202012Validator(strict(json.loads(read(SCHEMAS[name])))).validate(o)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schemas_are_schemas(name):
    schema = json.loads(read(SCHEMAS[name]))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == schema["properties"]["schema"]["const"] == f"holdfast.{name}.v1"
    assert f"[{name}](schema/{name}.json)" in read("docs/json.md")


def test_every_schema_that_is_written_has_a_file():
    written = set()
    for path in glob.glob(os.path.join(TOP, "src/*/*.c")):
        if not path.endswith("_test.c"):
            source = read(path)
            written |= set(re.findall(r'json_begin_schema\("([a-z-]+)"\)', source))
            written |= set(re.findall(r'holdfast\.([a-z-]+)\.v1', source))
    assert written == set(SCHEMAS)


# Commands, words that make them print, and the schemas of what they print. INSTANCE stands for the one that is there.
PRINTS = [
    ("status", ["status"], ["status"]),
    ("top", ["top", "--once"], ["top"]),
    ("events", ["events", "--last", "1000"], ["event"]),
    ("events", ["events", "--since", "1h"], ["event"]),
    ("why", ["why", "web"], ["why"]),
    ("why", ["why", "backup", "--at", "1h"], ["why"]),
    ("why", ["why", "proxy", "--all"], ["why"]),
    ("why", ["why", "wbe"], ["error"]),
    ("roles", ["roles"], ["roles"]),
    ("roles", ["roles", "web"], ["error"]),
    ("switchover", ["switchover", "web", "to", "a"], ["error"]),
    ("failover", ["failover", "web", "--force", "--yes"], ["error"]),
    ("maintenance", ["maintenance", "on", "--service", "web"], ["error"]),
    ("drain", ["drain", "web/INSTANCE"], ["drain"]),
    ("resume", ["resume", "web/INSTANCE"], ["drain"]),
    ("drain", ["drain", "wbe/none"], ["error"]),
    ("instance", ["instance", "list", "web"], ["instances"]),
    ("instance", ["instance", "add", "web", "127.0.0.1:9"], ["instances-change"]),
    ("instance", ["instance", "remove", "web", "127.0.0.1:9"], ["instances-change"]),
    ("beat", ["beat", "backup"], ["beat"]),
    ("beat", ["beat", "backup", "--failed", "why"], ["beat"]),
    ("beat", ["beat", "nobody"], ["error"]),
    ("beats", ["beats"], ["beats"]),
    ("members", ["members"], ["error"]),
    ("leave", ["leave"], ["error"]),
    ("maintenance", ["maintenance", "on"], ["error"]),
    ("token", ["token"], ["error"]),
    ("key", ["key", "rotate"], ["error"]),
    ("coordinator", ["coordinator"], ["coordinator"]),
    ("coordinator", ["coordinator", "backup"], ["coordinator"]),
    ("coordinator", ["coordinator", "restore", "--yes"], ["error"]),
    ("history", ["history"], ["history"]),
    ("plan", ["plan", "CONF"], ["plan"]),
    ("apply", ["apply", "CONF"], ["apply"]),
    ("apply", ["apply", "CONF"], ["apply"]),
    ("history", ["history"], ["history"]),
    ("history", ["history", "1"], ["config-files"]),
    ("history", ["history", "7"], ["error"]),
    ("rollback", ["rollback", "1"], ["apply"]),
    ("rollback", ["rollback", "7"], ["error"]),
    ("reload", ["reload"], ["reload"]),
    ("restart", ["restart", "proxy"], ["handover"]),
    ("upgrade", ["upgrade"], ["handover"]),
    ("restart", ["restart", "proxy", "--now"], ["restart"]),
]
ALONE = [("check", ["check", "FILE"], ["check"]), ("check", ["check", "BROKEN"], ["check"]),
         ("check", ["check", "CLUSTER", "--node", "b"], ["check"]),
         ("version", ["version"], ["version"]),
         ("plan", ["plan", "--availability"], ["availability"]),
         ("key", ["key", "new", "KEYS"], ["key"]), ("key", ["key", "show", "KEYS"], ["key"])]
CLUSTERED = {"join"}  # needs a cluster: scenario/test_keys.py


def test_no_command_is_missing():
    text = subprocess.run([BINARY, "help"], capture_output=True, text=True).stdout
    commands = re.findall(r"^  ([a-z]+)  ", text, re.M)
    assert len(commands) > 8
    speak = {c for c in commands
             if "--json" in subprocess.run([BINARY, c, "--help"], capture_output=True, text=True).stdout}
    assert speak == {command for command, _, _ in PRINTS + ALONE} | CLUSTERED


@pytest.fixture
def node(site):
    """One instance that is well, one that is not, and some traffic, also refused."""
    backend, port = site.backend(), site.port()
    nobody = f"127.0.0.1:{site.port()}"
    node = site.node(sample(port, [backend, nobody], more="dynamic = yes") + "beat backup { every = 1h }\n", port)
    node.await_verdict(backend, "healthy")
    until(lambda: node.verdicts()[nobody] == "failed", what="the verdict of who is not there")
    load = site.load(port, connections=4, think_us=1000)
    load.carry(50)
    load.stop()
    with socket.create_connection(("127.0.0.1", port), 5 * PATIENCE) as s:
        s.sendall(b"nonsense\r\n\r\n")
        s.recv(100)
    node.backend = backend
    return node


def test_what_commands_print(node):
    for command, words, names in PRINTS:
        words = [w.replace("INSTANCE", node.backend.address).replace("CONF", node.file) for w in words]
        done = node.command(*words, "--json", check=False, seconds=60)
        assert done.stdout, (words, done.stderr)
        check(done.stdout, *names)


def test_what_commands_print_without_a_node(site, tmp_path):
    (tmp_path / "good.conf").write_text(sample(1, ["127.0.0.1:2"]))
    (tmp_path / "broken.conf").write_text("service web { lisen = 3 }\n")
    (tmp_path / "cluster.conf").write_text(read("examples/cluster.conf"))
    (tmp_path / "cluster.key").touch(0o600)
    (tmp_path / "cluster.key").write_text(CLUSTER_KEY)
    for command, words, names in ALONE:
        words = [w.replace("FILE", str(tmp_path / "good.conf")).replace("BROKEN", str(tmp_path / "broken.conf"))
                 .replace("CLUSTER", str(tmp_path / "cluster.conf")).replace("KEYS", str(tmp_path / "new.key"))
                 for w in words]
        check(subprocess.run([BINARY, *words, "--json"], capture_output=True, text=True).stdout, *names)


class Local(http.client.HTTPConnection):
    """Over the node's Unix socket."""

    def __init__(self, path):
        super().__init__("node", timeout=20 * PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@pytest.mark.parametrize("method, path, names", [
    ("GET", "/v1/version", ["version"]),
    ("GET", "/v1/status", ["status"]),
    ("GET", "/v1/events", ["events"]),
    ("GET", "/v1/events?after=x", ["error"]),
    ("GET", "/v1/nothing", ["error"]),
    ("DELETE", "/v1/status", ["error"]),
    ("GET", "/v1/handover", ["handover"]),
    ("GET", "/v1/roles", ["roles"]),
    ("GET", "/v1/roles/web", ["error"]),
    ("POST", "/v1/roles/web/switchover", ["error"]),
    ("GET", "/v1/services/web/instances", ["instances"]),
    ("GET", "/v1/beats", ["beats"]),
    ("GET", "/v1/config", ["config"]),
    ("GET", "/v1/config/history?last=1", ["history"]),
    ("GET", "/v1/config/history?last=0", ["error"]),
    ("GET", "/v1/config/files", ["error"]),
    ("POST", "/v1/config/plan", ["error"]),
    ("POST", "/v1/config/apply", ["error"]),
    ("POST", "/v1/config/rollback", ["error"]),
    ("POST", "/v1/beats/backup", ["beat"]),
    ("POST", "/v1/beats/nobody", ["error"]),
    ("POST", "/v1/reload", ["reload"]),
    ("POST", "/v1/services/web/instances/none/drain", ["error"]),
    ("POST", "/v1/processes/proxy/restart", ["restart"]),
])
def test_what_the_api_answers(node, method, path, names):
    c = Local(os.path.join(node.state, "admin.sock"))
    c.request(method, path)
    check(c.getresponse().read().decode(), *names)
    c.close()


def test_a_refused_reload_lists_its_problems(node):
    done = node.reload("service web { lisen = 3 }\n", check=False)
    assert done.returncode == 1
    c = Local(os.path.join(node.state, "admin.sock"))
    c.request("POST", "/v1/reload")
    text = c.getresponse().read().decode()
    check(text, "error")
    assert json.loads(text)["problems"]
    c.close()
