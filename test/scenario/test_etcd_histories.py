"""Random histories of the engine for etcd, while members die and stop, are linearizable; watches tell each change once, in order.
test_managed.py does the same on the members that holdfast runs.

As test_coord.py: HOLDFAST_ROUNDS=1 runs 200, HOLDFAST_HISTORIES=N runs N for each number of members, HOLDFAST_SEED=N is the first.
"""
import pytest
from coordinator import HISTORIES, SEED, histories
from etcd import EtcdCluster


@pytest.mark.parametrize("members", [1, 3, 5])
def test_histories_on_etcd(members, site):
    with EtcdCluster(site, members) as etcd:
        site.report(f"{members} members: {histories(etcd, SEED, HISTORIES)}")
