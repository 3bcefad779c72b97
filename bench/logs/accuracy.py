#!/usr/bin/python3
"""How well the miner groups lines: grouping accuracy on logs of real programs, against their format strings.

A line's true event is the format that its program wrote it with: taken from the program's file (`strings`), from the message key of
JSON lines, or known since the script wrote it. A line is right if its group has exactly the lines of its event (J. Zhu et al.,
"Tools and Benchmarks for Automated Log Parsing", 2019). Lines for which no format is found (dumps of registers, continued
statements) do not count; how many is said.

    bench/logs/accuracy.py [--corpus FOLDER] [PROGRAM...]

Without a corpus one is made first (corpus.py), which takes ten minutes. Prints a row for each program and the cases that
fail; exits with 1 if the mean is below the goal. The programs must be installed: `make logs-accuracy` sees to that.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
GOAL = 0.85
SPEC = re.compile(r'%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z|j|t|L)?[a-zA-Z]|%%')
NGINX_SPEC = re.compile(r'%[0.*\d]*(?:u?[xX]?(?:[OTzdliDMAPLN])|V|v|s|[xX][a-z]|p|f|r|R|c|Z|%|\*s|ui|uz|uA|uD|xd|xp|uL)')


def formats_of(*paths, spec=SPEC):
    """(format, regular expression, its longest text) of all texts in these files that could be one."""
    found = []
    for path in paths:
        texts = subprocess.run(['strings', '-n', '6', path], capture_output=True, text=True, check=True).stdout
        for text in dict.fromkeys(t.strip('\n') for t in texts.splitlines()):
            literals = spec.split(text)
            if sum(c.isalpha() for part in literals for c in part) >= 6 and (' ' in text.strip() or not spec.search(text)):
                found.append((text, re.compile('.*?'.join(re.escape(p) for p in literals), re.S), max(literals, key=len),
                              sum(map(len, literals))))
    return found


class Labels:
    def __init__(self, formats, whole=True):
        self.formats, self.whole, self.known = formats, whole, {}

    def of(self, message):
        """The format with the most text of those that match; None: there is none."""
        shape = re.sub(r'\d+', '0', message)
        if shape not in self.known:
            matches = [f for f in self.formats if f[2] in message and (f[1].fullmatch(message) if self.whole else f[1].match(message))]
            self.known[shape] = max(matches, key=lambda f: f[3])[0] if matches else None
        return self.known[shape]


def redis(lines):
    labels = Labels(formats_of('/usr/bin/redis-server'))
    for line in lines:
        m = re.match(r'\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [.*#-] (.*)', line)
        if m and re.match(r'[+-][a-z-]+ ', m[1]):
            yield 'sentinel ' + ' '.join(m[1].split()[:2 if m[1].split()[1] in ('master', 'slave') else 1])
        else:
            yield m and labels.of(m[1])


def postgres(lines):
    labels = Labels(formats_of('/usr/lib/postgresql/15/bin/postgres'))
    for line in lines:
        m = re.match(r'\S+ \S+ \S+ \[\d+\] (?:\S+@\S+ )?([A-Z]+):  (.*)', line)
        yield m and (m[1] if m[1] == 'STATEMENT' else (m[1], labels.of(m[2])) if labels.of(m[2]) else None)


def nginx(lines):
    labels = Labels(formats_of('/usr/sbin/nginx', spec=NGINX_SPEC), whole=False)
    for line in lines:
        m = re.match(r'\S+ \S+ (\[\w+\]) \d+#\d+: (?:\*\d+ )?(.*)', line)
        if m:
            label = labels.of(m[2])
            yield label and (m[1], label)
        else:
            yield 'access' if re.match(r'[\d.]+ - \S+ \[', line) else None


def haproxy(lines):
    labels = Labels(formats_of('/usr/sbin/haproxy'))
    for line in lines:
        text = re.sub(r'^\[(\w+)\] +\(\d+\) : ', '', line)
        if re.match(r'[\d.]+:\d+ \[', text):
            yield 'http' if '"' in text else 'error' if text.endswith(('error', 'failure')) else 'tcp'
        elif m := re.match(r'(Health check for )(backup )?server \S+ (succeeded|failed)', text):
            yield ('alert' if text != line else 'log', m[1], m[3])
        else:
            label = labels.of(text) or (m := re.match(r'(?:Server|Proxy|proxy|backend) \S+ (?:is|has|stopped)\b', text)) and m[0].split()[0]
            yield label and (text != line, label)


def etcd(lines):
    for line in lines:
        try:
            value = json.loads(line)
            yield value['level'], re.sub(r'\b[0-9a-f]*\d[0-9a-f.:]*', '*', value['msg'])
        except (ValueError, KeyError):
            yield None


def systemd(lines):
    labels = Labels(formats_of('/lib/systemd/systemd', *[os.path.join('/lib/x86_64-linux-gnu/systemd', f) for f in os.listdir(
        '/lib/x86_64-linux-gnu/systemd')] if os.path.isdir('/lib/x86_64-linux-gnu/systemd') else ()))
    for line in lines:
        m = re.match(r'\w+ +\d+ [\d:]+ \S+ systemd\[\d+\]: (.*)', line)
        yield m and labels.of(m[1])


def packages(lines):
    for line in lines:
        words = line.split()[2:]
        yield tuple(words[:2] if words[0] in ('status', 'startup') else words[:1])


def written(folder, lines):
    with open(os.path.join(folder, 'python-logging.labels')) as f:
        return f.read().splitlines()


PROGRAMS = {'redis': redis, 'postgres': postgres, 'nginx': nginx, 'haproxy': haproxy, 'etcd': etcd, 'systemd': systemd, 'packages': packages,
            'python-logging': None}


def groups(path):
    """The final group of each line, and the text of each group."""
    tool = os.path.join(os.environ.get('HOLDFAST_BUILD', 'build'), 'src/detect/bench_logs')
    out = subprocess.run([tool, '--groups', path], capture_output=True, check=True).stdout.decode(errors='replace')
    of, into, texts = [], {}, {}
    for row in out.split('\n'):
        kind, _, rest = row.partition(' ')
        if kind == 'L':
            of.append(rest)
        elif kind == 'J':
            gone, to = rest.split()
            if gone != to:
                into[gone] = to
        elif kind == 'T':
            texts[rest.split(' ')[0]] = rest.split(' ', 3)[3]

    def final(group):
        seen = set()
        while group in into and group not in seen:
            seen.add(group)
            group = into[group]
        return group
    return [final(g) for g in of], texts


class Figures:
    def __init__(self, folder, name):
        path = os.path.join(folder, name + '.log')
        with open(path, 'rb') as f:
            lines = [line.decode(errors='replace').rstrip('\r') for line in f.read().split(b'\n')[:-1]]
        labels = list(PROGRAMS[name](lines)) if PROGRAMS[name] else written(folder, lines)
        of, self.texts = groups(path)
        assert len(labels) == len(lines) == len(of), (name, len(labels), len(lines), len(of))
        true, made = collections.defaultdict(set), collections.defaultdict(set)
        for i, (label, group) in enumerate(zip(labels, of)):
            if label:
                true[label].add(i)
                made[group].add(i)
        self.name, self.lines, self.labelled = name, len(lines), sum(map(len, true.values()))
        self.events, self.groups = len(true), len(made)
        whole = {frozenset(v) for v in made.values()}
        right = [v for v in true.values() if frozenset(v) in whole]
        self.accuracy = sum(map(len, right)) / max(self.labelled, 1)
        self.events_right = len(right)
        self.wrong = sorted(((len(v), label, [(sum(of[i] == g for i in v), g) for g in sorted({of[i] for i in v})[:5]])
                             for label, v in true.items() if frozenset(v) not in whole), key=lambda w: -w[0])

    def __str__(self):
        return (f'| {self.name} | {self.lines} | {self.labelled} | {self.events} | {self.groups} | {self.events_right} | '
                f'{self.accuracy:.3f} |')

    def show_wrong(self, most):
        for count, label, parts in self.wrong[:most]:
            print(f'{self.name}: {count} lines of {label!r}')
            for n, group in parts:
                print(f'    {n}: {self.texts.get(group, "(forgotten)")}')


def main():
    arguments = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    arguments.add_argument('--corpus', metavar='FOLDER', help='the logs, if they were made before (default: they are made)')
    arguments.add_argument('--show', type=int, default=12, metavar='N', help='failing cases shown of each program (default: 12)')
    arguments.add_argument('programs', nargs='*', metavar='PROGRAM', help='one of ' + ', '.join(PROGRAMS))
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix='holdfast-logs-') as made:
        if not asked.corpus:
            subprocess.run([sys.executable, os.path.join(HERE, 'corpus.py'), made], check=True, timeout=1500)
        found = [Figures(asked.corpus or made, name) for name in asked.programs or PROGRAMS]
    print('| program | lines | with a known format | events | groups | events grouped rightly | accuracy |\n|---|---|---|---|---|---|---|')
    for figures in found:
        print(figures)
    for figures in found:
        figures.show_wrong(asked.show)
    strange = [f.name for f in found if f.labelled <= 0.3 * f.lines]
    if strange:
        sys.exit(f"the formats of {', '.join(strange)} are not those that wrote the logs")
    mean = sum(f.accuracy for f in found) / len(found)
    print(f'mean grouping accuracy {mean:.3f}, goal {GOAL}')
    return mean < GOAL


if __name__ == '__main__':
    sys.exit(main())
