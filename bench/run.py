#!/usr/bin/python3
"""What a request costs: holdfast beside haproxy, nginx and the floors, in one run.

usage: run.py [--quick] [--reps N] [--seconds S] [--tries N] [--scenarios a,b] [--proxies a,b] [--storm N] [--report FILE]

The floors are the least that such a proxy has to do; ratios to them are taken within a repetition, in which all take
turns. docs/bench.md tells the method; a full run writes it, with its pictures, and build/bench.json (all measurements).

  --quick           about two minutes: fewer and shorter repetitions, wider bounds; only prints
  --scenarios a,b   only these; prints, and writes nothing
  --storm N         connections of the accept storm (the full run: 200,000; the long one: 1000000)
  --report FILE     measures nothing: writes docs/bench.md again from build/bench.json or another file like it
  --save FILE       the measurements, also of a run that is not full
  --into DIR        where the report goes (default: docs)
"""
import argparse
import json
import os
import platform
import re
import sys
import time

import bulk
import closed
import latency
import memory
import report
import storm
import workers
from rig import PROXIES, TOP, isolate, prepare
from session import CONNECTIONS, Session, have_counters, version

SINGLE = {'bulk': bulk, 'memory': memory, 'workers': workers, 'storm': storm}
SCENARIOS = [*closed.SCENARIOS, 'bulk', *latency.SCENARIOS, 'memory', 'workers', 'storm']
# What a full run and a quick one take if the command line does not say otherwise.
DEFAULTS = {    # setting: (full, quick)
    'reps': (9, 2), 'tries': (3, 1), 'seconds': (2, 1), 'open_seconds': (3, 1), 'idle': (8000, 1000), 'idle_reps': (2, 1),
    'idle_pause': (2, 0.5), 'storm': (200_000, 10_000),
}


def machine():
    with open('/proc/cpuinfo') as f:
        cpu = re.search(r'model name\s*:\s*(.*)', f.read())
    holdfast = os.environ.get('HOLDFAST', f'{TOP}/build/holdfast')
    return (f'holdfast {version([holdfast, "version"], "([0-9][0-9.]+)")}, nginx {version(["nginx", "-v"], "nginx/([0-9.]+)")}, '
            f'haproxy {version(["haproxy", "-v"], "version ([0-9.]+)")}, wrk {version(["wrk", "-v"], "wrk (?:debian/)?([0-9.]+)")}; '
            f'{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}')


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(',')
    parser.add_argument('--quick', action='store_true')
    for name in ('reps', 'seconds', 'tries', 'storm', 'idle'):
        parser.add_argument(f'--{name}', type=int)
    parser.add_argument('--scenarios', type=names, default=SCENARIOS)
    parser.add_argument('--proxies', type=names, default=list(PROXIES))
    parser.add_argument('--report')
    parser.add_argument('--save')
    parser.add_argument('--into', default=f'{TOP}/docs')
    args = parser.parse_args()
    if unknown := set(args.scenarios) - set(SCENARIOS) | set(args.proxies) - set(PROXIES):
        parser.error(f'unknown: {", ".join(sorted(unknown))}; known: {", ".join([*SCENARIOS, *PROXIES])}')
    args.whole = not args.quick and args.scenarios == SCENARIOS and args.proxies == list(PROXIES)
    for name, (full, quick) in DEFAULTS.items():
        if getattr(args, name, None) is None:
            setattr(args, name, quick if args.quick else full)
    return args


def measure(session, name, results):
    """Measures one scenario into results; its section of the report."""
    if name in closed.SCENARIOS:
        of = results.setdefault('closed', {})[name] = closed.run(session, name)
        return closed.section(name, of)
    if name in latency.SCENARIOS:
        of = results.setdefault('latency', {})[name] = latency.run(session, name)
        return latency.section(name, of)
    results[name] = SINGLE[name].run(session)
    return SINGLE[name].section(results[name])


def save(results, args):
    """After every scenario, so that a run which is interrupted has not been for nothing."""
    if file := args.save or (f'{TOP}/build/bench.json' if args.whole else None):
        os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
        with open(file, 'w') as f:
            json.dump(results, f)


def main():
    args = options()
    if args.report:
        with open(args.report) as f:
            report.write(json.load(f), args.into)
        return 0
    work = isolate('nginx', 'haproxy', 'wrk', 'strace', 'gcc', 'unshare', 'ip')
    begun = time.monotonic()
    prepare(work)
    session = Session(args, work)
    results = {'machine': machine(), 'reps': args.reps, 'seconds': args.seconds, 'tries': args.tries,
               'connections': CONNECTIONS, 'counters': have_counters()}
    print(f'{results["machine"]}; {args.reps} repetitions of {args.seconds} s.')
    for name in args.scenarios:
        print(f'{name} ', end='', file=sys.stderr, flush=True)
        before = time.monotonic()
        section = measure(session, name, results)
        print(f'{time.monotonic() - before:.0f} s', file=sys.stderr)
        print(f'\n{section}', flush=True)
        results['rule'] = session.rule()
        save(results, args)
    print('{measurements} measurements stayed, {discarded} were discarded, {marked} stayed though disturbed; others took '
          '{foreign:.1f}% of a processor (median); '.format(**results['rule']) + f'{time.monotonic() - begun:.0f} s in all.')
    for note in session.notes:
        print(f'not all went well: {note}')
    if args.whole and not session.notes:
        if 2 * session.marked > len(session.foreign):
            print('Too much else went on: docs/bench.md stays as it was. This run as a report: '
                  'bench/run.py --report build/bench.json --into DIR')
        else:
            report.write(results, args.into)
    return 1 if session.notes else 0


if __name__ == '__main__':
    sys.exit(main())
