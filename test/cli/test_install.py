"""What `meson install` puts where: the program, its manual pages, its completions, and nothing else."""
import os
import re
import subprocess
from pathlib import Path

from holdfast import BINARY, TOP

BUILD = os.path.dirname(os.path.abspath(BINARY))
PLACES = {
    "bin/holdfast": BINARY,
    "share/man/man1/holdfast.1": f"{TOP}/packaging/man/holdfast.1",
    "share/man/man5/holdfast.conf.5": f"{TOP}/packaging/man/holdfast.conf.5",
    "share/zsh/site-functions/_holdfast": f"{BUILD}/_holdfast",
    "share/fish/vendor_completions.d/holdfast.fish": f"{BUILD}/holdfast.fish",
    "share/bash-completion/completions/holdfast": f"{TOP}/packaging/completions/holdfast.bash",
}


def test_everything_has_its_place(tmp_path):
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
                    "--destdir", tmp_path], check=True, timeout=120, stdout=subprocess.DEVNULL)
    installed = {re.sub(r".*?/(?=(?:bin|share)/)", "", str(p)): p for p in Path(tmp_path).rglob("*") if p.is_file()}
    assert sorted(installed) == sorted(PLACES)
    assert os.access(installed["bin/holdfast"], os.X_OK)
    for place, source in PLACES.items():
        if place != "bin/holdfast":     # installing takes the run path out of it
            assert installed[place].read_bytes() == Path(source).read_bytes()


def test_the_package_is_built_from_what_the_build_needs():
    need = re.search(r'(?m)^ +build\) +echo "(.*)" ;;', Path(TOP, "tools/need.sh").read_text())[1].split()
    named = set(re.findall(r"[\w.+-]+", re.search(r"(?s)Build-Depends:(.*?)\n\n", Path(TOP, "packaging/debian/control").read_text())[1]))
    # gcc and libc6-dev are what every package is built with.
    assert [package for package in need if package not in named | {"gcc", "libc6-dev"}] == []
