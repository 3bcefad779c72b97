#!/usr/bin/python3
"""Where the user time of a proxy goes: its functions, by instructions per request, in every scenario.

usage: profiles.py [--scenarios a,b] [--proxies a,b] [--requests N] [--top N] [--lines N] [--kernel SECONDS]

Callgrind runs the proxy on a simulated processor and counts every instruction outside the kernel. The counts need no
performance counters and do not depend on what else the machine does, so two runs can be compared on a busy one. They know
nothing of caches, of branches that were guessed wrong, or of the kernel.

  --lines N            and the N source lines that cost most (where the source is known)
  --kernel SECONDS     samples the running proxy instead, kernel included (perf, by the clock): shares of its CPU time
"""
import argparse
import collections
import glob
import os
import re
import signal
import subprocess
import sys
import time

from rig import HERE, LOAD_CPU, PROXIES, isolate, pinned, port_of, prepare, stack, tree
from session import CONNECTIONS, wrk

SCENARIOS = {   # name: (listener, path, a connection per request)
    'http-128': ('http', '/128', False),
    'http-16k': ('http', '/16k', False),
    'http-close': ('http', '/128', True),
    'tcp-128': ('tcp', '/128', False),
    'tcp-16k': ('tcp', '/16k', False),
}
WARM = 200


def send(work, port, path, close, requests):
    """So many requests, as fast as they are answered."""
    if close:
        command = [f'{work}/storm', port, path, requests, CONNECTIONS]
    else:
        command = [f'{work}/openloop', port, path, 1e7, requests / 1e7, CONNECTIONS]
    subprocess.run([str(word) for word in command], preexec_fn=pinned(LOAD_CPU), input='\n' * 10, text=True,
                   stdout=subprocess.DEVNULL, check=True)


