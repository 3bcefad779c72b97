"""The page of the trade-off between detection time and false suspicions: its arithmetic and its picture."""
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'bench'))
import curve_report  # noqa: E402
import picture  # noqa: E402


def row(heartbeat, patience, suspected, detection, failed=0, wrong=0):
    return {'heartbeat': heartbeat, 'suspect_after': patience, 'seconds': 60.0, 'pairs': 6, 'suspected': suspected, 'failed': failed,
            'wrong': wrong, 'agreed_ms': [detection - 5, detection, detection + 90], 'first_ms': [detection - 20] * 3, 'busy': 'all busy'}


ROWS = [row(50, 150, 30, 180), row(50, 200, 3, 240), row(50, 800, 0, 900), row(100, 400, 0, 450, failed=1, wrong=2)]


def parts(svg, tag):
    return xml.fromstring(svg).findall(f'.//{{http://www.w3.org/2000/svg}}{tag}')


def test_suspicions_are_told_by_hour_and_pair():
    assert curve_report.per_hour(ROWS[0]) == pytest.approx(30 * 60 / 6)
    assert curve_report.per_hour(ROWS[2]) == 0


def test_the_page_has_a_row_for_each_setting_and_names_the_default(tmp_path):
    (tmp_path / 'docs').mkdir()
    curve_report.write(str(tmp_path), {'rows': ROWS, 'machine': 'two processors'})
    page = (tmp_path / 'docs/detection-curve.md').read_text()
    lines = [line for line in page.splitlines() if line.startswith('| ') and ' ms' in line]
    assert len(lines) == len(ROWS) and lines[1] == '| **50 ms** | **200 ms** | 220 ms | 240 ms | 330 ms | 30.0 | 0 |'
    assert lines[3].endswith('| 3 |')
    assert page.count('**') == 4 and 'all busy' in page
    assert 'detection-curve.svg' in page and (tmp_path / 'docs/detection-curve.svg').exists()


def test_the_picture_falls_to_none_and_keeps_what_is_none_on_its_line():
    svg = picture.trade_off('t', 'w', curve_report.series(ROWS), 0.1, 'ms', 'an hour')
    points = [(float(c.get('cx')), float(c.get('cy'))) for c in parts(svg, 'circle')]
    assert len(points) == 4 and all(0 < x < 960 and 0 < y < 520 for x, y in points)
    assert [x for x, _ in points[:3]] == sorted(x for x, _ in points[:3])
    assert points[0][1] < points[1][1] < points[2][1] == points[3][1]
    words = [t.text for t in parts(svg, 'text')]
    assert 'none' in words and '200 ms, the default' in words and 'heartbeat 50 ms' in words


def test_a_picture_without_a_single_suspicion_is_one_too():
    svg = picture.trade_off('t', 'w', {'heartbeat 50 ms': [(240, 0, '200 ms')]}, 0.1, 'ms', 'an hour')
    assert len(parts(svg, 'circle')) == 1
