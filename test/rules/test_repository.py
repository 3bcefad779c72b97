"""What holds for every file of the repository: it stands alone, says nothing unfinished, and its papers are in order."""
import re
from urllib.parse import unquote

from test_includes import FRONT_DOORS
from tree import SRC, TOP, files, lines_with, show, texts

LONGEST_FILE = 900
DECODERS = {    # what reads bytes from outside -> its fuzz target
    'wire/http1_request': 'http1_request',
    'wire/http1_response': 'http1_response',
    'wire/http1_chunked': 'http1_chunked',
    'wire/proxy_protocol': 'proxy_protocol',
    'wire/resp_frame': 'resp_frame',
    'wire/beat': 'beat',
    'wire/health': 'health',
    'wire/cookie': 'cookie',
    'wire/trace_context': 'trace_context',
    'wire/dns_read': 'dns',
    'wire/resp': 'resp',
    'wire/gossip': 'gossip',
    'wire/lease': 'lease',
    'wire/neighbour': 'neighbour',
    'wire/role': 'role',
    'recover/failover_record': 'record',
    'view/decode': 'view',
    'conf/parse': 'conf',
    'detect/probe': 'probe',
    'detect/vitals_parse': 'vitals',
    'detect/logs/lines': 'logs_mine',
    'detect/logs/miner': 'logs_mine',
    'detect/logs/words': 'logs_mine',
    'detect/logs/literals': 'logs_rules',
    'detect/logs/rules': 'logs_rules',
    'detect/logs/baseline': 'logs_baseline',
    'sense/follow_place': 'log_place',
    'daemon/ipc': 'ipc',
    'daemon/agent_message': 'agent',
    'daemon/agent_message_instance': 'agent',
    'daemon/finding_message': 'finding',
    'daemon/upgrade_state': 'upgrade',
    'admin/server': 'admin',
    'coord/etcd_read': 'etcd',
    'coord/etcd_scan': 'etcd',
    'coord/etcd_told': 'etcd_told',
    'mesh/keyring': 'keyring',
    'coord/standing': 'standing',
    'mesh/seal': 'seal',
    'mesh/link_frame': 'link',
    'mesh/mesh_join': 'join',
    'mesh/mesh_keys': 'join',
    'mesh/mesh_token': 'join',
    'coord/bundle': 'bundle',
    'coord/versions_record': 'versions',
}
AMERICAN = {
    'behavior': 'behaviour', 'behaviors': 'behaviours', 'color': 'colour', 'colors': 'colours', 'favor': 'favour',
    'honor': 'honour', 'neighbor': 'neighbour', 'center': 'centre', 'serialize': 'serialise', 'serialized': 'serialised',
    'initialize': 'initialise', 'initialized': 'initialised', 'organize': 'organise', 'recognize': 'recognise',
    'recognized': 'recognised', 'summarize': 'summarise', 'normalize': 'normalise', 'normalized': 'normalised',
    'prioritize': 'prioritise', 'minimize': 'minimise', 'maximize': 'maximise', 'optimize': 'optimise',
    'synchronize': 'synchronise', 'canceled': 'cancelled', 'canceling': 'cancelling', 'labeled': 'labelled',
    'analyze': 'analyse', 'catalog': 'catalogue',
}


def test_no_path_of_one_machine():
    assert not lines_with(r'(?<![\w./$}-])/(work|root|home/\w+)/\w')


def test_nothing_unfinished():
    assert not lines_with(r'\b(TODO|FIXME|XXX|HACK|TBD)\b')


def test_the_project_speaks_of_itself():
    """No ticket numbers and no talk of how the text came to be: they mean nothing to a reader."""
    assert not lines_with(r'(?i)\bissues? #?\d|\bissues show\b|\b(this|last|next|previous|earlier) session\b|\bthe lead\b')


def test_no_package_registry_is_named():
    assert not lines_with(r'(?i)(deb|security|snapshot)\.debian\.org|pypi\.org|pythonhosted|npmjs|crates\.io|'
                          r'proxy\.golang\.org|ghcr\.io|docker\.io|quay\.io')


def test_no_file_grows_too_long():
    long = [(len(p.read_text().splitlines()), p) for p in files('.c', '.h', '.py', '.sh')]
    assert not [show(p, n, 'lines: is it one thing or two?') for n, p in long if n >= LONGEST_FILE]


