"""plan --availability: it asks no node, and says what the formulas say."""
import json

import pytest


def answer(run, *words):
    r = run("plan", "--availability", "--json", *words)
    assert (r.returncode, r.stderr) == (0, "")
    return json.loads(r.stdout)


def test_it_is_told_in_words(run):
    r = run("plan", "--availability", "--mtbf", "90d", "--repair", "4h", "--copies", "3")
    assert (r.returncode, r.stderr) == (0, "")
    assert "Each node fails once in 90d and is back after 4h; 3 copies, sync = 1, 3 voters." in r.stdout
    assert "failovers                                  4.06" in r.stdout
    assert "while another takes over                 1.83 s" in r.stdout
    assert "acknowledged writes lost in failovers      none" in r.stdout


def test_faster_and_more_is_better(run):
    usual = answer(run)
    assert usual["failovers_per_year"] == pytest.approx(365.25 / 90)
    assert usual["available"] == pytest.approx(1 - usual["downtime_seconds_per_year"] / (365.25 * 86400), abs=1e-11)
    slow = answer(run, "--detect", "30s")
    assert slow["switching_seconds_per_year"] == pytest.approx(365.25 / 90 * 30.1)
    assert answer(run, "--voters", "5")["voters_seconds_per_year"] < usual["voters_seconds_per_year"] / 50
    assert answer(run, "--copies", "2")["loss_probability"] > 100 * usual["loss_probability"]
    assert answer(run, "--sync", "0", "--lag", "2s")["lost_write_seconds_per_year"] == pytest.approx(365.25 / 90 * 2)


@pytest.mark.parametrize("words, says", [
    (("--mtbf", "90"), "option --mtbf needs a time such as 90d, 4h or 350ms, 91250d at most, not '90'"),
    (("--mtbf", "150000d"), "91250d at most, not '150000d'"),
    (("--repair", "0s"), "option --repair needs a time"),
    (("--copies", "17"), "option --copies needs a number from 1 to 16, not '17'"),
    (("--copies", "2", "--sync", "2"), "option --sync needs a number from 0 to 1, not '2'"),
    (("some.conf",), "plan --availability needs no FILE"),
])
def test_mistakes(run, words, says):
    r = run("plan", "--availability", *words)
    assert (r.returncode, r.stdout) == (1, "") and says in r.stderr


def test_its_options_need_it(run):
    r = run("plan", "--mtbf", "90d")
    assert r.returncode == 1 and "go with plan --availability" in r.stderr
    r = run("plan")
    assert r.returncode == 1 and "plan needs FILE" in r.stderr
