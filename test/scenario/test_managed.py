"""The members that holdfast runs itself are an etcd like any other: the contract of all engines holds on them, and random histories are
linearizable while a test kills and stops them and holdfast starts them again. Three nodes and five, formed under load.

HOLDFAST_ROUNDS=1 runs 200 histories each, HOLDFAST_HISTORIES=N runs N, HOLDFAST_SEED=N is the first.
"""
import pytest
from cluster import answered
from coordinated import Coordinated
from coordinator import HISTORIES, SEED, histories
from etcd import contract
from holdfast import Site


@pytest.fixture(scope="module", params=["abc", "abcde"], ids=["three", "five"])
def formed(request, tmp_path_factory, long_report):
    with Site(tmp_path_factory.mktemp(request.param), long_report) as site, Coordinated(site, request.param) as cluster:
        cluster.start()
        cluster.load_while_it_forms = cluster.load("b")
        cluster.await_members(request.param, seconds=120)
        yield cluster


def test_nodes_form_one_coordinator(formed):
    assert answered(formed.load_while_it_forms)["requests"]
    assert len(formed.ids()) == 1 and None not in formed.ids()
    founders = [name for name, e in formed.events("coordinator") if e["text"].startswith("founds the coordinator")]
    assert founders == ["a"]  # the first of the file, once
    for name in formed.names[1:]:
        formed.await_told("joins the coordinator", name)


def test_the_contract_on_managed_etcd(formed):
    cases = contract(formed.members())
    formed.site.report(f"{len(formed.names)} nodes: {cases} cases")


def test_histories_on_managed_etcd(formed):
    """Who kills and stops is the test, who mends is holdfast; and whatever happens no place changes hands."""
    places = formed.places()
    formed.site.report(f"{len(formed.names)} nodes: {histories(formed.members(), SEED, HISTORIES)}")
    assert formed.places() == places
