"""Pictures for the report, written as plain SVG: bars with bounds, and latency by percentile. Pure functions.

Text is in the reader's own font, colours follow a dark page, and each picture says in words what it shows.
"""
import math
from xml.sax.saxutils import escape

HUES = {    # of each proxy: on a light page, on a dark one
    'floor_l7': ('#8a94a6', '#7d8899'), 'floor_epoll': ('#b9c1cf', '#56606f'), 'floor_splice': ('#5d6778', '#a9b3c2'),
    'holdfast': ('#0b7f8c', '#35b6c3'), 'nginx': ('#5f9e3f', '#8cc96a'), 'haproxy': ('#6d4fd8', '#a08bf5'),
    'haproxy-splice': ('#a35bb5', '#cf95de'),
}
OTHER_HUES = (('#b26a00', '#e0a243'), ('#0b7f8c', '#35b6c3'), ('#6d4fd8', '#a08bf5'), ('#5f9e3f', '#8cc96a'), ('#5d6778', '#a9b3c2'))
FONT = "font-family=\"Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif\""


def style(names):
    others = [n for n in names if n not in HUES]
    hues = {**HUES, **{n: OTHER_HUES[i % len(OTHER_HUES)] for i, n in enumerate(others)}}
    light, dark = (''.join(f'.{css(n)} {{ fill: {hues[n][page]}; }} .l-{css(n)} {{ stroke: {hues[n][page]}; }} ' for n in names)
                   for page in (0, 1))
    return f"""<style>
  .page {{ fill: #ffffff; }} .title {{ fill: #152033; font-size: 17px; font-weight: 650; }} .text {{ fill: #47546a; font-size: 12.5px; }}
  .grid {{ stroke: #dfe5ee; }} .axis {{ stroke: #8a94a6; }} .whisker {{ stroke: #152033; stroke-width: 1.4; }}
  .curve {{ fill: none; stroke-width: 2.2; }} {light}
  @media (prefers-color-scheme: dark) {{
    .page {{ fill: #0d1117; }} .title {{ fill: #eef2f8; }} .text {{ fill: #b5c0d0; }} .grid {{ stroke: #253041; }}
    .whisker {{ stroke: #eef2f8; }} {dark}
  }}
</style>"""


def css(name):
    return 'p-' + name.replace('_', '-').replace(' ', '-')


def page(width, height, title, words, names, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {FONT} role="img" '
            f'aria-labelledby="title desc">\n<title id="title">{escape(title)}</title>\n<desc id="desc">{escape(words)}</desc>\n'
            f'{style(names)}\n<rect class="page" width="{width}" height="{height}"/>\n{body}\n</svg>\n')


def text(x, y, words, kind='text', anchor='start', turn=None):
    rotate = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ''
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{rotate}>{escape(words)}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def legend(names, x, y):
    parts = []
    for name in names:
        parts += [f'<rect class="{css(name)}" x="{x:.1f}" y="{y - 10:.1f}" width="12" height="12" rx="2"/>', text(x + 17, y, name)]
        x += 36 + 7.2 * len(name)
    return parts


def step_for(span, steps=6):
    """A round step that divides the span into about so many."""
    raw = span / steps
    scale = 10 ** math.floor(math.log10(raw))
    return next(m * scale for m in (1, 2, 2.5, 5, 10) if m * scale >= raw)


def bars(title, words, groups, unit):
    """groups: [(label, [(name, value, low, high)])]; low and high may be None. Bars from 0; a line at 1, the floor."""
    names = list(dict.fromkeys(name for _, rows in groups for name, *_ in rows))
    left, right, bar, gap, top = 250, 70, 16, 16, 84
    width = 960
    height = top + sum(len(rows) * (bar + 3) + gap for _, rows in groups) + 44
    most = max(high or value for _, rows in groups for _, value, _, high in rows) * 1.06
    at = lambda value: left + (width - left - right) * value / most
    out = [text(24, 34, title, 'title'), *legend(names, 24, 60)]
    bottom, value, step = height - 40, 0, step_for(most)
    while value <= most:
        out += [line(at(value), top - 8, at(value), bottom, 'axis' if abs(value - 1) < 1e-9 else 'grid'),
                text(at(value), bottom + 17, f'{value:g}', anchor='middle')]
        value += step
    out += [line(at(1), top - 8, at(1), bottom, 'axis'), text(width - right, height - 6, unit, anchor='end')]
    y = top
    for label, rows in groups:
        out.append(text(left - 12, y + len(rows) * (bar + 3) / 2 + 3, label, anchor='end'))
        for name, value, low, high in rows:
            out.append(f'<rect class="{css(name)}" x="{left}" y="{y:.1f}" width="{at(value) - left:.1f}" height="{bar}" rx="2"/>')
            end = at(value)
            if low is not None:
                out += [line(at(low), y + bar / 2, at(high), y + bar / 2, 'whisker'), line(at(low), y + 4, at(low), y + bar - 4, 'whisker'),
                        line(at(high), y + 4, at(high), y + bar - 4, 'whisker')]
                end = at(high)
            out.append(text(end + 6, y + bar - 3.5, f'{value:.2f}'))
            y += bar + 3
        y += gap
    return page(width, height, title, words, names, '\n'.join(out))


