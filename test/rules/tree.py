"""The repository's own files, as the rules read them: works in a checkout, in a tarball, and without git."""
import os
import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SRC = TOP / 'src'
GENERATED = re.compile(r'^(build.*|out|\.git|__pycache__|\.pytest_cache|\.cache|\.hypothesis)$')
TEXT = {'.c', '.h', '.py', '.sh', '.md', '.build', '.txt', '.svg', '.vtc', '.conf', '.cfg', '.toml', '.dict', '.service', ''}


def files(*suffixes, under=TOP):
    """Every file that belongs to the project, with one of these suffixes if any are named."""
    for folder, folders, names in os.walk(under):
        folders[:] = sorted(f for f in folders if not GENERATED.match(f) and f != 'corpus')
        for name in sorted(names):
            path = Path(folder, name)
            if name != '.git' and (not suffixes or path.suffix in suffixes) and path.is_file():
                yield path


def texts():
    """Every text file of the project with its content, these rules apart: they must name what they forbid."""
    for path in files():
        if path.suffix in TEXT and 'rules' not in path.parts and path.name != 'LICENSE':
            try:
                yield path, path.read_text(encoding='utf-8')
            except UnicodeDecodeError:
                continue


def show(path, number, text):
    return f'{path.relative_to(TOP)}:{number}: {text.strip()[:120]}'


def lines_with(pattern, among=None):
    """"file:line: text" for each line that matches."""
    rule = re.compile(pattern)
    return [show(path, n, line) for path, text in (among or texts())
            for n, line in enumerate(text.splitlines(), 1) if rule.search(line)]
