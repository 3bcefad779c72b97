"""The admin API over TCP: tokens, rights, refusals, and that no secret is ever told."""

import http.client
import json
import os
import subprocess

from holdfast import BINARY, PATIENCE, sample, until

DEPLOY, READER = "deploy-0123456789abcdef", "reader-0123456789abcdef"


def admin_block(port, directory, reader_rights="{read, metrics}", more=""):
    return (f"admin {{\n  listen = http://127.0.0.1:{port}\n"
            f"  token deploy {{ secret = file:{directory}/deploy.token  rights = {{read, drain, reload}} }}\n"
            f"  token reader {{ secret = file:{directory}/reader.token  rights = {reader_rights} }}\n{more}}}\n")


def guarded(site, **options):
    backend, port, door = site.backend(), site.port(), site.port()
    for name, secret in (("deploy", DEPLOY), ("reader", READER)):
        with open(site.path(f"{name}.token"), "w") as f:
            f.write(secret + "\n")
    node = site.node(sample(port, [backend]) + admin_block(door, site.directory, **options), port)
    node.await_all_healthy()
    return node, backend, door


def ask(door, method, path, token=None, scheme="Bearer"):
    c = http.client.HTTPConnection("127.0.0.1", door, timeout=10 * PATIENCE)
    c.request(method, path, headers={"Authorization": f"{scheme} {token}"} if token else {})
    r = c.getresponse()
    body = r.read()
    c.close()
    return r.status, body if path == "/metrics" and r.status == 200 else json.loads(body)


def test_each_token_has_its_rights(site):
    node, backend, door = guarded(site)
    drain = f"/v1/services/web/instances/{backend.address}/drain"
    assert ask(door, "GET", "/v1/status")[0] == 401
    assert ask(door, "GET", "/v1/status", "wrong")[0] == 401
    assert ask(door, "GET", "/v1/status", DEPLOY, "Basic")[0] == 401
    status, answer = ask(door, "GET", "/v1/status", READER)
    assert status == 200 and answer["schema"] == "holdfast.status.v1"
    assert ask(door, "GET", "/metrics", READER)[0] == 200
    assert ask(door, "GET", "/metrics", DEPLOY)[0] == 403
    status, answer = ask(door, "POST", drain, READER)
    assert status == 403 and "has not the right to drain; it has: read, metrics" in answer["error"]["text"]
    assert ask(door, "POST", drain, DEPLOY)[0] == 200
    assert node.status()["services"][0]["instances"][0]["draining"]
    assert ask(door, "POST", "/v1/processes/proxy/restart", DEPLOY)[0] == 403


def test_a_reload_takes_a_token_away(site):
    node, backend, door = guarded(site)
    with open(node.file) as f:
        config = f.read()
    with open(site.path("reader.token"), "w") as f:
        f.write("another-0123456789abcdef")
    said = node.reload().stdout
    assert "token reader secret changed" in said and "another-" not in said
    assert ask(door, "GET", "/v1/status", READER)[0] == 401
    assert ask(door, "GET", "/v1/status", "another-0123456789abcdef")[0] == 200
    said = node.reload("".join(line for line in config.splitlines(True) if "token reader" not in line)).stdout
    assert "- token reader" in said
    assert ask(door, "GET", "/v1/status", "another-0123456789abcdef")[0] == 401
    assert ask(door, "GET", "/v1/status", DEPLOY)[0] == 200


def test_guessing_is_barred_and_told(site):
    node, backend, door = guarded(site)
    for i in range(10):
        assert ask(door, "GET", "/v1/status", f"guess-{i}")[0] == 401
    assert ask(door, "GET", "/v1/status", "guess")[0] == 429
    assert ask(door, "GET", "/v1/status", READER)[0] == 429
    events = node.command("events", "--json", "--last", "50").stdout
    told = [json.loads(line) for line in events.splitlines() if '"admin-denied"' in line]
    assert len(told) == 1 and told[0]["subject"] == "127.0.0.1"
    assert node.status()        # the operator's own socket is not barred
    until(lambda: ask(door, "GET", "/v1/status", READER)[0] == 200, 30, "the address to be heard again")


