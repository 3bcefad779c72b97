"""Accept storm: very many short connections in a row, and whether anything grows with their number."""
import json
import subprocess

from rig import LOAD_CPU, REAL, cpu_seconds, descriptors, memory, pinned, port_of, stack, tree
from session import head, row

TITLE = 'Accept storm'
TENTHS = 10


def measure(session, proxy):
    """After each tenth the storm pauses, with no connection open, while memory and descriptors are read."""
    rows = []
    with stack(proxy, 'http', session.work) as (front, _):
        pids = tree(front.pid)
        words = [f'{session.work}/storm', port_of(proxy, 'http'), '/128', session.settings.storm, 64]
        storm = subprocess.Popen([str(word) for word in words], preexec_fn=pinned(LOAD_CPU), stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True)
        before = cpu_seconds(pids)
        for _ in range(TENTHS):
            tenth = json.loads(storm.stdout.readline())
            after = cpu_seconds(pids)
            tenth['us'] = (after - before) * 1e6 / max(tenth['connections'], 1)
            tenth['private'] = memory(pids)['Private_Dirty']
            tenth['descriptors'] = descriptors(pids)
            before = cpu_seconds(pids)
            rows.append(tenth)
            storm.stdin.write('\n')
            storm.stdin.flush()
        storm.wait()
    print('.', end='', flush=True, file=session.progress)
    return rows


def run(session):
    proxies = [p for p in REAL if p in session.settings.proxies]
    results = {p: measure(session, p) for p in proxies}
    print('', file=session.progress)
    for proxy, tenths in results.items():
        if failed := sum(t['failed'] for t in tenths):
            session.notes.append(f'storm, {proxy}: {failed} connections failed')
    return {'count': session.settings.storm, 'proxies': results}


TEXT = """{count:,} connections, 64 at a time, each with one request of 128 B and closed by the proxy. After every tenth the storm pauses
with no connection open, and memory and descriptors of all of the proxy's processes are read. First tenth → last tenth.

"""


def section(results):
    rows = [head('proxy', 'failed', 'private KiB', 'descriptors', 'p50 us', 'p99 us', 'CPU us per connection', 'connections/s')]
    for proxy, tenths in results['proxies'].items():
        first, last = tenths[0], tenths[-1]
        change = lambda key, scale=1, digits=0: f'{first[key] / scale:,.{digits}f} → {last[key] / scale:,.{digits}f}'
        rates = [f'{t["connections"] / t["seconds"]:,.0f}' for t in (first, last)]
        rows.append(row(proxy, sum(t['failed'] for t in tenths), change('private', 1024), change('descriptors'), change('p50'),
                        change('p99'), change('us', 1, 1), ' → '.join(rates)))
    return f'## {TITLE}\n\n{TEXT.format(count=results["count"])}' + '\n'.join(rows) + '\n'
