#!/usr/bin/python3
"""What a large configuration costs: many services with many instances each, all of them checked.

usage: scale.py [--services 1000] [--instances 10] [--every 1s] [--reloads 10] [--seconds 5]

One backend answers on all of 127.0.0.0/8, so that every instance has an address of its own. Printed: the time of
`holdfast check`; from exec to every listener accepting and `status` answering; of a reload that changes one service (from
the request to its answer), the longest turn of a worker while it took the view, and the slowest answer meanwhile;
the CPU that each process takes with nothing but checks; and the memory of each process, and per instance.
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time

from rig import TOP, isolate, stop

FIRST_PORT, BACKEND = 20000, 9000
HOLDFAST = os.environ.get('HOLDFAST', f'{TOP}/build/holdfast')
TOOLS = os.environ.get('HOLDFAST_TOOLS', f'{TOP}/build/test')


def config(services, instances, every, changed=None):
    """The one service that is changed has one instance more."""
    lines = ['workers = 2']
    for i in range(services):
        lines.append(f'service s{i} {{\n  listen = http://127.0.0.1:{FIRST_PORT + i}')
        for k in range(instances + (i == changed)):
            n = i * (instances + 1) + k + 1
            lines.append(f'  backend 127.{1 + n // 65025}.{n // 255 % 255}.{n % 255 + 1}:{BACKEND}')
        lines.append(f'  check {{ http = /health  every = {every} }}\n}}')
    return '\n'.join(lines) + '\n'


def write(path, text):
    with open(path + '.new', 'w') as f:
        f.write(text)
    os.rename(path + '.new', path)


def holdfast(*words, state=None):
    begun = time.monotonic()
    done = subprocess.run([HOLDFAST, *words, *(['--state', state] if state else [])], capture_output=True, text=True)
    return time.monotonic() - begun, done


def accepts(port):
    try:
        socket.create_connection(('127.0.0.1', port), 5).close()
        return True
    except OSError:
        return False


def await_start(process, state, args):
    """Seconds until every listener accepts, and until status answers with every service."""
    begun = time.monotonic()
    for i in reversed(range(args.services)):
        while not accepts(FIRST_PORT + i):
            if process.poll() is not None:
                sys.exit('holdfast ended')
            time.sleep(0.005)
    listening = time.monotonic() - begun
    while True:
        _, done = holdfast('status', '--json', state=state)
        if done.returncode == 0 and len(json.loads(done.stdout)['services']) == args.services:
            return listening, time.monotonic() - begun, json.loads(done.stdout)


class Pulse(threading.Thread):
    """Asks one unchanged service again and again on one connection; remembers the slowest answer."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.socket.settimeout(10)
        self.slowest, self.answers, self.failures, self.ends = 0.0, 0, 0, False

    def run(self):
        while not self.ends:
            begun = time.monotonic()
            self.socket.sendall(b'GET / HTTP/1.1\r\nHost: scale\r\n\r\n')
            if not self.socket.recv(4096).startswith(b'HTTP/1.1 200'):
                self.failures += 1
                return
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.answers += 1
            time.sleep(0.001)

    def reset(self):
        slowest, self.slowest = self.slowest, 0.0
        return slowest


def cpu(pid):
    """Seconds of all its threads."""
    total = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/schedstat') as f:
            total += int(f.read().split()[0])
    return total / 1e9


def memory(pid):
    """Its own memory and, apart, the tables that all processes share; bytes."""
    with open(f'/proc/{pid}/status') as f:
        rows = {line.split(':')[0]: line.split()[1] for line in f if line.startswith('Rss')}
    return int(rows['RssAnon']) * 1024, int(rows['RssShmem']) * 1024


