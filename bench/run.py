#!/usr/bin/python3
"""What a request costs: holdfast beside haproxy, nginx and the floors, in one run.

usage: run.py [--quick] [--reps N] [--seconds S] [--tries N] [--scenarios a,b] [--proxies a,b]

Each proxy has one thread, pinned to one core; the backend (nginx) and the load (wrk, 64 connections) share the other.
The figure is the proxy's CPU time per request, user and system, all its processes together. Proxies take turns within
each repetition, and ratios are taken within it, so that what the machine does besides hits all alike. The floors are
the least that such a proxy has to do. A full run writes docs/bench.md; a quick one only prints.

  --quick      about two minutes: fewer and shorter repetitions, wider bounds
"""
import argparse
import os
import platform
import random
import re
import resource
import signal
import statistics
import subprocess
import sys
import time

from rig import (LOAD_CPU, PROXIES, TOP, cpu_seconds, isolate, machine_busy, prepare, start_backend, start_proxy,
                 stop, tree, user_share)

CLOSE = ['-H', 'Connection: close']
SCENARIOS = {   # name: (listener, path, wrk's options, floor, what it is)
    'http-128': ('http', '/128', [], 'floor_l7', 'HTTP/1.1, keep-alive, 128 B'),
    'http-16k': ('http', '/16k', [], 'floor_l7', 'HTTP/1.1, keep-alive, 16 KiB'),
    'http-close': ('http', '/128', CLOSE, 'floor_l7', 'HTTP/1.1, a client connection per request, 128 B'),
    'tcp-128': ('tcp', '/128', [], 'floor_epoll', 'TCP, 128 B'),
    'tcp-16k': ('tcp', '/16k', [], 'floor_epoll', 'TCP, 16 KiB'),
}
FOREIGN_LIMIT = 8       # % of a CPU that went to others: above it a measurement is repeated, --tries times at most


def wrk(url, seconds, options):
    command = ['wrk', '-t1', '-c64', '--latency', f'-d{seconds}', *options, url]
    out = subprocess.run(command, preexec_fn=lambda: os.sched_setaffinity(0, LOAD_CPU), stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    number, unit = re.search(r'(?m)^\s+99%\s+([\d.]+)(us|ms|s)$', out).groups()
    bad = re.search(r'Socket errors:.*|Non-2xx.*', out)
    return {'requests': int(re.search(r'(\d+) requests in', out)[1]),
            'rate': float(re.search(r'Requests/sec:\s+([\d.]+)', out)[1]),
            'p99': float(number) * {'us': 1e-3, 'ms': 1, 's': 1e3}[unit], 'bad': bad[0] if bad else ''}


def children_cpu():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


class Bench:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.notes, self.foreign = [], []

    def snapshot(self, front, back):
        return [cpu_seconds(front), *user_share(front), machine_busy(), cpu_seconds(back), children_cpu(),
                time.monotonic()]

    def once(self, scenario, proxy):
        """One measurement: both servers fresh, warmed up by a second of load, then the load."""
        listener, path, options, _, _ = SCENARIOS[scenario]
        backend = start_backend(self.work)
        server = start_proxy(proxy, listener, self.work)
        url = f'http://127.0.0.1:{PROXIES[proxy][1][listener]}{path}'
        if not self.args.quick:
            wrk(url, 1, options)
        front, back = tree(server.pid), tree(backend.pid)
        before = self.snapshot(front, back)
        load = wrk(url, self.args.seconds, options)
        cpu, user, system, busy, backend_cpu, client_cpu, wall = (
            b - a for a, b in zip(before, self.snapshot(front, back)))
        stop(server)
        stop(backend)
        us = 1e6 / load['requests']
        load['user'] = cpu * us * user / max(user + system, 1e-9)
        load['cpu'] = cpu * us
        load['foreign'] = 100 * (busy - cpu - backend_cpu - client_cpu) / wall
        return load

    def measure(self, scenario, proxy):
        for _ in range(self.args.tries):
            result = self.once(scenario, proxy)
            if result['foreign'] < FOREIGN_LIMIT:
                break
        self.foreign.append(result['foreign'])
        if result['bad']:
            self.notes.append(f'{scenario}, {proxy}: {result["bad"]}')
        return result

    def system_calls(self, scenario, proxy):
        """Per request, counted by strace in a run of its own: it slows the proxy down."""
        listener, path, options, _, _ = SCENARIOS[scenario]
        backend = start_backend(self.work)
        server = start_proxy(proxy, listener, self.work)
        url = f'http://127.0.0.1:{PROXIES[proxy][1][listener]}{path}'
        pids = [word for pid in tree(server.pid) for word in ('-p', str(pid))]
        counts = f'{self.work}/strace'
        tracer = subprocess.Popen(['strace', '-c', '-f', '-o', counts, *pids], stderr=subprocess.PIPE, text=True)
        for _ in pids[::2]:
            tracer.stderr.readline()        # "Process N attached"
        load = wrk(url, 1, options)
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
        stop(server)
        stop(backend)
        with open(counts) as f:
            total = int(re.search(r'(?m)^\s*100\.00\s+\S+\s+\S+\s+(\d+)', f.read())[1])
        return total / load['requests']

    def scenario(self, name):
        """{proxy: {'runs': [...], 'calls': n}}; runs[i] of all proxies were taken in turn."""
        listener = SCENARIOS[name][0]
        proxies = [p for p in self.args.proxies if listener in PROXIES[p][1]]
        results = {p: {'runs': [], 'calls': None} for p in proxies}
        for repetition in range(self.args.reps):
            order = proxies[repetition % len(proxies):] + proxies[:repetition % len(proxies)]
            for proxy in order:
                results[proxy]['runs'].append(self.measure(name, proxy))
                print('.', end='', file=sys.stderr, flush=True)
        for proxy in proxies:
            results[proxy]['calls'] = self.system_calls(name, proxy)
        print('', file=sys.stderr)
        return results


def bounds(values, rng):
    """Median and the 95% bootstrap bounds of it."""
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(2000))
    return statistics.median(values), medians[50], medians[1949]


