"""A command that runs on one node at a time, and commands that are told of roles, below a real agent: the words come from the
configuration that the supervisor hands over, not from control.

agentctl (test/lib) stands in for supervisor and control.
"""
import itertools
import os
import signal
import subprocess
import time

import pytest

from holdfast import BINARY, PATIENCE, until
from test_agent import Member, give, lives, status, user
from test_agent import site     # noqa: F401 (a fixture)

D = 200     # ms
numbers = itertools.count(1)

CONFIGURATION = """
cluster test {{
  key = file:{state}/key
  node a {{ address = 127.0.0.1 }}
  node b {{ address = 127.0.0.2 }}
}}
service job {{ agent = process  command = {{/bin/sh, {state}/job, "two words"}}  {hook} }}
service moved {{ agent = hook  hook = {{/bin/sh, {state}/hook, moved}} }}
"""


class Node(Member):
    def __init__(self, site, job, hook="", beside=False):     # noqa: F811
        self.site, self.name, self.inside, self.agent = site, "a", "", 0
        self.state = os.path.join(site.top, "a")
        os.makedirs(self.state)
        site.members.append(self)
        self.write("job", job)
        self.write("hook", hook)
        subprocess.run([BINARY, "key", "new", os.path.join(self.state, "key")], check=True, capture_output=True)
        told = f"hook = {{/bin/sh, {self.state}/hook, job}}" if beside else ""
        self.write("conf", CONFIGURATION.format(state=self.state, hook=told))
        give(self.state)
        self.open()
        self.await_("state")
        self.say(f"view {self.state}/conf a")

    def write(self, name, text):
        with open(os.path.join(self.state, name), "w") as f:
            f.write(text)

    def read(self, name):
        try:
            with open(os.path.join(self.state, name)) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def has(self, service, kind):
        self.say(f"instance {service} {kind} 0 {D} 1000 a=127.0.0.1:1,b=127.0.0.2:1")

    def order(self, service, what, epoch, place="", code="ok"):
        self.say(f"role {service} {what} {epoch} {place}")
        answer = self.await_("answer", 30)
        assert answer["code"] == code, answer
        return answer

    def promote(self, service, epoch, ms=60000, code="ok"):
        self.say(f"lease {epoch} {ms}")
        return self.order(service, "promote", epoch, code=code)


LOOP = """
echo "start $HOLDFAST_SERVICE $HOLDFAST_ROLE $HOLDFAST_EPOCH $HOLDFAST_NODE $1" >> "{0}/told"
while :; do date +%s%N > "{0}/alive.new"; mv "{0}/alive.new" "{0}/alive"; sleep 0.02; done
"""


def job(site, text=LOOP, **more):       # noqa: F811
    node = Node(site, text.format(os.path.join(site.top, "a")), **more)
    node.has("job", "process")
    assert node.await_("report", state="replica")["well"]
    return node


def test_it_runs_only_where_it_was_told_to(site):       # noqa: F811
    node = job(site)
    assert node.read("told") == ""
    node.order("job", "promote", 3, code="denied")
    node.promote("job", 3)
    up = node.await_("report", state="primary", well=True)
    until(lambda: node.read("told"), 5, "the command to run")
    assert node.read("told") == "start job primary 3 a two words\n"
    if os.geteuid() == 0:
        assert int(status(up["pid"], "Uid")) == user().pw_uid and int(status(up["pid"], "CapPrm"), 16) == 0
    node.order("job", "follow", 4, 1)
    assert not lives(up["pid"])
    assert node.await_("report", state="replica")["pid"] == 0
    node.promote("job", 5)
    assert node.await_("report", state="primary")["starts"] == 2


def test_one_that_ends_is_started_again_ever_more_slowly(site):     # noqa: F811
    node = job(site, 'echo x >> "{0}/told"; echo its last words; exit 3')
    node.promote("job", 1)
    for n, wait in ((1, 100), (2, 200), (3, 400)):      # one that goes on ending is not well
        sick = node.await_("report", state="primary", pid=0, starts=n)
        assert sick["well"] == (n < 3) and sick["sentence"] == f"it ended with status 3; it is started again in {wait} ms"
    assert "job: its last words" in node.text()
    node.order("job", "demote", 1)
    node.await_("report", state="replica", well=True)


def test_it_is_killed_at_the_deadline_also_without_control(site):       # noqa: F811
    node = job(site, "trap '' TERM\n" + LOOP)
    node.promote("job", 1)
    pid = node.await_("report", state="primary")["pid"]
    until(lambda: node.read("alive"), 5, "the command to run")
    node.say("lease 1 300")
    node.told()
    until_ns = time.time_ns() + 300_000_000
    os.kill(node.driver.popen.pid, signal.SIGSTOP)
    until(lambda: not lives(pid), 5, "its end")
    assert int(node.read("alive")) < until_ns + D * 1_000_000 * PATIENCE
    os.kill(node.driver.popen.pid, signal.SIGCONT)
    node.await_("report", state="replica")


def test_one_that_does_not_listen_is_killed_when_its_grace_is_over(site):       # noqa: F811
    node = job(site, "trap '' TERM\n" + LOOP)
    node.promote("job", 1)
    pid = node.await_("report", state="primary")["pid"]
    until(lambda: node.read("alive"), 5, "the command to run")
    began = time.monotonic()
    node.order("job", "demote", 1)
    assert not lives(pid) and time.monotonic() - began > 4


def test_without_words_nothing_runs(site):      # noqa: F811
    node = job(site)
    node.has("other", "process")
    node.await_("report", service="other", state="replica")
    assert "no command" in node.promote("other", 1, code="absent")["sentence"]


