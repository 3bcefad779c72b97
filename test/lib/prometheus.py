"""prometheus: reads both forms of an exposition: the text format, and delimited messages
io.prometheus.client.MetricFamily, by a reader of varints that knows nothing of ours."""

import re
import struct

PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
# As Prometheus 3 asks with native histograms switched on.
ACCEPT = (PROTOBUF + ";q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
          "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
TYPES = {0: "counter", 1: "gauge", 4: "histogram"}


def varint(b, at):
    value = shift = 0
    while True:
        byte = b[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        assert shift < 70


def zigzag(v):
    return v >> 1 ^ -(v & 1)


def fields(b):
    """{number: [values]}: ints, floats and bytes."""
    found, at = {}, 0
    while at < len(b):
        tag, at = varint(b, at)
        if tag & 7 == 0:
            value, at = varint(b, at)
        elif tag & 7 == 1:
            value, at = struct.unpack_from("<d", b, at)[0], at + 8
        else:
            assert tag & 7 == 2, tag
            n, at = varint(b, at)
            value, at = b[at:at + n], at + n
            assert len(value) == n
        found.setdefault(tag >> 3, []).append(value)
    return found


class Histogram:
    """A native one. `buckets` is {index: count}: above 2^((index-1)/4), up to 2^(index/4) seconds."""

    def __init__(self, b):
        f = fields(b)
        self.count, self.sum = f[1][0], f[2][0]
        self.schema, self.zero_threshold, self.zero_count = zigzag(f[5][0]), f[6][0], f[7][0]
        self.classic = {}
        for bucket in map(fields, f.get(3, [])):
            self.classic[bucket[2][0]] = bucket[1][0]
        deltas, at, packed = [], 0, f.get(13, [b""])[0]
        while at < len(packed):
            v, at = varint(packed, at)
            deltas.append(zigzag(v))
        self.buckets, index, value = {}, 0, 0
        for span in map(fields, f.get(12, [])):
            index += zigzag(span[1][0])
            for _ in range(span[2][0]):
                value += deltas.pop(0)
                self.buckets[index] = value
                index += 1
        assert not deltas
        assert self.count == self.zero_count + sum(self.buckets.values())


def messages(b):
    """{family: (type, {labels: number or Histogram})}; labels as a frozenset of pairs."""
    families, at = {}, 0
    while at < len(b):
        n, at = varint(b, at)
        f = fields(b[at:at + n])
        at += n
        samples = {}
        for metric in map(fields, f.get(4, [])):
            pairs = [fields(p) for p in metric.get(1, [])]
            labels = frozenset((p[1][0].decode(), p[2][0].decode()) for p in pairs)
            kind = next(k for k in (2, 3, 7) if k in metric)
            assert labels not in samples
            samples[labels] = Histogram(metric[7][0]) if kind == 7 else fields(metric[kind][0])[1][0]
        families[f[1][0].decode()] = TYPES[f[3][0]], samples
    return families


_LINE = re.compile(r'([a-z_0-9A-Z]+)(?:\{(.*)\})? (\S+)')
_LABEL = re.compile(r'([a-z_0-9A-Z]+)="((?:[^"\\]|\\.)*)"')


def text(s):
    """{name: {labels: number}}, histograms in their parts."""
    found = {}
    for line in s.splitlines():
        if not line.startswith("#"):
            name, labels, value = _LINE.fullmatch(line).groups()
            key = frozenset(_LABEL.findall(labels or ""))
            assert key not in found.setdefault(name, {}), line
            found[name][key] = float(value)
    return found
