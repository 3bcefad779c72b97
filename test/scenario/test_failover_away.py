"""The coordinator is lost for minutes: every primary serves on and nobody is promoted. A primary that fails meanwhile is said to wait for the
coordinator, by an event and by `holdfast roles`, and is replaced when it is back.

HOLDFAST_AWAY: seconds without any member of the coordinator; 6.
"""
import os
import signal
import time

import pytest
from cluster import now
from holdfast import PATIENCE, until
from roles import Roles

AWAY = float(os.environ.get("HOLDFAST_AWAY", "6"))
WAITS = "the coordinator cannot be reached"


@pytest.fixture
def cluster(site):
    with Roles(site, "abc", sync=1) as made:
        yield made.begin()


def told(cluster, code, since):
    return [e for _, e in cluster.events(code, since=since)]


def test_primaries_serve_on_without_the_coordinator_and_a_failure_waits_for_it(cluster, site):
    was = cluster.primary()
    others = cluster.backups(was)
    with cluster.writer(*others) as writer, cluster.writer(was) as near:
        at, down = now(), cluster.members_down("stopped")
        time.sleep(AWAY)
        pauses = [w.pause(at) for w in (writer, near)]
        site.report(f"{AWAY:g} s without a coordinator: {sum(done > at for w in (writer, near) for _, _, done in w.acked)} writes acknowledged, "
                    f"{len(writer.failed) + len(near.failed)} failed, longest pause {max(pauses):.0f} ms")
        assert max(pauses) < 1000 * PATIENCE, cluster.story(at)
        for code in ("role-promoted", "role-demoted", "role-lost"):
            assert not told(cluster, code, at), cluster.story(at)

        cluster.kill_instance(was)
        lost = now()
        until(lambda: any(WAITS in e["text"] for o in others for e in cluster[o].events("role-waits", since=lost)), 20, "an event that says what is waited for")
        for name in others:
            until(lambda: WAITS in cluster[name].command("roles").stdout, 20, f"{name} to show what is waited for")
            assert cluster[name].command("roles", "--fail", check=False).returncode == 1
        time.sleep(AWAY / 3)
        assert not told(cluster, "role-promoted", lost), cluster.story(at)
        assert not [sent for w in (writer, near) for _, sent, _ in w.acked if sent > lost], cluster.story(at)

        back = now()
        down.over()
        outage = writer.outage(back, 40)
        site.report(f"the coordinator is back: a write is accepted after {outage:.0f} ms")
        cluster.settle()
        for name in cluster.names:
            until(lambda: WAITS not in cluster[name].command("roles").stdout, 20, f"{name} to wait no more")
    assert len(told(cluster, "role-promoted", lost)) == 1, cluster.story(at)
    assert writer.check() and near.check()


def test_a_primary_that_hangs_meanwhile_keeps_its_role_and_is_replaced_when_the_coordinator_is_back(cluster, site):
    was = cluster.primary()
    others = cluster.backups(was)
    with cluster.writer(*others) as writer:
        down = cluster.members_down("stopped")
        at = cluster.signal_instance(was, signal.SIGSTOP)
        for name in cluster.names:
            until(lambda: any(WAITS in e["text"] for e in cluster[name].events("role-waits", since=at)), 20, f"{name} to say what is waited for")
        assert WAITS in cluster[was].command("roles").stdout
        on = cluster.signal_instance(was, signal.SIGCONT)
        site.report(f"hung, and goes on: a write is accepted after {writer.outage(on):.0f} ms")
        until(lambda: not any(cluster.role(name)["waits"] for name in cluster.names), 20, "nobody to wait any more")
        for code in ("role-promoted", "role-demoted"):
            assert not told(cluster, code, at), cluster.story(at)

        hung = cluster.signal_instance(was, signal.SIGSTOP)
        until(lambda: any(WAITS in e["text"] for e in cluster[was].events("role-waits", since=hung)), 20, "it to wait again")
        assert not told(cluster, "role-demoted", at), cluster.story(at)
        back = now()
        down.over()
        site.report(f"the coordinator is back, and it still hangs: a write is accepted after {writer.outage(back, 40):.0f} ms")
        cluster.settle()
    assert len(told(cluster, "role-promoted", hung)) == 1 and cluster.primary() != was, cluster.story(at)
    writer.check()
