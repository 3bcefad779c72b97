"""The bench's own arithmetic: which measurements count, bounds, the report and its pictures, and the load generators."""
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'bench'))
import closed  # noqa: E402
import latency  # noqa: E402
import memory  # noqa: E402
import picture  # noqa: E402
import profiles  # noqa: E402
import report  # noqa: E402
import rig  # noqa: E402
import stats  # noqa: E402

QUIET, NOISY = 1.0, stats.FOREIGN_LIMIT


def runs(*values, foreign=QUIET):
    return [{'cpu': value, 'foreign': foreign} for value in values]


# ---- bounds

def test_bounds_hold_the_median_and_tighten_with_more_values():
    rng = random.Random(7)
    few = [rng.gauss(1.2, 0.1) for _ in range(9)]
    many = few + [rng.gauss(1.2, 0.1) for _ in range(200)]
    middle, low, high = stats.bounds(few)
    assert low <= middle <= high and middle in few
    wide, narrow = high - low, stats.bounds(many)[2] - stats.bounds(many)[1]
    assert narrow < wide / 2


def test_bounds_of_equal_values_are_that_value():
    assert stats.bounds([1.5] * 9) == (1.5, 1.5, 1.5)


def test_bounds_are_the_same_whenever_they_are_computed():
    values = [1.1, 1.3, 1.0, 1.2, 1.7, 1.15, 1.05, 1.25, 1.4]
    assert stats.bounds(values) == stats.bounds(values)


def test_bounds_cover_the_truth_about_as_often_as_they_say():
    rng = random.Random(3)
    covered = 0
    for _ in range(60):
        _, low, high = stats.bounds([rng.gauss(1, 0.2) for _ in range(15)])
        covered += low <= 1 <= high
    assert covered >= 51        # 95% of 60 is 57; fewer than 51 has a chance below one in a thousand


# ---- the rule

def test_a_disturbed_measurement_is_discarded_and_repeated():
    taken = iter(runs(1, foreign=NOISY) + runs(2) + runs(3))
    assert stats.undisturbed(lambda: next(taken), 3) == (runs(2)[0], 1)


def test_after_the_last_try_the_least_disturbed_stays_and_is_marked():
    taken = iter([*runs(1, foreign=30), *runs(2, foreign=9), *runs(3, foreign=20)])
    run, discarded = stats.undisturbed(lambda: next(taken), 3)
    assert (run['cpu'], discarded, stats.disturbed(run)) == (2, 2, True)


def test_a_quiet_measurement_is_taken_once():
    taken = iter(runs(1))
    assert stats.undisturbed(lambda: next(taken), 3)[1] == 0


def test_ratios_are_taken_within_a_repetition_and_only_of_quiet_pairs():
    mine = runs(2, 4, 6, 8, 100)
    floor = runs(1, 2, 3, 4, 1)
    mine[4]['foreign'] = NOISY
    assert stats.ratios(mine, floor, 'cpu') == ([2, 2, 2, 2], True)
    floor[0]['foreign'] = NOISY
    floor[0]['cpu'] = 0.001
    assert stats.ratios(mine, floor, 'cpu') == ([2, 2, 2], True)


def test_when_hardly_any_was_quiet_all_count_and_the_figure_says_so():
    mine = runs(2, 4) + runs(6, 8, 10, foreign=NOISY)
    assert stats.ratios(mine, runs(1, 2, 3, 4, 5), 'cpu') == ([2] * 5, False)
    assert stats.median(mine, 'cpu') == 6
    assert not stats.compare(mine, runs(1, 2, 3, 4, 5), 'cpu')['clean']


def test_without_a_floor_there_is_no_ratio():
    assert stats.compare(runs(1, 2, 3), None, 'cpu') is None


# ---- pictures

def parts(svg, tag):
    return xml.fromstring(svg).findall(f'.//{{http://www.w3.org/2000/svg}}{tag}')


def test_bars_are_well_formed_and_as_long_as_their_values():
    svg = picture.bars('A <title> & more', 'words', [('one', [('floor_l7', 1.0, None, None), ('holdfast', 2.0, 1.9, 2.2)])], 'ratio')
    widths = {p.get('class'): float(p.get('width')) for p in parts(svg, 'rect') if p.get('height') == '16'}
    assert widths['p-holdfast'] == pytest.approx(2 * widths['p-floor-l7'], abs=0.2)
    assert parts(svg, 'title')[0].text == 'A <title> & more'
    assert len([p for p in parts(svg, 'line') if p.get('class') == 'whisker']) == 3


