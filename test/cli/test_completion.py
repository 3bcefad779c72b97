"""The bash completion, as readline would call it: commands, options, values, and instances from a node."""
import re
import subprocess

import pytest

from conftest import environment
from holdfast import BINARY, TOP
from node import instance, member, members, service, status


def complete(*words, tmp_path=None, path=None):
    script = """
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _holdfast
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    r = subprocess.run(["bash", "-c", script, "bash", f"{TOP}/packaging/completions/holdfast.bash", "holdfast", *words],
                       env=environment(**({"PATH": path} if path else {})), capture_output=True, text=True, timeout=60)
    assert (r.returncode, r.stderr) == (0, "")
    return sorted(filter(None, r.stdout.split("\n")))


@pytest.mark.parametrize("words, expected", [
    (["st"], ["status"]),
    (["re"], ["reload", "restart", "resume"]),
    (["apply", "x", "--n"], ["--node", "--note"]),
    (["status", "--"], ["--admin", "--fail", "--help", "--json", "--node", "--state", "--token-file"]),
    (["events", "--f"], ["--follow"]),
    (["run", "--log", "d"], ["debug"]),
    (["events", "--since", ""], []),
    (["help", "ex"], ["exit-codes"]),
    (["leave", "--wait", "--j"], ["--json"]),
    (["maintenance", "o"], ["off", "on"]),
    (["key", "n"], ["new"]),
    (["key", "show", "x", "--"], ["--help", "--json"]),
    (["nonsense", ""], []),
])
def test_words(words, expected):
    assert complete(*words) == expected


def test_nodes_come_from_the_node(node, tmp_path):
    (tmp_path / "holdfast").symlink_to(BINARY)
    path = f"{tmp_path}:/usr/bin:/bin"
    node.answer("GET", "/v1/members", members([member("first"), member("second"), member("flint")]))
    assert complete("maintenance", "on", "--state", node.state, "f", path=path) == ["first", "flint"]


def test_instances_come_from_the_node(node, tmp_path):
    """readline makes words of what stands between colons, and wants what follows the last one."""
    (tmp_path / "holdfast").symlink_to(BINARY)
    path = f"{tmp_path}:/usr/bin:/bin"
    node.answer("GET", "/v1/status", status([service("web", [instance("10.0.0.11:3000"), instance("10.0.0.12:3000")]),
                                             service("api", [instance("first")])]))
    state = ["--state", node.state]
    assert complete("drain", *state, "", path=path) == ["api/first", "web/10.0.0.11:3000", "web/10.0.0.12:3000"]
    assert complete("drain", *state, "web/10.0.0.11", path=path) == ["web/10.0.0.11:3000"]
    assert complete("resume", *state, "web/10.0.0.12", ":", path=path) == ["3000"]
    assert complete("resume", *state, "web/10.0.0.12", ":", "30", path=path) == ["3000"]
    assert set(node.asked) == {"GET /v1/status"}


@pytest.mark.parametrize("shell, begins", [("zsh", "  {})"), ("fish", "complete -c holdfast -n __fish_use_subcommand -a {} ")])
def test_the_others_know_every_command_and_option(shell, begins, run):
    """They are made from --help when the program is built: nothing that it names is lost on the way."""
    made = subprocess.run([f"{TOP}/tools/completions.py", shell, BINARY], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  ([a-z]+)  +", run("help").stdout.partition("Commands:")[2].partition("Topics:")[0], re.M)
    assert len(commands) > 20
    for command in commands:
        [at] = [m.start() for m in re.finditer("^" + re.escape(begins.format(command)), made, re.M)]
        part = made[at:].split("    ;;" if shell == "zsh" else "__fish_use_subcommand -a ")[0 if shell == "zsh" else 1]
        for option in re.findall(r"--[a-z][a-z-]*", run(command, "--help").stdout.partition("Options:")[2].partition("Example")[0]):
            assert (option if shell == "zsh" else f" -l {option[2:]}") in part, (command, option)
