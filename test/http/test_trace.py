"""traceparent (W3C Trace Context, level 1): passed on, made a span of ours, or begun."""

import re

import pytest

import raw
from conftest import SETTINGS
from raw import OK, get

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CAME = f"00-{TRACE}-{PARENT}-01"
WELL = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")


@pytest.fixture
def traced(make_proxy):
    """The traceparent and tracestate of each request that arrived, at a node with this setting."""
    def start(mode, origins=1, behaviour=None):
        proxy = make_proxy(origins=origins, settings=SETTINGS + (f"  traceparent = {mode}\n" if mode else ""))
        seen = []

        def look(peer):
            while True:
                m = peer.message()
                seen.append((m.fields.get("traceparent", []), m.fields.get("tracestate", [])))
                peer.send(behaviour(len(seen)) if behaviour else OK)

        proxy.behave(look)
        return proxy, seen

    return start


def ask(proxy, *fields):
    assert proxy.exchange(get("/", *fields)).status == 200


@pytest.mark.parametrize("mode", ["", "pass"])
@pytest.mark.parametrize("value", [CAME, "nonsense", "00-" + "0" * 32 + f"-{PARENT}-01"])
def test_it_passes_as_it_came(traced, mode, value):
    proxy, seen = traced(mode)
    ask(proxy, f"traceparent: {value}", "tracestate: a=b", "tracestate: c=d")
    ask(proxy)
    assert seen == [([value], ["a=b", "c=d"]), ([], [])]


@pytest.mark.parametrize("mode", ["span", "start"])
@pytest.mark.parametrize("came, flags", [(CAME, "01"), (CAME[:-2] + "00", "00"), ("cc" + CAME[2:] + "-more", "01")])
def test_an_attempt_is_a_child(traced, mode, came, flags):
    proxy, seen = traced(mode)
    for _ in range(3):
        ask(proxy, f"TraceParent: {came}", "tracestate: a=b")
    spans = set()
    for parents, states in seen:
        assert states == ["a=b"]
        trace, span, flag = WELL.fullmatch(parents[0]).groups()
        assert len(parents) == 1 and trace == TRACE and flag == flags
        spans.add(span)
    assert len(spans) == 3 and PARENT not in spans


def test_every_attempt_is_its_own_span(traced):
    sick = b"HTTP/1.1 503 Sick\r\nContent-Length: 0\r\n\r\n"
    proxy, seen = traced("span", origins=2, behaviour=lambda n: sick if n == 1 else OK)
    ask(proxy, f"traceparent: {CAME}")
    (first,), (second,) = (parents for parents, _ in seen)
    assert first != second and first[:36] == second[:36] == CAME[:36]


def test_no_trace_is_begun_unless_asked_for(traced):
    proxy, seen = traced("span")
    ask(proxy)
    ask(proxy, "traceparent: nonsense", "tracestate: a=b")
    assert seen == [([], []), (["nonsense"], ["a=b"])]


@pytest.mark.parametrize("fields", [
    (), ("traceparent: nonsense", "tracestate: a=b"), (f"traceparent: {CAME}", f"traceparent: {CAME}", "tracestate: a=b"),
])
def test_a_trace_begins_here(traced, fields):
    proxy, seen = traced("start")
    for _ in range(2):
        ask(proxy, *fields)
    traces = set()
    for parents, states in seen:
        assert len(parents) == 1 and states == []
        trace, span, flag = WELL.fullmatch(parents[0]).groups()
        assert set(trace) != {"0"} and set(span) != {"0"} and flag == "01"
        traces.add(trace)
    assert len(traces) == 2 and TRACE not in traces