HOOK = """
echo "$1 $HOLDFAST_SERVICE $HOLDFAST_ROLE $HOLDFAST_EPOCH $HOLDFAST_PRIMARY $HOLDFAST_PRIMARY_ADDRESS" >> "{0}/hooked"
[ ! -e "{0}/fails" ] || {{ echo it cannot be; exit 1; }}
[ ! -e "{0}/hangs" ] || sleep 60
"""


def hooked(site, **more):       # noqa: F811
    node = Node(site, LOOP.format(os.path.join(site.top, "a")), HOOK.format(os.path.join(site.top, "a")), **more)
    node.has("moved", "hook")
    assert node.await_("report", state="replica", service="moved")["well"]
    return node


def test_a_hook_is_told_who_is_primary_and_its_failure_is_the_orders(site):     # noqa: F811
    node = hooked(site)
    node.order("moved", "follow", 2, 1)
    node.promote("moved", 3)
    node.await_("report", state="primary", well=True)
    node.order("moved", "demote", 3)
    assert [line.rstrip() for line in node.read("hooked").splitlines()] == [
        "moved moved replica 0", "moved moved replica 2 b 127.0.0.2", "moved moved primary 3 a 127.0.0.1", "moved moved replica 3"]
    node.write("fails", "")
    assert "it cannot be" in node.promote("moved", 4, code="io")["sentence"]


def test_a_hook_that_hangs_is_killed_at_the_deadline_and_asked_for_what_is_safe(site):      # noqa: F811
    node = hooked(site)
    node.write("hangs", "")
    node.say("lease 1 300")
    node.say("role moved promote 1")
    assert node.await_("answer")["code"] == "denied"
    until(lambda: node.read("hooked").splitlines()[-1].startswith("moved moved replica 1"), 5, "the safe one")
    os.unlink(os.path.join(node.state, "hangs"))


def test_a_hook_beside_a_command_is_told_of_each_change(site):      # noqa: F811
    node = Node(site, LOOP.format(os.path.join(site.top, "a")), HOOK.format(os.path.join(site.top, "a")), beside=True)
    node.has("job", "process")
    node.await_("report", state="replica")
    node.promote("job", 1)
    until(lambda: "job job primary 1 a" in node.read("hooked"), 5, "the hook")
    node.order("job", "follow", 2, 1)
    until(lambda: "job job replica 2 b" in node.read("hooked"), 5, "the hook")


@pytest.mark.parametrize("orderly", [1, 0])
def test_what_runs_ends_with_the_agent(site, orderly):      # noqa: F811
    node = job(site)
    node.promote("job", 1)
    pid = node.await_("report", state="primary")["pid"]
    node.say(f"end {orderly}")
    assert node.await_("ended")["status"] == 0 and not lives(pid)


FAMILY = """
sh -c 'trap "" TERM HUP; while :; do date +%s%N > "{0}/child.new"; mv "{0}/child.new" "{0}/child"; sleep 0.01; done' &
""" + LOOP


def below(node):
    """The processes that the agent started, by name."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(status(int(pid), "PPid")) == node.agent:
                found[status(int(pid), "Name")] = int(pid)
        except (OSError, TypeError, ValueError, StopIteration, KeyError):
            continue
    return found


def last(node):
    """ns of the clock: when the command or its child did something last."""
    return max(int(node.read(name) or 0) for name in ("alive", "child"))


def await_silence(node):
    """Nothing of it does anything any more; when it last did."""
    seen = []
    until(lambda: seen.append(last(node)) or (len(seen) > 10 and seen[-1] == seen[-10]), 10, "silence")
    return seen[-1]


def families(node):
    node.promote("job", 1)
    pid = node.await_("report", state="primary")["pid"]
    until(lambda: node.read("alive") and node.read("child"), 5, "the command and its child to run")
    return pid


@pytest.mark.parametrize("whom", ["the agent", "all of ours", "everything"])
def test_its_deadline_holds_when_the_agent_is_stopped(site, whom):      # noqa: F811
    node = job(site, FAMILY)
    pid = families(node)
    node.say("lease 1 1000")
    node.told()
    time.sleep(0.4)      # the leash has seen it
    deadline = time.time_ns() + 600_000_000
    ours = [node.agent, *({"all of ours": [below(node)["holdfast-leash"]], "everything": below(node).values()}.get(whom, []))]
    for one in ours:
        os.kill(one, signal.SIGSTOP)
    try:
        until(lambda: not lives(pid), 5, "its end")
        assert await_silence(node) < deadline + D * 1_000_000 * PATIENCE
    finally:
        for one in filter(lives, ours):
            os.kill(one, signal.SIGCONT)
    node.await_("report", state="replica")
    assert "holdfast-leash" not in below(node)


@pytest.mark.parametrize("whom", ["the agent", "all of ours"])
def test_its_children_too_end_when_the_agent_is_killed(site, whom):      # noqa: F811
    node = job(site, FAMILY)
    pid = families(node)
    ours = [node.agent] if whom == "the agent" else [node.agent, below(node)["holdfast-leash"]]
    at = time.time_ns()
    for one in ours:
        os.kill(one, signal.SIGKILL)
    until(lambda: not lives(pid), 5, "its end")
    assert await_silence(node) < at + 100_000_000 * PATIENCE


def test_a_leash_that_is_killed_takes_the_command_with_it(site):      # noqa: F811
    node = job(site, FAMILY)
    families(node)
    os.kill(below(node)["holdfast-leash"], signal.SIGKILL)
    assert "killed by signal 9" in node.await_("report", state="primary", pid=0)["sentence"]
    again = node.await_("report", state="primary", starts=2)
    assert again["well"] and "was started again" in again["sentence"]
    assert "holdfast-leash" in below(node)
