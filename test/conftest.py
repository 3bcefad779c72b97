"""Shared by all whole-system tests: the path to lib/, isolation, and the `site` fixture."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import holdfast  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "quiet: judges times so short, or keeps the machine so busy, that nothing may run beside it (tools/run-tests)")
    holdfast.isolate()


measured = []


@pytest.fixture(scope="module")
def long_report(request):
    """report() of a Site that is a whole module's."""
    return lambda line: measured.append((request.module.__name__, line))


@pytest.fixture
def site(tmp_path, request):
    def report(line):
        measured.append((request.node.name, line))

    with holdfast.Site(tmp_path, report) as s:
        yield s


def pytest_terminal_summary(terminalreporter):
    if measured:
        terminalreporter.section("measured")
    last = None
    for name, line in measured:
        if name != last:
            terminalreporter.write_line(name)
        terminalreporter.write_line(f"    {line}")
        last = name
