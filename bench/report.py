"""docs/bench.md and its pictures, from the results of a run."""
import statistics

import bulk
import closed
import latency
import memory
import picture
import storm
import workers
from rig import PROXIES
from session import RETRIES, bounded, head, row
from stats import FOREIGN_LIMIT, compare, median

PAGE = """# What a request costs

Written by `make bench` (about 20 minutes); `make bench QUICK=1` prints the same tables in two minutes, with wider bounds. Do not edit.

{machine}. {reps} repetitions of {seconds} s.

![CPU per unit of work](bench-cpu.svg)

{summary}## Method

- **One machine, one run.** Each proxy has one thread, pinned to one processor; backend (nginx) and load (wrk, {connections} connections)
  share the other, all on loopback in a network namespace. Every program is started fresh for every measurement and warmed up.
  Compare ratios, within one run: absolute figures and latencies belong to this machine at this hour.
- **The figure** is CPU time of all of the proxy's processes by the scheduler's clock, per unit of work. *Whole machine* adds the
  backend, the load and the kernel's own threads, so that work which is moved elsewhere is not lost.
- **The floors** do the least that such a proxy has to do, and nothing else: no limits, no time-outs, no checks of what they forward
  ([floor_l7.c](../bench/floor_l7.c), [floor_epoll.c](../bench/floor_epoll.c), [floor_splice.c](../bench/floor_splice.c)).
- **Repetitions interleave.** Proxies take turns in an order that rotates, and ratios are taken within a repetition, so that what the
  machine does besides hits all alike. Bounds are 95% bootstrap bounds of the median of the paired ratios.
- **Disturbed measurements are discarded.** When programs outside the measurement (or the hypervisor) took {limit}% of a processor or more
  meanwhile, it is discarded and repeated, up to {tries} tries in all (and {retries} repeats in a run); if none was quiet the least disturbed
  stays, marked, and counts for nothing. A figure for which less than half of the repetitions were quiet is of all of them, and carries a †. In this run: {measurements}
  measurements stayed, {discarded} were discarded, {marked} stayed though disturbed; others took {foreign:.1f}% of a processor (median).
- **Settings are comparable** and in [bench/peers/](../bench/peers): logging off, connections to the backend kept and reused, no
  checks, time-outs that nobody reaches. Every program reads in pieces of its own default size (the floors and holdfast 32 KiB).
- **Counts** come from runs of their own: system calls from strace, *user instructions* (outside the kernel) from callgrind, which does
  not depend on the load of the machine{cycles}.

"""

CYCLES = {True: '; cycles and instructions from the processor\'s counters, kernel included',
          False: '. This machine does not let perf count cycles'}


def summary(results):
    """One row for each question, the proxies side by side; ratios but for memory."""
    rows = [(f'CPU, {closed.SCENARIOS[name][4]}', {p: r['runs'] for p, r in of.items()}, closed.SCENARIOS[name][3], 'cpu')
            for name, of in results.get('closed', {}).items()]
    if 'bulk' in results:
        rows.append((f'CPU of the whole machine, {bulk.TITLE}', results['bulk'], bulk.FLOOR, 'whole'))
    rows += [(f'{latency.SCENARIOS[name][2]}: {key}', of['proxies'], latency.SCENARIOS[name][1], key)
             for name, of in results.get('latency', {}).items() for key in ('p99', 'p99.9')]
    proxies = [p for p in PROXIES if not p.startswith('floor')]
    lines = [head('ratios to the floor, with 95% bounds; less is better', *proxies)]
    for label, runs, floor, key in rows:
        cells = [bounded(compare(runs[p], runs[floor], key)) if p in runs and floor in runs else '' for p in proxies]
        lines.append(row(label, *cells))
    for listener, of in results.get('memory', {}).get('listeners', {}).items():
        cells = [f'{statistics.median(r["private"] for r in of[p]):,.0f}' if of.get(p) else '' for p in proxies]
        lines.append(row(f'bytes of an idle connection, {listener.upper()}', *cells))
    return '## In short\n\n' + '\n'.join(lines) + '\n\n'


def closed_bars(results):
    groups = []
    for name, of in results.get('closed', {}).items():
        groups.append((closed.SCENARIOS[name][4].replace('a client connection per request', 'connection each'),
                       rows_of({p: r['runs'] for p, r in of.items()}, closed.SCENARIOS[name][3], 'cpu')))
    if 'bulk' in results:
        groups.append(('1 GiB over TCP, whole machine', rows_of(results['bulk'], bulk.FLOOR, 'whole')))
    return [(label, rows) for label, rows in groups if rows]


def rows_of(runs, floor, key):
    rows = []
    for proxy in runs if floor in runs else ():
        c = compare(runs[proxy], runs[floor], key)
        if c:
            rows.append((proxy, 1.0, None, None) if proxy == floor else (proxy, c['ratio'], c['low'], c['high']))
    return rows


def pictures(results):
    """{file name: SVG}"""
    found = {}
    if groups := closed_bars(results):
        words = '; '.join(f'{label}: ' + ', '.join(f'{name} {value:.2f}' for name, value, _, _ in rows) for label, rows in groups)
        found['bench-cpu.svg'] = picture.bars('CPU per unit of work, as a ratio to the floor', words, groups,
                                              'ratio to the floor; less is better; whiskers: 95% bounds')
    for name, of in results.get('latency', {}).items():
        series = {p: [median(runs, key) for key in latency.PERCENTILES] for p, runs in of['proxies'].items()}
        words = '; '.join(f'{p}: p50 {row[0]:.0f}, p99 {row[4]:.0f}, p99.9 {row[6]:.0f}' for p, row in series.items())
        found[f'bench-{name}.svg'] = picture.curves(f'{latency.SCENARIOS[name][2]}: {of["rate"]:,} requests/s', words, series,
                                                    [key[1:] for key in latency.PERCENTILES], 'percentile; microseconds from when a request was due')
    return found


def sections(results):
    """The sections of the report, in order."""
    for name, of in results.get('closed', {}).items():
        yield closed.section(name, of)
    if 'bulk' in results:
        yield bulk.section(results['bulk'])
    for name, of in results.get('latency', {}).items():
        yield latency.section(name, of)
    for name, module in (('memory', memory), ('workers', workers), ('storm', storm)):
        if name in results:
            yield module.section(results[name])


def markdown(results):
    text = PAGE.format(limit=FOREIGN_LIMIT, cycles=CYCLES[results['counters']], summary=summary(results), retries=RETRIES,
                       **results, **results['rule'])
    for section in sections(results):
        for name in results.get('latency', {}):
            title = f'## {latency.SCENARIOS[name][2]}\n'
            if section.startswith(title):
                section = section.replace(title, f'{title}\n![Latency by percentile](bench-{name}.svg)\n', 1)
        text += section + '\n'
    return text.rstrip('\n') + '\n'


def write(results, folder):
    for name, svg in pictures(results).items():
        with open(f'{folder}/{name}', 'w') as f:
            f.write(svg)
    with open(f'{folder}/bench.md', 'w') as f:
        f.write(markdown(results))