def test_curves_are_well_formed_and_rise_where_latency_does():
    svg = picture.curves('t', 'words', {'holdfast': [100, 200, 4000], 'unheard-of': [50, 60, 70]}, ['50', '99', '99.9'], 'us')
    lines = [[tuple(map(float, point.split(','))) for point in p.get('points').split()] for p in parts(svg, 'polyline')]
    assert len(lines) == 2
    for points in lines:
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
        assert all(0 < y < 470 for _, y in points)


# ---- the report

def results():
    """What a run of three repetitions would have measured."""
    def one(cpu, **more):
        return [{'cpu': cpu * f, 'user': 1.0, 'whole': 3 * cpu, 'kernel': 0.1, 'rate': 40000.0, 'p99': 2.5, 'foreign': QUIET,
                 'requests': 80000, **more} for f in (0.98, 1.0, 1.03)]
    counted = lambda cpu: {'runs': one(cpu), 'calls': 4.1, 'counters': {}, 'instructions': 9000.0}
    slow = lambda base: one(20, us=20.0, behind=9.0, max=base * 9, **{key: base * (i + 1) for i, key in enumerate(latency.PERCENTILES)})
    tenth = {'connections': 1000, 'seconds': 0.1, 'failed': 0, 'p50': 100.0, 'p99': 300.0, 'us': 30.0, 'private': 1 << 20, 'descriptors': 20}
    arranged = {a: one(20, voluntary=0.1, nonvoluntary=0.01) for a in ('one', 'two', 'apart')}
    return {
        'machine': 'holdfast 1, a machine', 'reps': 3, 'seconds': 2, 'tries': 3, 'connections': 64, 'counters': False,
        'rule': {'measurements': 90, 'discarded': 4, 'marked': 1, 'foreign': 0.6},
        'closed': {'http-128': {'floor_l7': counted(10), 'holdfast': counted(11.5)}},
        'bulk': {'floor_splice': one(1), 'holdfast': one(1.04)},
        'latency': {'open-http': {'rate': 20000, 'slowest': 'holdfast', 'proxies': {'floor_l7': slow(100), 'holdfast': slow(110)}}},
        'memory': {'count': 8000, 'limit': 20000, 'listeners': {'http': {'holdfast': [{'private': 276.0, 'pss': 280.0, 'base': 2e6}]}}},
        'workers': {'processors': 2, 'proxies': {'holdfast': arranged}, 'calls': {}, 'groups': {}},
        'storm': {'count': 10000, 'proxies': {'holdfast': [tenth] * 10}},
    }


def test_the_report_tells_rule_figures_and_bounds_and_shows_its_pictures(tmp_path):
    report.write(json.loads(json.dumps(results())), tmp_path)
    text = (tmp_path / 'bench.md').read_text()
    for expected in ('4 were discarded', f'took {stats.FOREIGN_LIMIT}% of a processor', '| holdfast | 11.5 | 1.0 | 1.15 (1.15 to 1.15) |', '| CPU, HTTP/1.1, keep-alive, 128 B | 1.15 (1.15 to 1.15) |',
                     'half of what the slowest of them (holdfast)', '8,000 connections', '10,000 connections', '## Two workers'):
        assert expected in text
    shown = re.findall(r'!\[[^]]*\]\(([^)]+)\)', text)
    assert sorted(shown) == sorted(p.name for p in tmp_path.glob('*.svg')) != []
    for name in shown:
        xml.parse(tmp_path / name)
    assert '{' not in text and 'None' not in text and 'nan' not in text


def test_every_table_of_the_report_has_as_many_cells_as_its_head():
    width = None
    for line in report.markdown(results()).splitlines():
        if not line.startswith('|'):
            width = None
            continue
        width = width or line.count('|')
        assert line.count('|') == width, line


# ---- the rig

def test_two_systems_of_the_variants_share_no_port():
    text = 'listen 127.0.0.1:18201; backend 127.0.0.1:19000; workers @N@; @AFFINITY@ root @W@/www'
    one, other = (rig.configuration(text, '/w', variant, 1) for variant in ('one', 'other'))
    ports = [set(re.findall(r':(\d+)', t)) for t in (one, other)]
    assert not ports[0] & ports[1] and len(ports[1]) == 2
    assert 'workers 1;  root /w/www' in one


