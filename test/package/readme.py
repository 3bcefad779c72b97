"""readme: what the README tells somebody to do, as data: the tests do just that."""
import re
from pathlib import Path

from holdfast import TOP


def blocks(section):
    """[(who, text)] of the indented blocks of a section; who is what stands in bold before one."""
    text = (Path(TOP) / "README.md").read_text()
    body = re.search(rf"^## {section}\n(.*?)(?=^## )", text, re.M | re.S)[1]
    found, who = [], None
    for paragraph in re.split(r"\n\n(?! )", body):
        prose, _, block = paragraph.partition("\n\n    ")
        bold = re.findall(r"\*\*(.*?)\*\*", prose)
        who = bold[-1] if bold else who
        if block:
            found.append((who, re.sub(r"^    ", "", "    " + block, flags=re.M).strip("\n") + "\n"))
    return found


def install():
    """(every node: commands), (configuration), (first), (others), (any), (upgrade) of the section Install, in its order."""
    found = blocks("Install")
    assert [who for who, _ in found] == ["On every node", "On every node", "On the first node", "On each of the others",
                                         "On any of them", "To upgrade"]
    return [text for _, text in found]
