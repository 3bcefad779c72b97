"""What 1 GiB through TCP mode costs: CPU seconds of the whole machine, and of the proxy alone."""
from rig import GIB, LOAD_CPU, Meter, port_of, stack
from session import bounded, head, output, row
from stats import compare, median

TITLE = '1 GiB through TCP mode'
FLOOR, COPY_FLOOR = 'floor_splice', 'floor_epoll'


def measure(session, proxy):
    with stack(proxy, 'bulk', session.work) as (front, back):
        port = port_of(proxy, 'bulk')
        meter = Meter([front], [back])
        got, seconds = map(float, output([f'{session.work}/download', str(port), '/1g'], LOAD_CPU).split())
        run = meter.stop()
    run['bad'] = '' if got > GIB else f'only {got:.0f} bytes of 1 GiB came'
    run['rate'] = got / seconds / (1 << 20)
    return run


def run(session):
    with open(f'{session.work}/www/1g', 'rb') as f:     # into the page cache
        while f.read(1 << 24):
            pass
    return session.interleave(session.proxies('bulk'), lambda proxy: measure(session, proxy))


TEXT = f"""One download at a time, thrown away inside the kernel by its client. `{FLOOR}` is a bare loop of two blocking splice calls
without an event loop, `{COPY_FLOOR}` reads and writes 32 KiB pieces. Whole machine: proxy, backend, client and the kernel's threads.

"""


def section(results):
    rows = [head('proxy', 'whole machine CPU s', 'to the splice floor (95%)', 'proxy alone CPU s', 'to the splice floor (95%)',
                 'kernel threads s', 'MiB/s')]
    base = results.get(FLOOR)
    for proxy, runs in results.items():
        both = ['1' if proxy == FLOOR else bounded(compare(runs, base, key)) for key in ('whole', 'cpu')]
        rows.append(row(proxy, f'{median(runs, "whole"):.2f}', both[0], f'{median(runs, "cpu"):.2f}', both[1],
                        f'{median(runs, "kernel"):.3f}', f'{median(runs, "rate"):,.0f}'))
    return f'## {TITLE}\n\n{TEXT}' + '\n'.join(rows) + '\n'