def control(option, pids):
    for pid in pids:
        subprocess.run(['callgrind_control', option, str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def profile(work, proxy, listener, path, close, requests=2000):
    """{'total': instructions per request, 'functions': [(name, per request)], 'lines': the same, 'callers': {name: who calls it most}}."""
    for old in glob.glob(f'{work}/callgrind.*'):
        os.unlink(old)
    output = f'{work}/callgrind.%p'
    under = ['valgrind', '-q', '--tool=callgrind', '--trace-children=yes', f'--callgrind-out-file={output}']
    if proxy == 'holdfast':     # shut in as it is, it would not let valgrind work: see unboxed.c
        library = f'{work}/unboxed.so'
        subprocess.run(['gcc', '-O2', '-shared', '-fPIC', '-o', library, f'{HERE}/unboxed.c'], check=True)
        under = ['env', f'LD_PRELOAD={library}', f'BENCH_CALLGRIND={output}']
    functions, lines, callers = collections.Counter(), collections.Counter(), {}
    with stack(proxy, listener, work, under=under) as (front, _):
        port, pids = port_of(proxy, listener), tree(front.pid)
        send(work, port, path, close, WARM)
        control('-z', pids)
        send(work, port, path, close, requests)
        control('-d', pids)
        for name in glob.glob(f'{work}/callgrind.*.*'):
            with open(name) as dump:
                read_dump(dump, functions, lines, callers)
    ranked = lambda counter: [(name, count / requests) for name, count in counter.most_common()]
    return {'total': functions.total() / requests, 'functions': ranked(functions), 'lines': ranked(lines),
            'callers': {callee: of.most_common(1)[0][0] for callee, of in callers.items()}}


NAME = re.compile(r'(fl|fi|fe|fn|ob|cfi|cfl|cfn|cob)=\((\d+)\)(?: (.*))?')
COST = re.compile(r'([+*-]?)(\d*) (\d+)$')


def read_dump(text, functions, lines, callers):
    """Adds what each function and each source line cost itself: what a call cost is its callee's, and counted there.

    callers: {callee: counter of its callers, by that cost}"""
    names, line, called = {}, 0, False
    function, home, file, callee_home, callee = '', '', '', '', ''
    for row in text:
        if match := NAME.match(row):
            kind, number, name = match.groups()
            key = {'cfi': 'fl', 'fi': 'fl', 'fe': 'fl', 'cfl': 'fl', 'cfn': 'fn', 'cob': 'ob'}.get(kind, kind), number
            name = names.setdefault(key, name)
            if kind in ('fl', 'fi', 'fe'):
                file = name
                home = name if kind == 'fl' else home
            elif kind == 'fn':
                function, file, callee_home = f'{os.path.basename(home)}:{name}', home, home
            elif kind in ('cfi', 'cfl'):
                callee_home = name
            elif kind == 'cfn':
                callee = f'{os.path.basename(callee_home)}:{name}'
        elif row.startswith('calls='):
            called = True
        elif match := COST.match(row):
            sign, position, cost = match.groups()
            line = {'': lambda n: n, '+': lambda n: line + n, '-': lambda n: line - n, '*': lambda n: line}[sign](int(position or 0))
            if not called:
                functions[function] += int(cost)
                lines[f'{file}:{line}'] += int(cost)
            else:
                callers.setdefault(callee, collections.Counter())[function] += int(cost)
                callee_home = home
            called = False


def source(place):
    """dir/file.c:7 -> file.c:7 and what stands there, if it is known here."""
    path, _, line = place.rpartition(':')
    try:
        with open(os.path.normpath(path)) as f:
            text = f.read().splitlines()[int(line) - 1].strip()
    except (OSError, IndexError):
        text = ''
    return f'{os.path.basename(path)}:{line}  {text[:90]}'


def sampled(work, pids, load):
    """{(user or kernel, function): share of the CPU time of these processes} while load() runs.

    By a clock that strikes 4,000 times a second: needs no performance counters. Empty if perf may not."""
    data = f'{work}/perf.data'
    if os.path.exists(data):
        os.unlink(data)
    sampler = subprocess.Popen(['perf', 'record', '-q', '-e', 'cpu-clock', '-F', '4000', '-o', data,
                                '-p', ','.join(str(pid) for pid in pids)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 5
    while not (os.path.exists(data) and os.path.getsize(data)) and sampler.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    load()
    sampler.send_signal(signal.SIGINT)
    sampler.wait()
    text = subprocess.run(['perf', 'report', '-q', '-i', data, '--stdio', '--sort', 'symbol'], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout
    rows = re.findall(r'(?m)^\s*([\d.]+)%\s+\[([k.])\]\s+(\S+)', text)
    return {('kernel' if kind == 'k' else 'user', name): float(share) / 100 for share, kind, name in rows}


def print_samples(work, proxy, scenario, seconds, top):
    listener, path, close = SCENARIOS[scenario]
    words = ['-H', 'Connection: close'] if close else []
    with stack(proxy, listener, work) as (front, _):
        found = sampled(work, tree(front.pid), lambda: wrk(port_of(proxy, listener), path, seconds, words))
    user = sum(share for (kind, _), share in found.items() if kind == 'user')
    print(f'\n{scenario}, {proxy}: share of CPU time; user {user:.1%}')
    for (kind, name), share in list(found.items())[:top]:
        print(f'  {share:6.1%}  {kind:6}  {name}')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(',')
    parser.add_argument('--scenarios', type=names, default=list(SCENARIOS))
    parser.add_argument('--proxies', type=names, default=['holdfast', 'floor_l7', 'floor_epoll'])
    parser.add_argument('--requests', type=int, default=4000)
    parser.add_argument('--top', type=int, default=25)
    parser.add_argument('--lines', type=int, default=0)
    parser.add_argument('--kernel', type=int, default=0)
    args = parser.parse_args()
    work = isolate('nginx', 'wrk', 'gcc', 'unshare', 'ip', 'perf' if args.kernel else 'valgrind')
    prepare(work)
    for scenario in args.scenarios:
        listener, path, close = SCENARIOS[scenario]
        for proxy in (p for p in args.proxies if listener in PROXIES[p][1]):
            if args.kernel:
                print_samples(work, proxy, scenario, args.kernel, args.top)
                continue
            found = profile(work, proxy, listener, path, close, args.requests)
            if not found['total']:
                sys.exit(f'{scenario}, {proxy}: callgrind wrote nothing')
            print(f'\n{scenario}, {proxy}: {found["total"]:,.0f} user instructions per request')
            for name, per_request in found['functions'][:args.top]:
                caller = found['callers'].get(name)
                print(f'  {per_request:10,.1f}  {name}' + (f'  < {caller}' if caller else ''))
            for place, per_request in found['lines'][:args.lines]:
                print(f'  {per_request:10,.1f}  {source(place)}')
            sys.stdout.flush()


if __name__ == '__main__':
    main()