def median(values):
    return sorted(values)[len(values) // 2]


def measure_reloads(file, state, args):
    texts = [config(args.services, args.instances, args.every, changed) for changed in (None, args.services // 2)]
    pulse = Pulse(FIRST_PORT)
    pulse.start()
    times, stalls = [], []
    time.sleep(0.5)
    quiet = pulse.reset()
    for i in range(args.reloads):
        write(file, texts[(i + 1) % 2])
        took, done = holdfast('reload', state=state)
        if done.returncode:
            sys.exit(f'reload failed: {done.stdout}{done.stderr}')
        times.append(took)
        time.sleep(0.3)
        stalls.append(pulse.reset())
    pulse.ends = True
    pulse.join()
    if pulse.failures:
        sys.exit('a request failed during a reload')
    return times, stalls, quiet


def cost_of_reloads(file, state, pids, args):
    """CPU seconds that each process takes for a reload, with nothing else to do."""
    texts = [config(args.services, args.instances, '3600s', changed) for changed in (None, args.services // 2)]
    for text in (texts[0], texts[1]):
        write(file, text)
        holdfast('reload', state=state)
    time.sleep(2)
    before = {name: cpu(pid) for name, pid in pids.items()}
    for i in range(args.reloads):
        write(file, texts[i % 2])
        holdfast('reload', state=state)
    return {name: (cpu(pid) - before[name]) / args.reloads for name, pid in pids.items()}


def run(work, args):
    file, state, rows = f'{work}/scale.conf', f'{work}/state', []
    write(file, config(args.services, args.instances, args.every))
    backend = subprocess.Popen([f'{TOOLS}/backend', '--listen', f'0.0.0.0:{BACKEND}', '--control', '127.0.0.1:8999', '--log',
                                '/dev/null', '--name', 'b', '--service-us', '0'])
    while not accepts(8999):
        time.sleep(0.01)
    checks = [holdfast('check', file) for _ in range(5)]
    if checks[0][1].returncode:
        sys.exit(checks[0][1].stdout + checks[0][1].stderr)
    rows.append(('`holdfast check`', f'{median([c[0] for c in checks]) * 1e3:.0f} ms'))
    with open(f'{work}/err', 'w') as err:
        node = subprocess.Popen([HOLDFAST, 'run', file, '--state', state], stdout=err, stderr=err)
    try:
        listening, answering, status = await_start(node, state, args)
        rows.append(('start: every listener accepts', f'{listening * 1e3:.0f} ms'))
        rows.append(('start: `status` answers too', f'{answering * 1e3:.0f} ms'))
        time.sleep(4)     # the first checks of all are over
        pids = {p['name']: p['pid'] for p in status['processes'] if not p['name'].startswith('worker')}
        before = {name: cpu(pid) for name, pid in pids.items()}
        time.sleep(args.seconds)
        for name, pid in pids.items():
            rows.append((f'{name}: CPU with checks alone', f'{(cpu(pid) - before[name]) / args.seconds * 100:.1f} %'))
        times, stalls, quiet = measure_reloads(file, state, args)
        rows.append(('reload of one service, median', f'{median(times) * 1e3:.0f} ms'))
        rows.append(('reload of one service, longest', f'{max(times) * 1e3:.0f} ms'))
        rows.append(('slowest answer of another service: median over reloads', f'{median(stalls) * 1e3:.1f} ms'))
        rows.append(('slowest answer of another service: longest', f'{max(stalls) * 1e3:.1f} ms'))
        rows.append(('the same without a reload', f'{quiet * 1e3:.1f} ms'))
        total = 0
        for name, pid in pids.items():
            anonymous, shared = memory(pid)
            total += anonymous
            rows.append((f'{name}: memory of its own', f'{anonymous / 2**20:.1f} MiB'))
            rows.append((f'{name}: shared tables in use', f'{shared / 2**20:.1f} MiB'))
        for name, seconds in cost_of_reloads(file, state, pids, args).items():
            rows.append((f'{name}: CPU of a reload', f'{seconds * 1e3:.1f} ms'))
        n = args.services * args.instances
        rows.append(('memory per instance, processes together', f'{total / n / 1024:.2f} KiB'))
    finally:
        stop(node)
        stop(backend)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--services', type=int, default=1000)
    parser.add_argument('--instances', type=int, default=10)
    parser.add_argument('--every', default='1s')
    parser.add_argument('--reloads', type=int, default=10)
    parser.add_argument('--seconds', type=float, default=5)
    args = parser.parse_args()
    rows = run(isolate(), args)
    width = max(len(name) for name, _ in rows)
    print(f'{args.services} services with {args.instances} instances each, checked every {args.every}')
    for name, value in rows:
        print(f'| {name:{width}} | {value:>10} |')


if __name__ == '__main__':
    main()
