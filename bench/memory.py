"""Memory that idle connections hold: of all of the proxy's processes, over what they held before."""
import resource
import socket
import statistics
import time

from rig import REAL, memory, port_of, stack, tree
from session import head, row

TITLE = 'Memory of idle connections'
LISTENERS = {'http': 'HTTP, idle after one request', 'tcp': 'TCP, connected to the backend, idle after one exchange'}
WARM = 20
SETTLED = 64 * 1024     # bytes: memory that changes by less within a pause has settled
SOURCES = 16            # addresses that clients come from


def connect(port, number):
    """A connection that has had one request; clients come from several addresses, for ports are few."""
    s = socket.socket()
    s.setsockopt(socket.IPPROTO_IP, 24, 1)      # IP_BIND_ADDRESS_NO_PORT
    s.bind((f'127.0.1.{1 + number % SOURCES}', 0))
    s.settimeout(20)
    s.connect(('127.0.0.1', port))
    s.sendall(b'GET /128 HTTP/1.1\r\nHost: bench\r\n\r\n')
    got = b''
    while b'a' * 128 not in got:
        more = s.recv(4096)
        if not more:
            raise SystemExit('a proxy closed an idle connection')
        got += more
    return s


def settled(pids, pause):
    """Memory when it no longer changes: proxies give some back a while later."""
    last = memory(pids)
    for _ in range(10):
        time.sleep(pause)
        now = memory(pids)
        if abs(now['Private_Dirty'] - last['Private_Dirty']) < SETTLED:
            break
        last = now
    return now


def fits(wanted, open_files):
    """As many connections as every proxy holds with so many open files: each takes two or three descriptors, and
    proxies keep some back. In hundreds."""
    return max(100, min(wanted, (open_files * 9 // 20 - 150) // 100 * 100))


def measure(session, listener, proxy, count):
    with stack(proxy, listener, session.work) as (front, _):
        pids = tree(front.pid)
        kept = [connect(port_of(proxy, listener), i) for i in range(WARM)]
        base = settled(pids, 0.3)
        try:
            kept += [connect(port_of(proxy, listener), i) for i in range(count)]
            full = settled(pids, session.settings.idle_pause)
        finally:
            for s in kept:
                s.close()
    return {'private': (full['Private_Dirty'] - base['Private_Dirty']) / count,
            'pss': (full['Pss'] - base['Pss']) / count, 'base': base['Pss']}


def run(session):
    """{'count', 'limit', 'listeners': {listener: {proxy: runs}}}. Nothing depends on time here, so nothing is discarded."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    results, count = {}, fits(session.settings.idle, limit)
    proxies = [p for p in REAL if p in session.settings.proxies]
    for listener in LISTENERS:
        results[listener] = {p: [] for p in proxies}
        for _ in range(session.settings.idle_reps):
            for proxy in proxies:
                try:
                    results[listener][proxy].append(measure(session, listener, proxy, count))
                except (OSError, SystemExit) as problem:
                    session.notes.append(f'{proxy} did not hold {count} idle {listener} connections: {problem}')
                print('.', end='', flush=True, file=session.progress)
    print('', file=session.progress)
    return {'count': count, 'limit': limit, 'listeners': results}


TEXT = """{count:,} connections to one worker (a process may open {limit:,} files here), each opened, used for one request or exchange of 128 B, and left alone. Bytes per
connection, of all of the proxy's processes together, over what they held with {warm} connections: private pages that were
written, and the proportional set. The kernel's own memory of the sockets is not in it, and is the same for all.

"""


def section(results):
    rows = [head('proxy, ' + 'mode', 'private bytes per connection', 'proportional', 'MiB per 10,000', 'lowest to highest',
                 'base MiB')]
    for listener, of in results['listeners'].items():
        for proxy, runs in ((p, r) for p, r in of.items() if r):
            private = [r['private'] for r in runs]
            middle = statistics.median(private)
            rows.append(row(f'{proxy}, {LISTENERS[listener]}', f'{middle:,.0f}',
                            f'{statistics.median(r["pss"] for r in runs):,.0f}', f'{middle * 10000 / (1 << 20):.1f}',
                            f'{min(private):,.0f} to {max(private):,.0f}',
                            f'{statistics.median(r["base"] for r in runs) / (1 << 20):.1f}'))
    return f'## {TITLE}\n\n{TEXT.format(count=results["count"], limit=results["limit"], warm=WARM)}' + '\n'.join(rows) + '\n'
