"""Who may include whom. The table below is the architecture; docs/architecture.md explains it.

Pure rooms compute from what they are given: no clock, no socket, no errno, no thread. Services never know each other:
they read a view and leave their marks in cells. Only daemon knows everybody, and only the programs know daemon.
"""
import re

import pytest

from tree import SRC, show

ROOMS = sorted(p.name for p in SRC.iterdir() if p.is_dir())

# The headers that other rooms may include. One a room, but for rooms that are a collection: wire has one header a codec,
# view has the picture of what should be and the cells that tell what is, detect has the judge (which the proxy embeds too)
# and the prober that only control runs. A header that a front door itself passes on
# (base.h and os.h are made of such) is part of it.
FRONT_DOORS = {
    'base': {'base.h'},
    'os': {'os.h'},
    'wire': {'beat.h', 'cookie.h', 'dns.h', 'gossip.h', 'health.h', 'http1.h', 'lease.h', 'neighbour.h', 'proxy_protocol.h', 'resp.h', 'resp_frame.h', 'role.h', 'trace_context.h'},
    'conf': {'conf.h', 'scalar.h'},
    'view': {'view.h', 'cells.h', 'log_format.h'},
    'detect': {'arrival.h', 'availability.h', 'beat.h', 'detect.h', 'findings.h', 'fuse.h', 'logs/logs.h', 'pace.h', 'probe.h', 'sketch.h', 'vitals.h', 'vitals_parse.h'},
    'balance': {'admit.h', 'balance.h', 'breaker.h', 'outlier.h', 'quantile.h', 'rate.h', 'sticky.h'},
    'member': {'member.h'},
    'mesh': {'engine.h', 'leases.h', 'mesh.h', 'mesh_join.h', 'mesh_keys.h', 'mesh_token.h', 'seal.h'},      # the simulator runs the engine
    'discover': {'discover.h'},
    'coord': {'bundle.h', 'coord.h', 'etcd_http.h', 'etcd_members.h', 'etcd_space.h', 'etcd_timers.h', 'managed.h', 'model.h', 'standing.h', 'store.h', 'versions.h', 'voters.h'},    # the simulator keeps its map in the store; control's tests have the model
    'recover': {'agents/instance.h', 'agents/keeper.h', 'agents/process.h', 'agents/vip.h', 'failover.h', 'lease.h', 'role.h'},
    'notify': {'notify.h'},
    'proxy': {'proxy.h'},
    'audit': {'audit.h'},
    'admin': {'access.h', 'admin.h'},
    'sense': {'follow.h', 'sense.h'},
    'daemon': {'daemon.h', 'paths.h'},      # a client finds the node's directory as the daemon does
    'cli': set(),       # the program itself: nobody includes it
}

# room -> rooms that it may include, besides itself and base.
MAY_INCLUDE = {
    'base': set(),
    'os': set(),
    'wire': set(),
    'notify': set(),
    'detect': {'wire'},     # a check must read the answer that it gets
    'balance': {'detect'},
    'view': {'balance', 'detect'},
    'conf': {'view', 'balance', 'detect', 'os'},
    'member': {'wire', 'detect'},
    'mesh': {'os', 'wire', 'detect', 'view', 'balance', 'member', 'recover'},
    'discover': {'os', 'wire', 'view', 'balance', 'detect', 'conf'},
    'coord': {'os'},
    'recover': {'os', 'wire'},
    'proxy': {'os', 'wire', 'view', 'balance', 'detect'},
    'audit': {'os'},
    'admin': {'audit', 'os', 'wire', 'view', 'balance', 'detect', 'conf', 'discover', 'member'},
    'sense': {'os', 'view', 'balance', 'detect'},
    'daemon': {'notify', 'sense', 'os', 'wire', 'view', 'balance', 'detect', 'conf', 'discover', 'member', 'mesh', 'coord', 'recover', 'proxy', 'audit', 'admin'},
    'cli': {'os', 'wire', 'view', 'conf', 'daemon', 'detect', 'admin', 'member', 'mesh', 'coord'},
}
SERVICES = {'proxy', 'admin'}
PURE = {'notify', 'wire', 'detect', 'balance', 'view', 'member'}

