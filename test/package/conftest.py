"""What the tests of the package share: the packages and the bare root that tools/package-test.sh made, and three machines that follow
the README."""
import os
import sys
import types
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import holdfast  # noqa: E402
from cluster import Net  # noqa: E402
from installed import Installed  # noqa: E402

KEPT = os.environ.get("HOLDFAST_PACKAGES")


@pytest.fixture(scope="session")
def packages():
    """old and new: two versions of the package, as (path, version)."""
    assert KEPT, "the packages and the root are made by tools/package-test.sh: run 'make package-test'"
    found = {p.name.split("_")[1]: p for p in Path(KEPT).glob("holdfast_*.deb")}
    old, new = sorted(found, key=len)
    assert new == old + "+next"
    return types.SimpleNamespace(old=(found[old], old), new=(found[new], new), root=str(Path(KEPT) / "root"),
                                 epoch=(Path(KEPT) / "epoch").read_text().strip())


@pytest.fixture(scope="module")
def installed(packages, tmp_path_factory, long_report):
    """Three machines that became a cluster by the README's words. The tests of a module go on from there, in order."""
    with holdfast.Site(tmp_path_factory.mktemp("machines"), long_report) as site:
        three = Installed(site, Net(site), packages)
        try:
            yield three
        finally:
            three.end()