@pytest.mark.parametrize('name', sorted(p.name for p in (TOP / 'bench/peers').iterdir()))
def test_nothing_is_left_to_fill_in(name):
    text = rig.configuration((TOP / 'bench/peers' / name).read_text(), '/w', 'two', 2)
    assert '@' not in text


def test_profiles_count_what_a_function_costs_itself():
    dump = ['fl=(1) a/x.c', 'fn=(1) outer', '10 5', '+2 7', 'cfi=(2) a/y.c', 'cfn=(2) inner', 'calls=3 40', '* 300',
            'fi=(3) a/x.h', '5 11', 'fe=(1)', '-1 2', '', 'fl=(2)', 'fn=(2)', '41 300']
    functions, lines, callers = profiles.collections.Counter(), profiles.collections.Counter(), {}
    profiles.read_dump(dump, functions, lines, callers)
    assert functions == {'x.c:outer': 25, 'y.c:inner': 300}
    assert lines == {'a/x.c:10': 5, 'a/x.c:12': 7, 'a/x.h:5': 11, 'a/x.c:4': 2, 'a/y.c:41': 300}
    assert callers == {'y.c:inner': {'x.c:outer': 300}}


def test_idle_connections_are_as_many_as_open_files_allow():
    assert memory.fits(8000, 1 << 20) == 8000
    assert memory.fits(8000, 20000) == 8000
    assert memory.fits(8000, 1024) == 300


def test_counters_are_read_where_there_are_any():
    text = '# started\n\n8123456,,cycles:u,100,100.00,,\n12,,instructions,100,100.00,1.1,insn per cycle\n'
    assert closed.read_counters(text) == {'cycles': 8123456, 'instructions': 12}
    assert closed.read_counters('<not supported>,,cycles,0,100.00,,\n') == {}


# ---- the load generators

@pytest.fixture(scope='module')
def tools(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tools')
    for name in ('openloop', 'storm'):
        subprocess.run([os.environ.get('CC', 'gcc'), '-O2', '-o', folder / name, TOP / f'bench/{name}.c'], check=True)
    return folder


class Server(threading.Thread):
    """Answers every request, but takes a nap once: after so many answers, for so long."""

    def __init__(self, nap_after=0, nap=0.0):
        super().__init__(daemon=True)
        self.nap_after, self.nap, self.answered = nap_after, nap, 0
        self.gate = threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            threading.Thread(target=self.serve, args=[self.listener.accept()[0]], daemon=True).start()

    def serve(self, s):
        while request := s.recv(4096):
            with self.gate:
                self.answered += 1
                if self.answered == self.nap_after:
                    time.sleep(self.nap)
            s.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello')
            if b'Connection: close' in request:
                break
        s.close()


def openloop(tools, port, rate, seconds, connections):
    words = [tools / 'openloop', port, '/', rate, seconds, connections]
    return json.loads(subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True).stdout)


def test_an_open_loop_charges_a_stall_with_every_request_that_it_kept_waiting(tools):
    """Half a second of silence in three: a sixth of the requests were due in it. A closed loop on 4 connections would see 4."""
    told = openloop(tools, Server(nap_after=100, nap=0.5).port, 200, 3, 4)
    assert told['failed'] == told['missed'] == 0 and 590 <= told['requests'] <= 601
    assert told['p95'] > 200_000            # a third of the way into the nap
    assert told['max'] >= 480_000
    assert told['p50'] < told['p90'] <= told['p99'] <= told['max']


def test_an_open_loop_keeps_its_rate(tools):
    told = openloop(tools, Server().port, 100, 2, 4)
    assert 195 <= told['requests'] <= 201 and told['rate'] == pytest.approx(100, rel=0.2)


def test_a_storm_counts_every_connection_in_tenths(tools):
    words = [str(w) for w in (tools / 'storm', Server().port, '/', 200, 4)]
    told = subprocess.run(words, input='\n' * 10, check=True, capture_output=True, text=True).stdout
    tenths = [json.loads(line) for line in told.splitlines()]
    assert [t['connections'] for t in tenths] == [20] * 10 and not any(t['failed'] for t in tenths)
    assert all(0 < t['p50'] <= t['p99'] <= t['max'] for t in tenths)
