"""What a second worker brings, and where the rest of it goes.

Three arrangements, with a load generator and a backend on every processor that is used, so that no processor does
another's work for it:

    one     one worker, all on the first processor
    two     two workers of one proxy, on both processors; generators and backend workers pinned apart, one each
    apart   two proxies of one worker each that share nothing, one on each processor with a generator and a backend

`apart` is what two processors of this machine can do at most: where it falls short of 2.0 the machine does (shared
caches, memory, the hypervisor's own threads). What `two` loses against `apart` is the price of being one proxy: a
connection's worker need not be on the processor of its client or backend, so wake-ups and data cross, and threads may
wait for each other. The contention profile tells these apart: locks show as futex calls, waiting as context switches.
"""
import re
import shutil
import signal
import subprocess

from closed import optional
from profiles import sampled
from rig import CPUS, FIRST, REAL, SECOND, Meter, port_of, stack, tasks, tree
from session import CONNECTIONS, bounded, head, row, wrk_begin, wrk_end
from stats import compare, median

TITLE = 'Two workers'
ARRANGEMENTS = ('one', 'two', 'apart')
WAYS = ('voluntary', 'nonvoluntary')


def switches(pids):
    """[voluntary, involuntary] context switches of all threads."""
    total = [0, 0]
    for task in tasks(pids):
        with open(f'{task}/status') as f:
            text = f.read()
        for i, way in enumerate(WAYS):
            total[i] += int(re.search(rf'(?m)^{way}_ctxt_switches:\s+(\d+)', text)[1])
    return total


