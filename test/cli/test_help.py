"""What every command owes its user: help with an example, exit codes, and a hint after a slip. And the papers name everything."""
import json
import re
import subprocess

import pytest

from holdfast import BINARY, TOP

COMMANDS = ["run", "check", "reload", "plan", "apply", "history", "rollback", "coordinator", "status", "top", "events", "why", "roles", "switchover", "failover", "drain", "resume", "instance", "beat", "beats",
            "members", "leave", "maintenance", "token", "join", "key", "restart", "upgrade", "version", "help"]
NEEDS_NODE = [("status",), ("status", "--json"), ("top",), ("top", "--once"), ("events",), ("events", "--json"), ("events", "--since", "2h"), ("why", "web"), ("why", "web", "--json"), ("reload",), ("history",), ("history", "7"), ("rollback", "7"),
              ("roles",), ("roles", "cache", "--json"), ("switchover", "cache", "to", "b"), ("failover", "cache", "--force", "--yes"), ("maintenance", "on", "--service", "cache"),
              ("drain", "web/a"), ("resume", "web/a"), ("instance", "list", "web"), ("instance", "add", "web", "10.0.0.1:80"),
              ("beat", "backup"), ("beat", "backup", "--failed", "why"), ("beats",),
              ("members",), ("members", "--json"), ("leave",), ("maintenance",), ("maintenance", "on"), ("token",), ("key", "rotate"), ("restart", "proxy"), ("upgrade",)]


def read(*path):
    with open("/".join([TOP, *path])) as f:
        return f.read()


def options_of(run, command):
    return sorted(set(re.findall(r"--[a-z][a-z-]*", run(command, "--help").stdout.partition("Options:")[2].partition("Example")[0])))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run, command):
    for words in (command, "--help"), (command, "-h"), ("help", command):
        r = run(*words)
        assert (r.returncode, r.stderr) == (0, "")
        assert r.stdout.startswith(f"Usage: holdfast {command}")
        example = r.stdout.partition("Example")[2]
        assert re.search(rf"^  .*holdfast {command}\b", example, re.M)
        assert max(map(len, r.stdout.splitlines())) <= 100


def test_help_lists_exactly_the_commands(run):
    for words in ("help",), ("--help",), ("-h",):
        r = run(*words)
        assert r.returncode == 0
        listed = re.findall(r"^  ([a-z@]+)  +", r.stdout.partition("Commands:")[2].partition("Topics:")[0], re.M)
        assert listed == COMMANDS


def test_no_command_at_all_is_a_mistake(run):
    r = run()
    assert r.returncode == 2 and "Usage: holdfast" in r.stdout


def test_exit_codes_are_documented(run):
    r = run("help", "exit-codes")
    assert r.returncode == 0
    assert re.findall(r"^  (\d)  ", r.stdout, re.M) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("words, meant", [
    (("statsu",), "did you mean 'status'?"),
    (("chekc", "x"), "did you mean 'check'?"),
    (("help", "exit-code"), "did you mean 'exit-codes'?"),
    (("help", "evnts"), "did you mean 'events'?"),
    (("status", "--jsno"), "did you mean --json?"),
    (("status", "--stat=x"), "did you mean --state?"),
    (("run", "--sate", "x"), "did you mean --state?"),
    (("events", "--folow"), "did you mean --follow?"),
    (("status", "-json"), "did you mean --json?"),
    (("key", "ad", "x"), "did you mean 'add'?"),
])
def test_a_slip_gets_a_suggestion(run, words, meant):
    r = run(*words)
    assert (r.returncode, r.stdout) == (2, "")
    assert meant in r.stderr


