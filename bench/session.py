"""One run of the bench: its settings, and what every kind of measurement shares."""
import re
import statistics
import subprocess
import sys

from rig import LOAD_CPU, PROXIES, pinned
from stats import disturbed, undisturbed

CONNECTIONS = 64
RETRIES = 60        # in a run, so that a machine that is never quiet does not hold it up for long
CLOSE = ['-H', 'Connection: close']


class Session:
    """`settings` are the options of the command line; `work` is the work directory."""

    def __init__(self, settings, work):
        self.settings, self.work = settings, work
        self.notes, self.foreign, self.progress = [], [], sys.stderr
        self.discarded = self.marked = 0
        self.capacity = {}      # requests/s of each proxy, closed loop, by listener

    def proxies(self, *listeners):
        return [p for p in self.settings.proxies if all(name in PROXIES[p][1] for name in listeners)]

    def interleave(self, names, measure, repetitions=None):
        """{name: runs}: one run of each in every repetition, in an order that rotates; disturbed ones repeated."""
        results = {name: [] for name in names}
        for repetition in range(repetitions or self.settings.reps):
            turn = repetition % max(len(names), 1)
            for name in names[turn:] + names[:turn]:
                tries = self.settings.tries if self.discarded < RETRIES else 1
                run, discarded = undisturbed(lambda: measure(name), tries)
                self.discarded += discarded
                self.marked += disturbed(run)
                self.foreign.append(run['foreign'])
                results[name].append(run)
                if run.get('bad'):
                    self.notes.append(f'{name}: {run["bad"]}')
                print('.', end='', file=self.progress, flush=True)
        print('', file=self.progress)
        return results

    def rule(self):
        """What became of the measurements, for the report."""
        return {'measurements': len(self.foreign), 'discarded': self.discarded, 'marked': self.marked,
                'foreign': statistics.median(self.foreign) if self.foreign else 0}

    def warm(self, port, path='/128', seconds=0.3):
        """A moment of load, so that pools are filled and pages are there."""
        self.openloop(port, path, 10000, seconds)

    def openloop(self, port, path, rate, seconds, warm=0):
        words = [f'{self.work}/openloop', port, path, rate, seconds, CONNECTIONS, warm]
        return output([str(word) for word in words], LOAD_CPU)


def output(command, cpus):
    return subprocess.run(command, preexec_fn=pinned(cpus), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True, check=True).stdout


def wrk_begin(port, path, seconds, options=(), cpus=LOAD_CPU, connections=CONNECTIONS):
    command = ['wrk', '-t1', f'-c{connections}', '--latency', f'-d{seconds}', *options, f'http://127.0.0.1:{port}{path}']
    return subprocess.Popen(command, preexec_fn=pinned(cpus), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def wrk_end(process):
    out = process.communicate()[0]
    if process.returncode:
        sys.exit(f'wrk failed:\n{out}')
    number, unit = re.search(r'(?m)^\s+99%\s+([\d.]+)(us|ms|s)$', out).groups()
    bad = re.search(r'Socket errors:.*|Non-2xx.*', out)
    return {'requests': int(re.search(r'(\d+) requests in', out)[1]),
            'rate': float(re.search(r'Requests/sec:\s+([\d.]+)', out)[1]),
            'p99': float(number) * {'us': 1e-3, 'ms': 1, 's': 1e3}[unit], 'bad': bad[0] if bad else ''}


def wrk(*args, **more):
    return wrk_end(wrk_begin(*args, **more))


def version(command, pattern):
    try:
        r = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError:
        return '?'
    found = re.search(pattern, r.stdout)
    return found[1] if found else '?'


def have_counters():
    """Whether this machine lets perf count cycles: most virtual machines do not."""
    try:
        r = subprocess.run(['perf', 'stat', '-x,', '-e', 'cycles,instructions', 'true'], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except OSError:
        return False
    return r.returncode == 0 and '<not' not in r.stderr


def row(*cells):
    return '| ' + ' | '.join(str(c) for c in cells) + ' |'


def head(*names):
    """The head of a table: the first column is text, all others are numbers."""
    return row(*names) + '\n|---|' + '--:|' * (len(names) - 1)


def bounded(c):
    """A comparison as a cell: the ratio, and its bounds."""
    if not c:
        return ''
    return f'{c["ratio"]:.2f}{"" if c["clean"] else " †"} ({c["low"]:.2f} to {c["high"]:.2f})'

