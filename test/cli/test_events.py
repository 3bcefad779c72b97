"""events: the latest, since a number, following over restarts of what answers; text and JSON lines."""
import json
import subprocess

from conftest import environment
from holdfast import BINARY, until
from node import FakeNode, event


def answer(events, lost=0, next_=None):
    return {"schema": "holdfast.events.v1", "next": next_ if next_ is not None else events[-1]["seq"] if events else 0, "lost": lost, "events": events}


def test_the_latest_fifty(run, node):
    node.answer("GET", "/v1/events", lambda q: answer([event(i) for i in range(1, int(q["last"]) + 1)]))
    r = run("events", "--state", node.state)
    assert (r.returncode, r.stderr) == (0, "")
    assert node.asked == ["GET /v1/events?last=50"]
    lines = r.stdout.splitlines()
    assert len(lines) == 50
    assert lines[0] == "2026-01-02T03:04:05.678Z  warning  web/10.0.0.11:3000  suspect -> failed (checks-fail): number 1"
    assert len(run("events", "-n", "3", "--state", node.state).stdout.splitlines()) == 3


def test_no_events(run, node):
    node.answer("GET", "/v1/events", answer([]))
    r = run("events", "--state", node.state)
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")


def test_json_lines_keep_everything(run, node):
    events = [event(118, boot_ns=1123000125000), event(9007199254740993, subject="x", text="line\nbreak")]
    node.answer("GET", "/v1/events", answer(events))
    r = run("events", "--json", "--state", node.state)
    assert [json.loads(line) for line in r.stdout.splitlines()] == [{"schema": "holdfast.event.v1", **e} for e in events]


def test_since_reads_on_until_it_has_all(run, node):
    every = [event(i) for i in range(1, 2501)]
    node.answer("GET", "/v1/events",
                lambda q: answer([e for e in every if e["seq"] > int(q["after"])][:int(q["limit"])], next_=None))
    r = run("events", "--since", "100", "--json", "--state", node.state)
    assert [json.loads(line)["seq"] for line in r.stdout.splitlines()] == list(range(101, 2501))


def test_lost_events_are_mentioned(run, node):
    node.answer("GET", "/v1/events", answer([event(8)], lost=7))
    r = run("events", "--since", "0", "--state", node.state)
    assert r.returncode == 0 and "7 older events are no longer kept" in r.stderr and "number 8" in r.stdout


def test_one_event_is_one_line(run, node):
    node.answer("GET", "/v1/events", answer([event(1, text="a\nb\x1b[31m")]))
    r = run("events", "--state", node.state)
    assert r.stdout.count("\n") == 1 and r.stdout.endswith("a?b?[31m\n")


class Follower:
    def __init__(self, state, tmp_path, *words):
        self.out, self.err = tmp_path / "out", tmp_path / "err"
        self.process = subprocess.Popen([BINARY, "events", "--follow", "--json", "--state", state, *words], env=environment(),
                                        stdout=self.out.open("w"), stderr=self.err.open("w"), stdin=subprocess.DEVNULL)

    def seen(self):
        return [json.loads(line)["seq"] for line in self.out.read_text().splitlines()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def test_following_goes_on_over_a_restart(tmp_path):
    """Nothing twice and nothing left out, though whoever answers goes away in between."""
    every, closing = [event(i) for i in range(1, 4)], []

    def newer(query):
        return [e for e in every if e["seq"] > int(query["after"])]

    def give(query):
        if "last" in query:
            return answer(every[-int(query["last"]):])
        until(lambda: newer(query) or closing, 20)
        return answer(newer(query), next_=every[-1]["seq"])

    with FakeNode(tmp_path) as node:
        node.answer("GET", "/v1/events", give)
        with Follower(node.state, tmp_path, "--last", "2") as f:
            until(lambda: f.seen() == [2, 3], 20)
            every.append(event(4))
            until(lambda: f.seen() == [2, 3, 4], 20)
            until(lambda: any("after=4&" in a for a in node.asked), 20)
            (tmp_path / "admin.sock").unlink()
            node.stop()
            closing.append(True)
            until(lambda: "asking again every second" in f.err.read_text(), 20)
            every.append(event(1000000))
            with FakeNode(tmp_path) as successor:
                successor.answer("GET", "/v1/events", give)
                until(lambda: f.seen() == [2, 3, 4, 1000000], 20)
                assert f.err.read_text().count("\n") == 1
                assert successor.asked[0].startswith("GET /v1/events?after=4&wait=")


def test_a_node_that_is_not_there_ends_following_at_once(run, tmp_path):
    r = run("events", "-f", "--state", str(tmp_path))
    assert r.returncode == 3


def kept(events, more=False, cursor=0, next_=900):
    return {"schema": "holdfast.events.v1", "events": events, "next": next_, "lost": 0, "more": more, "cursor": cursor}


def test_since_a_time_asks_for_all_that_is_kept(run, node):
    pages = [kept([event(1), event(2)], True, 77), kept([event(3)], False, 78)]
    node.answer("GET", "/v1/events", lambda q: pages[int(q["from"]) > 0])
    r = run("events", "--since", "2h", "--json", "--state", node.state)
    assert [json.loads(line)["seq"] for line in r.stdout.splitlines()] == [1, 2, 3]
    first, second = node.asked
    assert "limit=1000&from=0&since=20" in first and "from=77&since=20" in second
    assert first.partition("since=")[2] == second.partition("since=")[2]


def test_since_until_subject_and_code_go_along(run, node):
    node.answer("GET", "/v1/events", kept([event(1)]))
    r = run("events", "--since", "2026-11-23T05:34:27Z", "--until", "2026-11-23T06:00:00.5Z", "--state", node.state)
    assert r.returncode == 2 and "--since and --until take" in r.stderr and not node.asked
    r = run("events", "--since", "2026-11-23T05:34:27Z", "--until", "2026-11-23T06:00:00.500Z", "--subject", "web/a b",
            "--code", "drain", "--state", node.state)
    assert r.returncode == 0
    assert node.asked == ["GET /v1/events?limit=1000&from=0&since=2026-11-23T05:34:27.000Z&until=2026-11-23T06:00:00.500Z"
                          "&subject=web%2Fa%20b&code=drain"]


def test_following_goes_on_where_what_was_kept_ends(tmp_path):
    """And leaves out what is about others, which the node does not know when it tells what is new."""
    new = [event(901, subject="web/b"), event(902, subject="webber/x"), event(903, subject="web")]
    with FakeNode(tmp_path) as node:
        node.answer("GET", "/v1/events", lambda q: kept([event(5)]) if "since" in q
                    else answer([e for e in new if e["seq"] > int(q["after"])], next_=903))
        with Follower(node.state, tmp_path, "--since", "1h", "--subject", "web") as f:
            until(lambda: f.seen() == [5, 901, 903], 20)
            assert node.asked[1].startswith("GET /v1/events?after=900&")