def test_the_command_line_over_tcp(site):
    node, backend, door = guarded(site)

    def run(*words, token="deploy"):
        return subprocess.run([BINARY, *words, "--admin", f"http://127.0.0.1:{door}",
                               "--token-file", site.path(f"{token}.token")],
                              capture_output=True, text=True, timeout=20 * PATIENCE)

    done = run("status", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["services"][0]["name"] == "web"
    assert run("drain", f"web/{backend.address}").returncode == 0
    done = run("resume", f"web/{backend.address}", token="reader")
    assert done.returncode == 1 and "has not the right to drain" in done.stderr
    assert run("resume", f"web/{backend.address}").returncode == 0
    assert run("events", "--last", "3").returncode == 0
    assert run("top", "--once").returncode == 0
    assert run("reload").returncode == 0
    with open(site.path("broken.token"), "w") as f:
        f.write("two words here and more")
    done = run("status", token="broken")
    assert done.returncode == 2 and "holds no token" in done.stderr and "two words" not in done.stderr
    alone = subprocess.run([BINARY, "status", "--admin", f"http://127.0.0.1:{door}"], capture_output=True, text=True)
    assert alone.returncode == 2 and "--token-file" in alone.stderr
    nobody = subprocess.run([BINARY, "status", "--admin", f"http://127.0.0.1:{site.port()}", "--token-file",
                             site.path("deploy.token")], capture_output=True, text=True)
    assert nobody.returncode == 3 and "nobody answers" in nobody.stderr


def test_no_secret_is_ever_told(site):
    node, backend, door = guarded(site)
    ask(door, "GET", "/v1/status", DEPLOY)
    ask(door, "GET", "/v1/status", "a-wrong-token-0123456789")
    everything = [node.said(), "",
                  subprocess.run([BINARY, "check", "--json", node.file], capture_output=True, text=True).stdout,
                  subprocess.run([BINARY, "check", node.file], capture_output=True, text=True).stdout,
                  node.command("status", "--json").stdout, node.command("events", "--json", "--last", "1000").stdout,
                  node.reload().stdout]
    for root, _, names in os.walk(node.state):
        for name in names:
            path = os.path.join(root, name)
            if os.path.isfile(path):
                with open(path, errors="replace") as f:
                    everything.append(f.read())
    told = "\n".join(everything)
    assert DEPLOY not in told and READER not in told and "a-wrong-token" not in told


def test_mistakes_in_the_file(site):
    def check(text):
        with open(site.path("x.conf"), "w") as f:
            f.write(text + "service s { listen = http://127.0.0.1:1  backend 10.0.0.1 }\n")
        done = subprocess.run([BINARY, "check", site.path("x.conf")], capture_output=True, text=True)
        return done.stdout + done.stderr

    with open(site.path("t"), "w") as f:
        f.write("0123456789abcdef")
    with open(site.path("short"), "w") as f:
        f.write("short")
    far = check(f"admin {{ listen = http://0.0.0.0:9901  token a {{ secret = file:{site.path('t')} }} }}\n")
    assert "cross the network in the clear" in far and "warning" in far
    assert "there is no token" in check("admin { listen = http://127.0.0.1:9901 }\n")
    assert "does not belong into this file" in check(
        "admin { listen = http://127.0.0.1:9901  token a { secret = 0123456789abcdef } }\n")
    assert "less than 16 bytes" in check(f"admin {{ token a {{ secret = file:{site.path('short')} }} }}\n")
    assert "has no secret" in check("admin { token a { } }\n")
    assert "unknown right 'raed'; did you mean 'read'?" in check(
        f"admin {{ token a {{ secret = file:{site.path('t')}  rights = raed }} }}\n")
    assert "the same secret" in check(
        f"admin {{ token a {{ secret = file:{site.path('t')} }}  token b {{ secret = file:{site.path('t')} }} }}\n")