def load(session, ports):
    """A generator on each processor in use, each with half of the connections or, alone, as many as one of two has."""
    begun = [wrk_begin(port, '/128', session.settings.seconds, cpus=cpus, connections=CONNECTIONS // 2)
             for port, cpus in ports]
    ended = [wrk_end(process) for process in begun]
    return {'requests': sum(r['requests'] for r in ended), 'rate': sum(r['rate'] for r in ended),
            'p99': max(r['p99'] for r in ended), 'bad': ' '.join(r['bad'] for r in ended).strip()}


def metered(session, proxies, backends, ports):
    pids = [pid for p in proxies for pid in tree(p.pid)]
    for port, _ in ports:
        session.warm(port)
    meter, before = Meter(proxies, backends), switches(pids)
    run = load(session, ports)
    after = switches(pids)
    run.update(meter.stop())
    us = 1e6 / run['requests']
    run.update({key: run[key] * us for key in ('cpu', 'user', 'whole', 'kernel')})
    run.update({way: (b - a) / run['requests'] for way, a, b in zip(WAYS, before, after)})
    return run


def measure(session, proxy, arrangement):
    port = port_of(proxy, 'http')
    if arrangement == 'two':
        with stack(proxy, 'http', session.work, 'two', FIRST | SECOND, FIRST | SECOND) as (front, back):
            return metered(session, [front], [back], [(port, FIRST), (port, SECOND)])
    with stack(proxy, 'http', session.work, 'one', FIRST, FIRST) as (front, back):
        if arrangement == 'one':
            return metered(session, [front], [back], [(port, FIRST)])
        with stack(proxy, 'http', session.work, 'other', SECOND, SECOND) as (front2, back2):
            ports = [(port, FIRST), (port_of(proxy, 'http', 'other'), SECOND)]
            return metered(session, [front, front2], [back, back2], ports)


def calls(session, proxy, variant, cpus):
    """{system call: count per request} by strace, which stretches everything: counts, not times."""
    counts = f'{session.work}/strace'
    with stack(proxy, 'http', session.work, variant, cpus, cpus) as (front, _):
        pids = [word for pid in tree(front.pid) for word in ('-p', str(pid))]
        tracer = subprocess.Popen(['strace', '-c', '-f', '-o', counts, *pids], stderr=subprocess.PIPE, text=True)
        for _ in pids[::2]:
            tracer.stderr.readline()
        port = port_of(proxy, 'http')
        requests = load(session, [(port, {cpu}) for cpu in sorted(cpus)])['requests']
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
    with open(counts) as f:
        rows = re.findall(r'(?m)^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$', f.read())
    return {name: int(count) / requests for count, name in rows if name != 'total'}


# What the kernel does for a proxy, by the names of its functions; what fits none is the network stack and its sockets.
GROUPS = {
    'waiting for locks': r'slowpath|osq_lock|mutex|rwsem|futex',
    'wake-ups, switches, interrupts': r'sched|wake|ttwu|task|rq\b|_rq_|cfs|pick_|update_curr|update_load|dequeue|enqueue_entity|unlock_irq|'
                                      r'ipi|smp_|irq_|idle|ep_poll|ep_item|epoll|switch',
    'entering and leaving system calls': r'syscall|entry_|fdget|fput|x64_sys|exit_to',
}
REST = 'sockets and the network stack'


def group_of(kind, name):
    if kind == 'user':
        return 'user'
    return next((group for group, pattern in GROUPS.items() if re.search(pattern, name)), REST)


def groups(session, proxy, variant, cpus):
    """{group: microseconds of CPU per request} of a proxy under load, by samples of its own run."""
    port = port_of(proxy, 'http')
    ports = [(port, {cpu}) for cpu in sorted(cpus)]
    with stack(proxy, 'http', session.work, variant, cpus, cpus) as (front, back):
        session.warm(port)
        meter, run, shares = Meter([front], [back]), {}, {}
        for key, share in sampled(session.work, tree(front.pid), lambda: run.update(load(session, ports))).items():
            shares[group_of(*key)] = shares.get(group_of(*key), 0) + share
        cost = meter.stop()['cpu'] * 1e6 / run['requests']
    return {group: share * cost for group, share in shares.items()}


def run(session):
    """{'proxies': {proxy: {arrangement: runs}}, 'calls': {arrangement: ...} of holdfast}"""
    proxies = [p for p in REAL if p in session.settings.proxies]
    if session.settings.quick:
        proxies = proxies[:1]
    names = [f'{proxy} {arrangement}' for proxy in proxies for arrangement in ARRANGEMENTS]
    runs = session.interleave(names, lambda name: measure(session, *name.split()))
    results = {p: {a: runs[f'{p} {a}'] for a in ARRANGEMENTS} for p in proxies}
    counted, sampled_groups = {}, {}
    if not session.settings.quick:
        where = {'one': FIRST, 'two': FIRST | SECOND}
        counted = {p: {a: optional('system calls', calls, session, p, a, cpus) or {} for a, cpus in where.items()} for p in proxies}
        if shutil.which('perf'):
            sampled_groups = {a: optional('samples', groups, session, proxies[0], a, cpus) or {} for a, cpus in where.items()}
    return {'processors': len(CPUS), 'proxies': results, 'calls': counted, 'groups': sampled_groups}


TEXT = """HTTP/1.1 keep-alive, 128 B. *one*: a worker, a generator and a backend together on one processor. *two*: two workers of one
proxy on both processors, with a generator and a backend worker pinned to each. *apart*: two proxies of one worker that share
nothing, one on each processor with a generator and a backend of its own: what this machine can do at most. There are {n}
processors and everything runs on them, so this tells what sharing costs, not how far it scales: with more processors the
generators would be elsewhere, and data would cross between processors for every request of *one* as well.

"""


def explain(proxy, of, calls_of):
    """Where the rest to 2.0 goes, in words."""
    one, two, apart = (of[a] for a in ARRANGEMENTS)
    gain, most, cpu = compare(two, one, 'rate'), compare(apart, one, 'rate'), compare(two, one, 'cpu')
    words = [f'**{proxy}**: two workers do {gain["ratio"]:.2f} times the work of one, at {cpu["ratio"]:.2f} times the CPU per request; '
             f'two proxies that share nothing do {most["ratio"]:.2f} times.']
    if not (gain['clean'] and most['clean'] and cpu['clean']):
        words.append('Too much else went on to say what the difference consists of.')
    else:
        machine, sharing = max(0, 2 - most['ratio']), max(0, most['ratio'] - gain['ratio'])
        words.append(f'So {machine:.2f} of what is missing to 2.0 is the machine\'s own, and {sharing:.2f} is the price of being one proxy.')
    if calls_of and all(calls_of.values()):
        futex = [calls_of[a].get('futex', 0) for a in ('one', 'two')]
        total = [sum(calls_of[a].values()) for a in ('one', 'two')]
        words.append(f'System calls per request: {total[0]:.2f} with one worker, {total[1]:.2f} with two; futex calls, the mark of threads '
                     f'that wait for each other: {futex[0]:.4f} and {futex[1]:.4f}.')
    return ' '.join(words)


def group_table(found):
    names = sorted(set(found['one']) | set(found['two']), key=lambda g: -found['two'].get(g, 0))
    rows = [head('where the CPU time of holdfast goes, us per request', 'one', 'two', 'difference')]
    for name in names:
        one, two = found['one'].get(name, 0), found['two'].get(name, 0)
        rows.append(row(name, f'{one:.2f}', f'{two:.2f}', f'{two - one:+.2f}'))
    more = {name: found['two'].get(name, 0) - found['one'].get(name, 0) for name in names}
    most = max(more, key=more.get)
    return ('\n'.join(rows) + f'\n\nSampled 4,000 times a second, grouped by the names of the kernel\'s functions. With two workers a request '
            f'costs {sum(more.values()):+.2f} us; most of the difference: {most} ({more[most]:+.2f} us), waiting for locks '
            f'{more.get("waiting for locks", 0):+.2f} us.\n')


def section(results):
    rows = [head('proxy, arrangement', 'requests/s', 'to one (95%)', 'CPU us', 'to one (95%)',
                 'voluntary switches', 'involuntary', 'p99 ms')]
    told = []
    for proxy, of in results['proxies'].items():
        for name, runs in of.items():
            rate, cpu = ('1' if name == 'one' else bounded(compare(runs, of['one'], key)) for key in ('rate', 'cpu'))
            rows.append(row(f'{proxy}, {name}', f'{median(runs, "rate"):,.0f}', rate, f'{median(runs, "cpu"):.1f}', cpu,
                            f'{median(runs, "voluntary"):.3f}', f'{median(runs, "nonvoluntary"):.3f}', f'{median(runs, "p99"):.1f}'))
        told.append(explain(proxy, of, results['calls'].get(proxy)))
    profile = f'\n{group_table(results["groups"])}' if all(results['groups'].values()) and results['groups'] else ''
    return (f'## {TITLE}\n\n{TEXT.format(n=results["processors"])}' + '\n'.join(rows)
            + '\n\nSwitches are per request.\n\n' + '\n\n'.join(told) + '\n' + profile)