def curves(title, words, series, x_labels, unit):
    """series: {name: [value at each x]}, on a logarithmic axis; the x positions are even."""
    width, height, left, right, top, bottom = 960, 470, 80, 40, 84, 60
    values = [v for row in series.values() for v in row if v > 0]
    low, high = math.log10(min(values) * 0.85), math.log10(max(values) * 1.15)
    x = lambda i: left + (width - left - right) * i / max(len(x_labels) - 1, 1)
    y = lambda v: top + (height - top - bottom) * (high - math.log10(max(v, 10 ** low))) / (high - low)
    out = [text(24, 34, title, 'title'), *legend(list(series), 24, 60)]
    for exponent in range(math.floor(low), math.ceil(high) + 1):
        for mantissa in (1, 2, 5):
            v = mantissa * 10 ** exponent
            if low <= math.log10(v) <= high:
                out += [line(left, y(v), width - right, y(v), 'grid'), text(left - 8, y(v) + 4, f'{v:,g}', anchor='end')]
    for i, label in enumerate(x_labels):
        out += [line(x(i), top, x(i), height - bottom, 'grid'), text(x(i), height - bottom + 18, label, anchor='middle')]
    for name, row in series.items():
        points = ' '.join(f'{x(i):.1f},{y(v):.1f}' for i, v in enumerate(row))
        out.append(f'<polyline class="curve l-{css(name)}" points="{points}"/>')
        out += [f'<circle class="{css(name)}" cx="{x(i):.1f}" cy="{y(v):.1f}" r="3"/>' for i, v in enumerate(row)]
    out.append(text(width - right, height - 12, unit, anchor='end'))
    return page(width, height, title, words, list(series), '\n'.join(out))


def trade_off(title, words, series, none, x_unit, y_unit):
    """series: {name: [(x, y, label)]}, both on logarithmic axes; a y of 0 is drawn at `none`, on a line that says so."""
    width, height, left, right, top, bottom = 960, 520, 90, 40, 96, 70
    xs = [x for row in series.values() for x, *_ in row]
    ys = [max(y, none) for row in series.values() for _, y, _ in row]
    span = lambda values, least: (math.log10(min(values) * 0.85), max(math.log10(max(values) * 1.2), math.log10(min(values)) + least))
    (x0, x1), (y0, y1) = span(xs, 0.3), span([none, *ys], 1)
    at_x = lambda v: left + (width - left - right) * (math.log10(v) - x0) / (x1 - x0)
    at_y = lambda v: top + (height - top - bottom) * (y1 - math.log10(max(v, none))) / (y1 - y0)
    out = [text(24, 34, title, 'title'), *legend(list(series), 24, 60), text(24, 84, y_unit)]
    for low, high, axis in ((x0, x1, 'x'), (y0, y1, 'y')):
        for v in (m * 10 ** e for e in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)):
            if low <= math.log10(v) <= high and (axis == 'x' or v > none * 1.3):
                x, y = at_x(v), at_y(v)
                out += [line(x, top, x, height - bottom, 'grid'), text(x, height - bottom + 18, f'{v:,g}', anchor='middle')] if axis == 'x' else \
                       [line(left, y, width - right, y, 'grid'), text(left - 8, y + 4, f'{v:,g}', anchor='end')]
    lying = sorted(x for row in series.values() for x, y, _ in row if y == 0)   # their labels take turns, so as not to hide each other
    lift = lambda x, y: 7 + 14 * (lying.index(x) % 4 if y == 0 else 0)
    out += [line(left, at_y(none), width - right, at_y(none), 'axis'), text(left - 8, at_y(none) + 4, 'none', anchor='end')]
    for name, row in series.items():
        points = ' '.join(f'{at_x(x):.1f},{at_y(y):.1f}' for x, y, _ in row)
        out.append(f'<polyline class="curve l-{css(name)}" points="{points}"/>')
        for x, y, label in row:
            out += [f'<circle class="{css(name)}" cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="4"/>', text(at_x(x) + 7, at_y(y) - lift(x, y), label)]
    out.append(text(width - right, height - 16, x_unit, anchor='end'))
    return page(width, height, title, words, list(series), '\n'.join(out))