def test_no_test_is_skipped():
    assert not lines_with(r'pytest\.mark\.(skip|xfail)|pytest\.skip|\bskip\(\);')


def test_spelling_is_british():
    """In prose and comments. Words beside code signs (CSS, identifiers, options) are somebody else's."""
    words = re.compile(r'(?<![\w./#<&"\'=`-])(' + '|'.join(AMERICAN) + r')(?![\w:=(/"\'`-])', re.I)
    prose = ((p, t) for p, t in texts() if p.suffix in {'.md', '.c', '.h', '.py', '.sh'})
    found = [show(p, n, f'{m[0]} -> {AMERICAN[m[0].lower()]}') for p, text in prose
             for n, line in enumerate(text.splitlines(), 1) for m in words.finditer(line)]
    assert not found


def test_source_opens_with_its_story():
    """The first thing in a file is a comment that says what it is for; for x.c it may stand in x.h. A test's name says it."""
    told = lambda p: p.read_text().startswith('/*') or p.with_suffix('.h').is_file() and p.suffix == '.c'
    assert not [show(p, 1, 'opens without a comment') for p in files('.c', '.h', under=SRC)
                if not p.stem.endswith('_test') and not told(p)]


def test_every_header_is_guarded():
    assert not [show(p, 1, 'no include guard') for p in files('.h')
                if not re.search(r'^#ifndef (HF_\w+)\n#define \1$', p.read_text(), re.M)]


def test_every_unit_test_is_registered():
    missing = []
    for path in files('.c', under=SRC):
        if path.name.endswith('_test.c'):
            room = SRC / path.relative_to(SRC).parts[0]
            registered = room.joinpath('meson.build').read_text()
            if f"'{path.stem.removesuffix('_test')}'" not in registered and path.name not in registered:
                missing.append(show(path, 1, 'is in no meson.build: it never runs'))
    assert not missing


def test_every_decoder_is_fuzzed():
    """With seeds from its first day; and every codec of wire is among them."""
    build = (TOP / 'fuzz/meson.build').read_text()
    for source, target in DECODERS.items():
        assert (SRC / f'{source}.c').is_file(), source
        assert (TOP / f'fuzz/{target}.c').is_file() and f"{target}'" in build, target
        assert any((TOP / f'fuzz/corpus/{target}').iterdir()), target
    codecs = {door.removesuffix('.h') for door in FRONT_DOORS['wire']}
    assert not [codec for codec in codecs if not any(d.startswith(f'wire/{codec}') for d in DECODERS)]


def test_every_record_is_listed():
    """docs/adr/README.md names every architecture decision record, and no other."""
    index = (TOP / 'docs/adr/README.md').read_text()
    records = {p.name for p in (TOP / 'docs/adr').glob('[0-9]*.md')} - {'0000-template.md'}
    assert records == set(re.findall(r'\(([0-9]{4}-[^)#]+\.md)\)', index)) - {'0000-template.md'}


def anchors(path):
    """The names that headings get, as the usual renderers make them."""
    headings = re.findall(r'^#+ +(.*)$', path.read_text(), re.M)
    plain = [re.sub(r'[`*_]|\[([^]]*)\]\([^)]*\)', r'\1', h) for h in headings]
    return {re.sub(r'[^\w\- ]', '', h.lower()).strip().replace(' ', '-') for h in plain}


def test_links_resolve():
    broken = []
    for path in files('.md'):
        text = re.sub(r'```.*?```', lambda m: '\n' * m[0].count('\n'), path.read_text(), flags=re.S)
        for match in re.finditer(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"', text):
            target, _, anchor = unquote(match[1] or match[2]).partition('#')
            if re.match(r'[a-z]+:', target):
                continue
            there = (path.parent / target).resolve() if target else path
            if not there.exists() or (anchor and there.suffix == '.md' and anchor not in anchors(there)):
                broken.append(show(path, text[:match.start()].count('\n') + 1, match[0]))
    assert not broken


def test_scripts_can_be_run():
    """A file with a first line for the kernel is executable, and an executable one has such a line."""
    for path in files():
        if path.parent.name in {'tools', '.ci', 'bench'} and path.suffix in {'', '.sh', '.py'} and path.is_file():
            assert path.read_bytes().startswith(b'#!') == bool(path.stat().st_mode & 0o111), path.relative_to(TOP)