# What a pure room has no use for.
IMPURE_HEADERS = {'errno.h', 'time.h', 'sys/time.h', 'sys/socket.h', 'sys/epoll.h', 'netinet/in.h', 'netinet/tcp.h',
                  'arpa/inet.h', 'netdb.h', 'unistd.h', 'fcntl.h', 'pthread.h', 'threads.h', 'signal.h', 'poll.h'}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes():
    """(file, its room, line number, "local" or "system", what it includes) for all of src."""
    for path in sorted(SRC.rglob('*.[ch]')):
        room = path.relative_to(SRC).parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if match := INCLUDE.match(line):
                yield path, room, number, 'system' if match[1] == '<' else 'local', match[2]


def from_other_rooms():
    for path, room, number, kind, what in includes():
        other, _, header = what.partition('/')
        if kind == 'local' and header and other in FRONT_DOORS and other != room:
            yield path, room, number, other, header


def is_test(path):
    return path.name.endswith(('_test.c', '_test.h', '_bench.c'))


def doors(room):
    """The front doors, and what they pass on of their own room."""
    through = {what for path, r, _, kind, what in includes() if r == room and path.name in FRONT_DOORS[room]}
    return FRONT_DOORS[room] | {what.partition('/')[2] for what in through if what.startswith(room + '/')}


def test_every_room_has_its_place_in_the_tables():
    assert ROOMS == sorted(FRONT_DOORS) == sorted(MAY_INCLUDE)


@pytest.mark.parametrize('room', sorted(FRONT_DOORS))
def test_a_room_has_its_front_door(room):
    assert not [door for door in FRONT_DOORS[room] if not (SRC / room / door).is_file()]


def test_rooms_include_only_rooms_that_they_may():
    assert not [show(p, n, f'{room} includes {other}/{header}') for p, room, n, other, header in from_other_rooms()
                if other != 'base' and other not in MAY_INCLUDE[room]]


def test_only_front_doors_are_included_from_outside():
    open_ = {room: doors(room) for room in ROOMS}
    assert not [show(p, n, f'{other}/{header} is not a front door of {other}')
                for p, room, n, other, header in from_other_rooms() if header not in open_[other]]


def test_the_table_itself_keeps_the_law():
    for room in PURE:
        assert not MAY_INCLUDE[room] & (SERVICES | {'os', 'daemon', 'cli', 'conf'}), room
    for room in SERVICES:
        assert not MAY_INCLUDE[room] & (SERVICES | {'daemon', 'cli'}), room
    assert [room for room in ROOMS if 'daemon' in MAY_INCLUDE[room]] == ['cli']
    assert not MAY_INCLUDE['base']


def test_pure_rooms_ask_the_system_nothing():
    assert not [show(p, n, f'{room} is pure and includes <{what}>') for p, room, n, kind, what in includes()
                if kind == 'system' and room in PURE and what in IMPURE_HEADERS and not is_test(p)]


def test_includes_are_written_from_src():
    """"base/buf.h", never "buf.h" or "../base/buf.h": a line tells by itself which room it enters."""
    assert not [show(p, n, what) for p, room, n, kind, what in includes()
                if kind == 'local' and not (SRC / what).is_file() and not is_test(p)]


def test_rooms_do_not_include_each_other_in_circles():
    edges = {room: {o for _, r, _, o, _ in from_other_rooms() if r == room} for room in ROOMS}
    while edges:
        leaves = [room for room, to in edges.items() if not to & edges.keys()]
        assert leaves, f'a circle among {sorted(edges)}'
        for room in leaves:
            del edges[room]
