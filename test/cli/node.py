"""A stand-in for a running node: answers the admin API on a Unix socket with what a test tells it to.

    with FakeNode(directory) as node:
        node.answer("GET", "/v1/status", STATUS)
        ...
        assert node.asked == ["GET /v1/status"]

An answer is JSON (status 200), a pair (status, JSON), or a function of the query that returns one of both. Paths are compared
as they came, so that their encoding is tested too.
"""
import json
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.node.connections.append(self.connection)

    def answer(self):
        node = self.server.node
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if body:
            node.bodies.append(body)
        path, _, query = self.path.partition("?")
        node.asked.append(f"{self.command} {self.path}")
        found = node.answers.get((self.command, path))
        if callable(found):
            found = found({k: v[0] for k, v in parse_qs(query).items()})
        if found is None:
            found = 404, {"schema": "holdfast.error.v1", "error": {"code": "absent", "text": f"no route {path}"}, "suggestions": []}
        status, body = found if isinstance(found, tuple) else (200, found)
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        if node.leaving:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        try:
            self.wfile.write(text)
        except OSError:
            self.close_connection = True    # whoever asked has left

    do_GET = do_POST = answer

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


class FakeNode:
    def __init__(self, state):
        self.state, self.answers, self.asked, self.bodies, self.connections = str(state), {}, [], [], []
        self.server = Server(f"{state}/admin.sock", Handler)
        self.server.node, self.leaving = self, False
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends as a process does: nobody listens and every connection is cut. May be called twice."""
        if self.leaving:
            return
        self.leaving = True
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        for c in self.connections:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass    # it has ended already

    def answer(self, method, path, what):
        self.answers[method, path] = what


def silent(state):
    """A socket that accepts and never answers: a node whose control process is stopped."""
    s = socket.socket(socket.AF_UNIX)
    s.bind(f"{state}/admin.sock")
    s.listen(8)
    return s


def instance(name, **more):
    return {"name": name, "address": name, "weight": 1, "verdict": "healthy", "reason": "checks-pass",
            "explanation": "checks pass", "since_seconds": 12.25, "draining": False, "proxy_verdict": "healthy",
            "inflight": 0, "idle": 3, "connects": 12, "requests": 4000, "requests_per_second": 20.5,
            "errors": {"refused": 0, "timeouts": 0, "resets": 0, "5xx": 0},
            "latency_us": {"p50": 812, "p90": 1500, "p99": 4022}, **more}


def service(name, instances, **more):
    return {"name": name, "balance": "least-requests", "listen": ["0.0.0.0:8080"], "verdict": "healthy", "requests": 8000,
            "requests_per_second": 412.5, "errors_per_second": 0.0,
            "responses": {"1xx": 0, "2xx": 8000, "3xx": 0, "4xx": 0, "5xx": 0, "cut": 0}, "retries": 40, "retries_denied": 0,
            "refused_heads": 0, "no_instance": 0, "tunnels": 0, "bytes": {"in": 1, "out": 2},
            "latency_us": {"p50": 812, "p90": 1550, "p99": 4022}, "instances": instances, **more}


def process(name, pid, **more):
    return {"name": name, "pid": pid, "starts": 1, "uptime_seconds": 86400.1, "epoch": 7, "beat": 1, "turning": True,
            "memory_bytes": 1 << 20, **more}


def status(services, processes=None, **more):
    if processes is None:
        processes = [process("supervisor", 4001), process("control", 4002), process("proxy", 4003), process("worker-0", 4003)]
    return {"schema": "holdfast.status.v1", "version": "0.1.0", "node": "host-a", "epoch": 7, "file": "/etc/holdfast/holdfast.conf",
            "time": "2026-01-02T03:04:05.678Z", "uptime_seconds": 400.0, "workers": 1, "last_event": 118,
            "processes": processes, "services": services, **more}


def member(name, state="alive", hearing=(), silent=(), **more):
    reason = {"alive": "heard", "suspect": "silent", "failed": "agreed", "left": "goodbye"}[state]
    return {"name": name, "address": "10.0.0.1:7300", "zone": "", "role": "member", "state": state, "reason": reason,
            "since_seconds": 400.0, "heard_ago_seconds": 0.03, "incarnation": 1, "rtt_us": 187, "maintenance": False,
            "observers": {"count": len(hearing) + len(silent), "hearing_count": len(hearing), "silent_count": len(silent),
                          "hearing": list(hearing), "silent": list(silent)},
            "voter": None, "config_version": None, "config_problem": "", **more}


def cluster(all_of_them, **more):
    states = {s: sum(m["state"] == s for m in all_of_them) for s in ("alive", "suspect", "failed", "left")}
    return {"cluster": "prod", "self": all_of_them[0]["name"], "health": 1, "isolated": False, "left": False, "explain": "",
            "states": states, "members": all_of_them, **more}


def members(all_of_them, **more):
    return {"schema": "holdfast.members.v1", **cluster(all_of_them, **more)}


def event(seq, **more):
    return {"seq": seq, "time": "2026-01-02T03:04:05.678Z", "boot_ns": 1, "epoch": 7, "code": "instance-verdict",
            "level": "warning", "subject": "web/10.0.0.11:3000", "text": f"suspect -> failed (checks-fail): number {seq}",
            "from": "suspect", "to": "failed", "reason": "checks-fail", "evidence": [{"age_seconds": 0.1}], **more}