@pytest.mark.parametrize("words, sentence", [
    (("run",), "run needs FILE"),
    (("check",), "check needs FILE"),
    (("check", "a", "b"), "what is 'b'?"),
    (("status", "web"), "what is 'web'?"),
    (("drain",), "drain needs SERVICE/INSTANCE"),
    (("drain", "web"), "write SERVICE/INSTANCE"),
    (("resume", "/a"), "write SERVICE/INSTANCE"),
    (("drain", "web/"), "write SERVICE/INSTANCE"),
    (("events", "--since", "yesterday"), "--since and --until take 10m (ago)"),
    (("events", "--until", "25:00"), "--since and --until take 10m (ago)"),
    (("why",), "why needs SUBJECT"),
    (("why", "web", "--at", "then"), "--at takes 10m (ago)"),
    (("events", "--last", "0"), "--last takes 1 to 1000"),
    (("maintenance", "offf"), "did you mean 'off'?"),
    (("maintenance", "b"), "is 'on' or 'off'"),
    (("maintenance", "on", "b", "--service", "cache"), "holdfast maintenance on --service cache"),
    (("switchover",), "switchover needs SERVICE"),
    (("switchover", "cache", "b"), "write 'holdfast switchover cache to b'"),
    (("switchover", "cache", "to"), "write 'holdfast switchover cache to NODE'"),
    (("failover", "cache", "onto", "b", "--force"), "write 'holdfast failover cache to b'"),
    (("failover", "cache", "to", "b"), "--force whatever is lost"),
    (("status", "--state"), "--state needs a value"),
    (("status", "--state="), "not empty"),
    (("status", "--state", "/" + "x" * 200), "state directory"),
    (("beat",), "beat needs NAME"),
    (("beats", "x"), "what is 'x'?"),
    (("apply",), "apply needs FILE"),
    (("rollback", "x"), "the number of a version"),
    (("history", "0"), "the number of a version"),
    (("history", "--last", "0"), "--last takes 1 to 100"),
    (("key", "show"), "key needs new|show"),
    (("key", "rename", "x"), "keys cannot be told to 'rename'"),
    (("key", "use", "x"), "which key?"),
    (("key", "drop", "x", "12345"), "8 digits"),
    (("key", "show", "x", "12345678"), "takes a file alone"),
    (("frobnicate",), "there is no command 'frobnicate'"),
    (("stat\x1b[31mus\n",), "stat?[31mus?"),
])
def test_a_wrong_command_line_exits_2(run, words, sentence):
    r = run(*words)
    assert (r.returncode, r.stdout) == (2, "")
    assert sentence in r.stderr


@pytest.mark.parametrize("words", NEEDS_NODE)
def test_without_a_node_commands_exit_3_and_say_what_to_do(run, tmp_path, words):
    r = run(*words, "--state", str(tmp_path))
    assert (r.returncode, r.stdout) == (3, "")
    assert f"no holdfast answers at {tmp_path}/admin.sock" in r.stderr
    assert "holdfast run FILE" in r.stderr and "--state" in r.stderr


def test_the_state_directory_comes_from_the_environment(run, tmp_path):
    r = run("status", env={"STATE_DIRECTORY": str(tmp_path)})
    assert r.returncode == 3 and f"{tmp_path}/admin.sock" in r.stderr


def test_version(run):
    for words in ("version",), ("--version",), ("-V",):
        r = run(*words)
        assert r.returncode == 0
        assert re.fullmatch(r"holdfast \d+\.\d+\.\d+\n", r.stdout)
    assert f"holdfast {json.loads(run('version', '--json').stdout)['version']}\n" == run("version").stdout


def test_a_full_disk_is_noticed(run):
    with open("/dev/full", "w") as full:
        r = subprocess.run([BINARY, "help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert r.returncode == 1 and "cannot write" in r.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_the_papers_name_every_command_and_option(run, command):
    """The manual page, docs/cli.md and the completion know all that the program knows."""
    page = read("packaging/man/holdfast.1").replace("\\-", "-")
    section = page.partition(f".SS {command}\n")[2].partition("\n.S")[0]
    assert section, f"holdfast.1 has no section for {command}"
    doc = read("docs/cli.md").partition(f"## {command}\n")[2].partition("\n## ")[0]
    assert doc, f"docs/cli.md has no section for {command}"
    completion = read("packaging/completions/holdfast.bash")
    assert re.search(rf"\b{command}\b", completion)
    for option in options_of(run, command):
        if option != "--help":
            assert option in section, f"holdfast.1: {command} {option}"
            assert option in doc, f"docs/cli.md: {command} {option}"
        assert option in completion


@pytest.mark.parametrize("command", COMMANDS)
def test_the_papers_name_no_option_that_is_gone(run, command):
    page = read("packaging/man/holdfast.1").replace("\\-", "-")
    section = page.partition(f".SS {command}\n")[2].partition("\n.S")[0]
    assert set(re.findall(r"--[a-z][a-z-]*", section)) <= set(options_of(run, command))


def test_the_manual_pages_are_clean():
    for page in "holdfast.1", "holdfast.conf.5":
        r = subprocess.run(["groff", "-ww", "-man", "-Tutf8", f"{TOP}/packaging/man/{page}"], capture_output=True, text=True,
                           timeout=60)
        assert (r.returncode, r.stderr) == (0, "")
        plain = re.sub(".\x08", "", r.stdout)
        assert "NAME" in plain and "EXAMPLES" in plain
