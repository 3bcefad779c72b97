#!/usr/bin/python3
"""What is paid for noticing a lost node early: real clusters of three nodes on a busy machine, with many settings.

usage: curve.py [--seconds 60] [--losses 15] [--loops 2] [--nice 10] [--quick] [--report FILE]

For each interval (`heartbeat`) and patience (`suspect-after`): a cluster in network namespaces (test/lib/cluster.py); nothing happens
for so many seconds, and whatever is suspected or failed is false; then so many losses, silent at the bridge, and the time until all
survivors know. All of it while --loops busy processes for each processor compete with the nodes.
In the first part one of the nodes is worse off: it runs with --nice, so that its heartbeats are late where others are in time. Writes docs/detection-curve.md, its
picture and build/curve.json (every measurement); --quick only prints, --report writes the page again from a file.
"""
import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path.insert(0, f'{TOP}/test/lib')
os.environ.setdefault('HOLDFAST', f'{TOP}/build/holdfast')
os.environ.setdefault('HOLDFAST_TOOLS', f'{TOP}/build/test')
import curve_report  # noqa: E402
from busy import Busy  # noqa: E402
from cluster import Cluster, now  # noqa: E402
from holdfast import Site, isolate  # noqa: E402
from losing import Losses  # noqa: E402

NAMES = 'abc'
SETTINGS = [    # heartbeat, suspect-after, in ms; the second is at least three of the first
    (20, 60), (20, 100), (20, 200),
    (50, 150), (50, 200), (50, 400), (50, 800),
    (100, 300), (100, 800),
    (200, 600), (200, 1600),
]
QUICK = [(10, 30), (20, 60), (50, 200)]


def renice(node, value):
    """All threads of all its processes: each has a priority of its own."""
    for process in node.status()['processes']:
        for thread in os.listdir(f"/proc/{process['pid']}/task"):
            os.setpriority(os.PRIO_PROCESS, int(thread), value)


def measure(heartbeat, patience, seconds, losses, loops, nice):
    with tempfile.TemporaryDirectory(prefix='holdfast-curve.') as folder:
        os.chmod(folder, 0o755)
        with Site(folder) as site, Cluster(site, NAMES, settings=f'heartbeat = {heartbeat}ms  suspect-after = {patience}ms') as cluster:
            cluster.start()
            busy = Busy(site, loops * os.cpu_count())
            renice(cluster[NAMES[-1]], nice)
            began, start = now(), time.monotonic()
            time.sleep(seconds)
            false = {code: len(cluster.events(f'node-{code}', since=began)) for code in ('suspect', 'failed')}
            watched = time.monotonic() - start
            renice(cluster[NAMES[-1]], 0)
            cluster.await_agreement()
            lost = Losses(cluster, strict=False, away=patience * 2.5 / 1000)
            for i in range(losses):
                time.sleep(lost.random.uniform(0.3, 0.8))
                lost.cut(NAMES[i % len(NAMES)])
            return {'heartbeat': heartbeat, 'suspect_after': patience, 'seconds': watched, 'pairs': len(NAMES) * (len(NAMES) - 1),
                    'suspected': false['suspect'], 'failed': false['failed'], 'agreed_ms': lost.agreed, 'first_ms': lost.first,
                    'wrong': lost.wrong, 'busy': busy.stop()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--losses', type=int, default=15)
    parser.add_argument('--loops', type=int, default=2)
    parser.add_argument('--nice', type=int, default=10)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--report', metavar='FILE')
    args = parser.parse_args()
    if args.report:
        with open(args.report) as f:
            return curve_report.write(TOP, json.load(f))
    isolate()
    if args.quick:
        args.seconds, args.losses = min(args.seconds, 10), min(args.losses, 5)
    rows = []
    for heartbeat, patience in QUICK if args.quick else SETTINGS:
        row = measure(heartbeat, patience, args.seconds, args.losses, args.loops, args.nice)
        rows.append(row)
        print(f'{heartbeat:4} ms, {patience:5} ms: known to all after {statistics.median(row["agreed_ms"]):.0f} ms median, '
              f'{max(row["agreed_ms"]):.0f} worst; {row["suspected"]} false suspicions, {row["failed"]} false failures in {row["seconds"]:.0f} s; '
              f'{row["busy"]}', flush=True)
    found = {'rows': rows, 'machine': f'{os.cpu_count()} processors, Linux {platform.release()}'}
    if not args.quick:
        os.makedirs(f'{TOP}/build', exist_ok=True)
        with open(f'{TOP}/build/curve.json', 'w') as f:
            json.dump(found, f, indent=1)
        curve_report.write(TOP, found)


if __name__ == '__main__':
    main()
