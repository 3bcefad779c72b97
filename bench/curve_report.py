"""docs/detection-curve.md and its picture, from what curve.py measured. Pure but for writing them."""
import os
import statistics

import picture

HEAD = """# Noticing a loss, and what it costs

Written by `make curve`. Of three nodes at a bridge one is lost silently: nothing passes to or from it, and nobody is told. The earlier
the others dare to say so, the more often they say it of a node that is only late: this is the trade-off of every failure detector.

Method: {machine}, kept busy by other work (`test/lib/jitter.c`: arithmetic, memory, system calls, bursts), real daemons in network
namespaces. For each pair of settings {seconds:.0f} s in which nothing happens but that one of the three is starved (`nice`), so that its
heartbeats are late where the others' are in time: each suspicion and failure is false, or the node's own fault. Then {losses} losses at
random times, of nodes of equal priority. The time runs from the bridge's rule until the last survivor's event. *Suspicions* are one observer's
impression and change nothing for anybody; *failures* are what the observers agreed upon. 0.0 says that none came in {pairs:.0f} s of
pairs, no more; `make soak-mesh` watches the defaults for hours. Where the interval is below the delays of the machine itself, nodes find
their own timers late and grow more patient (local health): then a shorter one notices a loss later.

![detection time and false suspicions](detection-curve.svg)

| heartbeat | suspect-after | known to the first, median | known to all, median | worst | false suspicions, an hour of each pair | false failures |
|--:|--:|--:|--:|--:|--:|--:|
"""


def per_hour(row, key='suspected'):
    return row[key] * 3600 / row['seconds'] / row['pairs']


def is_default(row):
    return (row['heartbeat'], row['suspect_after']) == (50, 200)


def table(rows):
    lines = []
    for r in rows:
        mark = '**' if is_default(r) else ''
        lines.append(f"| {mark}{r['heartbeat']} ms{mark} | {mark}{r['suspect_after']} ms{mark} | {statistics.median(r['first_ms']):.0f} ms | "
                     f"{statistics.median(r['agreed_ms']):.0f} ms | {max(r['agreed_ms']):.0f} ms | {per_hour(r):,.1f} | {r['failed'] + r['wrong']} |")
    return '\n'.join(lines)


def series(rows):
    """{'heartbeat 50 ms': [(detection time, false suspicions an hour, what stands beside the point)]}"""
    found = {}
    for r in rows:
        found.setdefault(f"heartbeat {r['heartbeat']} ms", []).append(
            (statistics.median(r['agreed_ms']), per_hour(r), f"{r['suspect_after']} ms{', the default' if is_default(r) else ''}"))
    return found


def write(top, found):
    rows = found['rows']
    losses, seconds = len(rows[0]['agreed_ms']), rows[0]['seconds']
    least = 3600 / seconds / rows[0]['pairs'] / 2
    words = ('For each heartbeat interval a line, for each suspect-after a point: the longer the patience, the later a loss is known and the fewer '
             'suspicions are false.')
    svg = picture.trade_off('A loss known early, a suspicion too many', words, series(rows), least,
                            'until all survivors know of a loss, ms (median)', 'false suspicions, an hour of each pair')
    with open(os.path.join(top, 'docs/detection-curve.svg'), 'w') as f:
        f.write(svg)
    worst = max(rows, key=lambda r: r['suspected'])
    text = HEAD.format(machine=found['machine'], pairs=seconds * rows[0]['pairs'], seconds=seconds, losses=losses) + table(rows)
    text += f"\n\nThe defaults are in bold. How busy the machine was, at the setting with the most suspicions: {worst['busy']}.\n"
    with open(os.path.join(top, 'docs/detection-curve.md'), 'w') as f:
        f.write(text)
