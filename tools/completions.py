#!/usr/bin/python3
"""Prints the completion of a shell, as the program itself describes its commands and options.

usage: completions.py zsh|fish HOLDFAST

bash has one by hand (packaging/completions), which asks the node for names too.
"""
import re
import subprocess
import sys

VALUES = {"--log": "error warning info debug"}
FILES = {"FILE", "PATH", "DIR"}     # what --help calls a value that is one


def text(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout


def commands(program):
    """[(name, what it does, its usage)]"""
    listed = text(program, "help").partition("Commands:")[2].partition("Topics:")[0]
    return [(name, what, text(program, name, "--help")) for name, what in re.findall(r"^  ([a-z]+) +(.*)$", listed, re.M)]


def options(usage):
    """[(short or None, long, value or None, what it says)]"""
    part = usage.partition("Options:")[2].partition("Example")[0]
    return [(short or None, long, value or None, what) for short, long, value, what in
            re.findall(r"^  (?:(-\w), )?(--[a-z-]+)(?: ([A-Z]+))?  +(.*)$", part, re.M)]


def words(usage, program):
    """What the first operand may be, where that is a choice; and whether operands are files."""
    first = usage.splitlines()[0].split()[3:]
    if first[:1] == ["[COMMAND|TOPIC]"] or "COMMAND" in "".join(first[:1]):
        return [name for name, _, _ in commands(program)], False
    choice = first[0].strip("[]").split("|") if first else []
    return [w for w in choice if re.fullmatch(r"[a-z]+", w)] if len(choice) > 1 else [], "FILE" in first


def fish(program):
    def quoted(s):
        return "'" + s.replace("\\", "\\\\").replace("'", "\\'") + "'"
    lines = ["complete -c holdfast -f"]
    for name, what, usage in commands(program):
        lines.append(f"complete -c holdfast -n __fish_use_subcommand -a {name} -d {quoted(what)}")
        here = f"complete -c holdfast -n '__fish_seen_subcommand_from {name}'"
        choice, files = words(usage, program)
        if choice:
            lines.append(f"{here} -a {quoted(' '.join(choice))}")
        if files:
            lines.append(f"{here} -F")
        for short, long, value, says in options(usage):
            how = f" -x -a {quoted(VALUES[long])}" if long in VALUES else " -r -F" if value in FILES else " -x" if value else ""
            lines.append(f"{here}{f' -s {short[1]}' if short else ''} -l {long[2:]}{how} -d {quoted(says)}")
    return lines


def zsh(program):
    def quoted(s):
        return "'" + s.replace("'", "'\\''") + "'"

    def plain(s):
        return re.sub(r"([\[\]:\\])", r"\\\1", s)
    listed = [quoted(f"{name}:{plain(what)}") for name, what, _ in commands(program)]
    lines = ["#compdef holdfast", "", "local -a commands=(", *(f"  {entry}" for entry in listed), ")", "",
             "if ((CURRENT == 2)); then", "  _describe command commands", "  return", "fi", "",
             "local command=$words[2]", "shift words", "((CURRENT--))", "case $command in"]
    for name, _, usage in commands(program):
        choice, files = words(usage, program)
        lines.append(f"  {name})")
        specs = []
        for short, long, value, says in options(usage):
            action = f"({VALUES[long]})" if long in VALUES else "_files" if value in FILES else " "
            tail = f"[{plain(says)}]" + (f":{value.lower()}:{action}" if value else "")
            specs += [quoted(form + tail) for form in (short, long) if form]
        if choice:
            specs.append(quoted(f"1:what:({' '.join(choice)})"))
        if files or not choice:
            specs.append(quoted("*:file:_files" if files else "*: : "))
        lines += ["    _arguments -s \\", " \\\n".join(f"      {spec}" for spec in specs), "    ;;"]
    return [*lines, "esac"]


if __name__ == "__main__":
    print("\n".join({"zsh": zsh, "fish": fish}[sys.argv[1]](sys.argv[2])))
