"""Operators are told by webhooks: against a receiver that checks signatures, refuses, hangs and is away."""
import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from holdfast import BINARY, sample, until

KEY = b"a key that signs"


class Receiver:
    """Keeps what it gets; `answers` are the statuses of the next requests (0: it hangs), then 204."""

    def __init__(self, port):
        self.port, self.got, self.tries, self.answers, self.wrong = port, [], [], [], []
        self.release = threading.Event()
        self.server = None

    def start(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.take(self, body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def take(self, handler, body):
        head = handler.headers
        content = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
        wanted = "v1," + base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
        told = json.loads(body)
        if head["webhook-signature"] != wanted or abs(time.time() - int(head["webhook-timestamp"])) > 60:
            self.wrong.append(head.items())
        if told["id"] != head["webhook-id"]:
            self.wrong.append(told)
        status = self.answers.pop(0) if self.answers else 204
        self.tries.append((told["id"], status))
        if status == 0:
            self.release.wait(60)
            return
        if status == 204:
            self.got.append(told)
        handler.send_response(status)
        handler.send_header("content-length", "0")
        handler.end_headers()

    def told(self, code):
        return [t for t in list(self.got) if t["code"] == code]


@pytest.fixture
def receiver(site):
    r = Receiver(site.port())
    r.start()
    yield r
    r.release.set()
    r.stop()


@pytest.fixture
def node(site, receiver):
    with open(os.open(site.path("notify.key"), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
        f.write(KEY + b"\n")
    os.chown(site.path("notify.key"), *owner())
    port = site.port()
    conf = "".join(f"beat job{i} {{ every = 1h }}\n" for i in range(8))
    conf += (f"notify ops {{ webhook = http://127.0.0.1:{receiver.port}/secret-path  key = file:{site.path('notify.key')}  "
             "repeat = 1h }\n")
    node = site.node(sample(port, [site.backend()]) + conf, port)
    node.conf_text = sample(port, [site.backend()]) + conf
    return node


def owner():
    """Who control is, that reads the key."""
    import pwd
    for name in ("holdfast", "nobody") if os.getuid() == 0 else ():
        try:
            return pwd.getpwnam(name)[2:4]
        except KeyError:
            pass
    return os.getuid(), os.getgid()


def fails(node, name, why="disk full"):
    node.command("beat", name, "--failed", why)


def counts(node):
    return {e["code"]: e for e in map(json.loads, node.command("events", "--json", "--last", "1000").stdout.splitlines())}


def test_told_signed_and_resolved(node, receiver):
    fails(node, "job1")
    until(lambda: receiver.told("beat-failed"), what="the failed job to be told")
    told = receiver.told("beat-failed")[0]
    assert told["subject"] == "job1" and told["level"] == "warning" and "disk full" in told["text"]
    assert told["to"] == "failed" and told["key"] == "beat-failed/job1" and not told["resolved"]
    node.command("beat", "job1")
    until(lambda: receiver.told("beat-back"), what="its end to be told")
    assert receiver.told("beat-back")[0]["resolved"]
    fails(node, "job1", "again")        # the same within an hour: held
    fails(node, "job2")
    until(lambda: len(receiver.told("beat-failed")) == 2, what="the other job to be told")
    assert [t["subject"] for t in receiver.told("beat-failed")] == ["job1", "job2"]
    assert receiver.wrong == []
    said = node.command("events", "--json", "--last", "1000").stdout + node.command("status", "--json").stdout
    assert "secret-path" not in said and KEY.decode() not in said


def test_refused_then_taken_in_order(node, receiver):
    receiver.answers = [500, 500, 503]
    fails(node, "job1")
    fails(node, "job2")
    until(lambda: len(receiver.told("beat-failed")) == 2, 30, what="both to be told")
    assert [t["subject"] for t in receiver.told("beat-failed")] == ["job1", "job2"]
    first = receiver.told("beat-failed")[0]["id"]
    assert [s for i, s in receiver.tries if i == first] == [500, 500, 503, 204]
    until(lambda: "notify-back" in counts(node), what="the event that it works again")
    assert "status 503" in counts(node)["notify-failed"]["text"]
    assert not receiver.told("notify-failed") and receiver.wrong == []


def test_one_that_hangs_stops_nothing(node, receiver):
    receiver.answers = [0]
    fails(node, "job1")
    until(lambda: receiver.tries, what="the try that hangs")
    begin = time.monotonic()
    node.command("status")
    fails(node, "job2")
    assert time.monotonic() - begin < 8
    until(lambda: len(receiver.told("beat-failed")) == 2, 40, what="both to be told after the limit")


def test_a_killed_control_tells_what_waited(node, receiver):
    """The receiver is away; control is killed; a reload keeps the queue."""
    receiver.stop()
    for i in range(4):
        fails(node, f"job{i}")
    spool = os.path.join(node.state, "notify.json")
    until(lambda: os.path.exists(spool) and '"job3"' in open(spool).read(), what="the spool")
    ids = [i["seq"] for i in json.load(open(spool))["notify"][0]["items"] if i["code"] == "beat-failed"]
    assert len(ids) == 4
    os.kill(node.pid("control"), signal.SIGKILL)
    until(lambda: node.command("status", check=False).returncode == 0, 20, "control to answer again")
    node.reload(node.conf_text + "beat another { every = 1h }\n")
    receiver.start()
    until(lambda: len(receiver.told("beat-failed")) >= 4, 60, what="those that waited")
    assert [t["seq"] for t in receiver.told("beat-failed")] == ids
    assert receiver.wrong == []


def test_a_mistake_has_its_place_and_remedy(node, site):
    bad = site.path("bad.conf")
    with open(bad, "w") as f:
        f.write(node.conf_text.replace("repeat = 1h", "events = {waring}") + "notify { }\nnotify b { }\nnotify c { webhook = ftp://x }\n")
    done = subprocess.run([BINARY, "check", bad], capture_output=True, text=True, timeout=30)
    out = done.stdout + done.stderr
    assert done.returncode and "there is no event 'waring'; did you mean 'warning'?" in out
    assert "notify 'b' has no webhook; add 'webhook = https://...'" in out and "no http:// or https:// URL" in out
