"""Latency with an open loop: requests come at a constant rate, and each one's latency counts from when it was due."""
import json

from rig import Meter, port_of, stack
from session import CONNECTIONS, bounded, head, row, wrk
from stats import compare, median

SCENARIOS = {   # name: (listener, floor, what it is)
    'open-http': ('http', 'floor_l7', 'Latency at half capacity, HTTP/1.1 keep-alive, 128 B'),
    'open-tcp': ('tcp', 'floor_epoll', 'Latency at half capacity, TCP, 128 B'),
}
WARM = 0.5      # seconds
PERCENTILES = ('p50', 'p75', 'p90', 'p95', 'p99', 'p99.5', 'p99.9', 'p99.95', 'p99.99')


def measure(session, listener, proxy, rate):
    with stack(proxy, listener, session.work) as (front, back):
        meter = Meter([front], [back])
        run = json.loads(session.openloop(port_of(proxy, listener), '/128', rate, session.settings.open_seconds, WARM))
        run.update(meter.stop())
    run['us'] = run['cpu'] * 1e6 / (rate * (session.settings.open_seconds + WARM))
    lost = run['failed'] + run['missed']
    run['bad'] = f'{lost} requests of an open loop failed or were never sent' if lost else ''
    return run


def capacity(session, listener, proxy):
    """Requests/s of a closed loop: as this run has measured it, or one measurement if it has not."""
    key = f'{listener} {proxy}'
    if key not in session.capacity:
        with stack(proxy, listener, session.work):
            session.capacity[key] = wrk(port_of(proxy, listener), '/128', 1)['rate']
    return session.capacity[key]


def run(session, name):
    """{'rate', 'slowest', 'proxies': {proxy: runs}}. All get the same rate: half of what the slowest of them can do."""
    listener = SCENARIOS[name][0]
    proxies = session.proxies(listener)
    slowest = min(proxies, key=lambda proxy: capacity(session, listener, proxy))
    rate = round(capacity(session, listener, slowest) / 2)
    runs = session.interleave(proxies, lambda proxy: measure(session, listener, proxy, rate))
    return {'rate': rate, 'slowest': slowest, 'proxies': runs}


TEXT = """{rate:,} requests/s over {connections} connections to every proxy: half of what the slowest of them ({slowest}) reached above in a
closed loop. A request's latency counts from the moment it was due, whether or not a connection was free for it then
(`bench/openloop.c`). Medians over the repetitions, in microseconds; ratios to {floor} are paired.
{note}
"""


def section(name, results):
    floor = SCENARIOS[name][1]
    runs_of = results['proxies']
    rows = [head('proxy', 'p50', 'p90', 'p99', 'p99.9', 'max', 'p99 to the floor (95%)', 'p99.9 to the floor (95%)', 'CPU us')]
    for proxy, runs in runs_of.items():
        both = ['1' if proxy == floor else bounded(compare(runs, runs_of.get(floor), key)) for key in ('p99', 'p99.9')]
        rows.append(row(proxy, *(f'{median(runs, key):,.0f}' for key in ('p50', 'p90', 'p99', 'p99.9', 'max')),
                        *both, f'{median(runs, "us"):.1f}'))
    behind = max(median(runs, 'behind') for runs in runs_of.values())
    note = f'The generator itself was at most {behind:,.0f} us late with 99% of the requests for which it had a connection.\n'
    text = TEXT.format(rate=results['rate'], connections=CONNECTIONS, slowest=results['slowest'], floor=floor, note=note)
    return f'## {SCENARIOS[name][2]}\n\n{text}' + '\n'.join(rows) + '\n'