HEAD = ('| proxy | CPU us/request | of it user | to the floor | 95% bounds | system calls/request | requests/s | p99 ms |\n'
        '|---|--:|--:|--:|--:|--:|--:|--:|')


def table(name, results):
    floor = SCENARIOS[name][3]
    rng = random.Random(1)
    rows = [HEAD]
    for proxy, result in results.items():
        runs = result['runs']
        median = {k: statistics.median(r[k] for r in runs) for k in ('cpu', 'user', 'rate', 'p99')}
        ratio = '| |'
        if floor in results:
            ratios = [r['cpu'] / f['cpu'] for r, f in zip(runs, results[floor]['runs'])]
            ratio = '1 | |' if proxy == floor else '{:.2f} | {:.2f} to {:.2f} |'.format(*bounds(ratios, rng))
        rows.append(f'| {proxy} | {median["cpu"]:.1f} | {median["user"]:.1f} | {ratio} {result["calls"]:.1f} '
                    f'| {median["rate"]:,.0f} | {median["p99"]:.1f} |')
    return '\n'.join(rows)


def version(command, pattern):
    r = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = re.search(pattern, r.stdout)
    return found[1] if found else '?'


def machine():
    with open('/proc/cpuinfo') as f:
        cpu = re.search(r'model name\s*:\s*(.*)', f.read())
    return (f'nginx {version(["nginx", "-v"], "nginx/([0-9.]+)")}, haproxy {version(["haproxy", "-v"], "version ([0-9.]+)")}; '
            f'{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}')


PAGE = """# What a request costs

Written by `make bench`; `make bench QUICK=1` prints the same tables in two minutes, with wider bounds.

Method: each proxy has one thread, pinned to one core; backend (nginx) and load (wrk, 64 connections) share another, all on
loopback in a network namespace. The figure is CPU time per request of all of the proxy's processes, from the scheduler's
clock. The floors (`bench/floor_l7.c`, `bench/floor_epoll.c`) do the least that such a proxy has to do. Proxies take turns
within each repetition and ratios are taken within it: compare ratios, within one run; absolute figures and latencies
belong to this machine at this hour. Bounds are 95% bootstrap bounds of the median of the paired ratios. System calls were
counted by strace in runs of their own. Logging is off everywhere and every program reads in pieces of its own default size
(the floors and holdfast 32 KiB); the settings are in `bench/peers/`.

{machine}; {reps} repetitions of {seconds} s.{busy}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(',')
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--reps', type=int)
    parser.add_argument('--seconds', type=int)
    parser.add_argument('--tries', type=int)
    parser.add_argument('--scenarios', type=names, default=list(SCENARIOS))
    parser.add_argument('--proxies', type=names, default=list(PROXIES))
    args = parser.parse_args()
    whole = not args.quick and args.scenarios == list(SCENARIOS) and args.proxies == list(PROXIES)
    args.reps = args.reps or (3 if args.quick else 5)
    args.tries = args.tries or (1 if args.quick else 3)
    args.seconds = args.seconds or (1 if args.quick else 4)
    if unknown := set(args.scenarios) - set(SCENARIOS) | set(args.proxies) - set(PROXIES):
        parser.error(f'unknown: {", ".join(sorted(unknown))}; known: {", ".join([*SCENARIOS, *PROXIES])}')

    work = isolate('nginx', 'haproxy', 'wrk', 'strace', 'gcc', 'unshare', 'ip')
    prepare(work)
    bench = Bench(args, work)
    print(f'{machine()}; {args.reps} repetitions of {args.seconds} s.')
    sections = ''
    for name in args.scenarios:
        section = f'\n## {SCENARIOS[name][4]}\n\n{table(name, bench.scenario(name))}\n'
        print(section, flush=True)
        sections += section
    busy = f' Meanwhile other programs took {statistics.median(bench.foreign):.0f}% of a processor (median).'
    print(busy.strip())
    for note in bench.notes:
        print(f'not all requests succeeded: {note}')
    if whole and not bench.notes:
        with open(f'{TOP}/docs/bench.md', 'w') as f:
            f.write(PAGE.format(machine=machine(), reps=args.reps, seconds=args.seconds, busy=busy) + sections)
    return 1 if bench.notes else 0


if __name__ == '__main__':
    sys.exit(main())
