"""What a request costs under a closed loop: CPU of all of the proxy's processes per request, as a ratio to the floor."""
import re
import shutil
import signal
import subprocess
import sys

import profiles
from rig import Meter, port_of, stack, tree
from session import CLOSE, bounded, have_counters, head, row, wrk
from stats import compare, median

SCENARIOS = {   # name: (listener, path, wrk's options, floor, what it is)
    'http-128': ('http', '/128', [], 'floor_l7', 'HTTP/1.1, keep-alive, 128 B'),
    'http-16k': ('http', '/16k', [], 'floor_l7', 'HTTP/1.1, keep-alive, 16 KiB'),
    'http-close': ('http', '/128', CLOSE, 'floor_l7', 'HTTP/1.1, a client connection per request, 128 B'),
    'tcp-128': ('tcp', '/128', [], 'floor_epoll', 'TCP, 128 B'),
    'tcp-16k': ('tcp', '/16k', [], 'floor_epoll', 'TCP, 16 KiB'),
}
TRACED_QUICK = ('http-128', 'tcp-128')      # a quick run counts system calls of these only


def measure(session, name, proxy):
    """Both servers fresh, a moment of warm-up, then the load."""
    listener, path, options, _, _ = SCENARIOS[name]
    with stack(proxy, listener, session.work) as (front, back):
        port = port_of(proxy, listener)
        session.warm(port, path)
        meter = Meter([front], [back])
        load = wrk(port, path, session.settings.seconds, options)
        load.update(meter.stop())
    us = 1e6 / load['requests']
    load.update({key: load[key] * us for key in ('cpu', 'user', 'whole', 'kernel')})
    return load


def system_calls(session, name, proxy):
    """Per request, counted by strace in a run of its own: it slows the proxy down."""
    listener, path, options, _, _ = SCENARIOS[name]
    counts = f'{session.work}/strace'
    with stack(proxy, listener, session.work) as (front, _):
        session.warm(port_of(proxy, listener), path)
        pids = [word for pid in tree(front.pid) for word in ('-p', str(pid))]
        tracer = subprocess.Popen(['strace', '-c', '-f', '-o', counts, *pids], stderr=subprocess.PIPE, text=True)
        for _ in pids[::2]:
            tracer.stderr.readline()        # "Process N attached"
        load = wrk(port_of(proxy, listener), path, 1, options)
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
    with open(counts) as f:
        total = int(re.search(r'(?m)^\s*100\.00\s+\S+\s+\S+\s+(\d+)', f.read())[1])
    return total / load['requests']


def cycles(session, name, proxy):
    """{'cycles': n, 'instructions': n} per request, user and kernel together, by the processor's counters; own run."""
    listener, path, options, _, _ = SCENARIOS[name]
    with stack(proxy, listener, session.work) as (front, _):
        session.warm(port_of(proxy, listener), path)
        pids = ','.join(str(pid) for pid in tree(front.pid))
        counter = subprocess.Popen(['perf', 'stat', '-x,', '-e', 'cycles,instructions', '-p', pids],
                                   stderr=subprocess.PIPE, text=True)
        load = wrk(port_of(proxy, listener), path, 1, options)
        counter.send_signal(signal.SIGINT)
        found = read_counters(counter.communicate()[1])
    return {key: count / load['requests'] for key, count in found.items()}


def read_counters(text):
    """Of `perf stat -x,`: the count, its unit, the event with whoever it was counted for."""
    return {key: int(count) for count, key in re.findall(r'(?m)^(\d+),[^,]*,(cycles|instructions)\b', text)}


def optional(what, count, *args):
    """Counts beside the measurement: a tool that does not work here leaves its cells empty, and says why."""
    try:
        return count(*args)
    except (Exception, SystemExit) as problem:
        print(f'\nno {what}: {problem}', file=sys.stderr)
        return None


def user_instructions(session, name, proxy):
    listener, path, options, _, _ = SCENARIOS[name]
    return profiles.profile(session.work, proxy, listener, path, bool(options))['total'] or None


def run(session, name):
    """{proxy: {'runs', 'calls', 'counters', 'instructions'}}; runs[i] of all proxies were taken in turn."""
    listener, path, options, _, _ = SCENARIOS[name]
    proxies = session.proxies(listener)
    runs = session.interleave(proxies, lambda proxy: measure(session, name, proxy))
    quick = session.settings.quick
    results = {}
    for proxy in proxies:
        if not options and path == '/128':
            session.capacity[f'{listener} {proxy}'] = median(runs[proxy], 'rate')
        counted = {'runs': runs[proxy], 'calls': None, 'counters': {}, 'instructions': None}
        if not quick or name in TRACED_QUICK:
            counted['calls'] = optional('system calls', system_calls, session, name, proxy)
        if not quick and have_counters():
            counted['counters'] = optional('cycles', cycles, session, name, proxy) or {}
        if not quick and shutil.which('valgrind'):
            counted['instructions'] = optional('user instructions', user_instructions, session, name, proxy)
        results[proxy] = counted
    return results


def number(value, digits=1):
    return '' if value is None else f'{value:,.{digits}f}'


def section(name, results):
    floor = SCENARIOS[name][3]
    columns = ['proxy', 'CPU us', 'of it user', 'to the floor (95%)', 'system calls', 'user instructions',
               'whole machine us', 'to the floor (95%)', 'requests/s']
    counters = any(r['counters'] for r in results.values())
    rows = [head(*columns, *(['cycles', 'instructions'] if counters else []))]
    for proxy, result in results.items():
        runs = result['runs']
        base = results.get(floor, {}).get('runs')
        alone, whole = ('1' if proxy == floor else bounded(compare(runs, base, key)) for key in ('cpu', 'whole'))
        cells = [proxy, f'{median(runs, "cpu"):.1f}', f'{median(runs, "user"):.1f}', alone, number(result['calls'], 2),
                 number(result['instructions'], 0), f'{median(runs, "whole"):.1f}', whole, f'{median(runs, "rate"):,.0f}']
        if counters:
            cells += [number(result['counters'].get(k), 0) for k in ('cycles', 'instructions')]
        rows.append(row(*cells))
    return f'## {SCENARIOS[name][4]}\n\n' + '\n'.join(rows) + '\n'
