"""audit: what a node's audit holds, read as anybody can who has SQLite: docs/audit.md."""

import glob
import json
import os
import sqlite3


def records(state, where="1", *values):
    """The records of a node's directory, oldest first, whether the node runs or was killed."""
    path = os.path.join(state, "audit.db")
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        return []
    with sqlite3.connect(path, timeout=20) as db:
        db.row_factory = sqlite3.Row
        try:
            rows = db.execute(f"SELECT * FROM records WHERE {where} ORDER BY id", values).fetchall()
        except sqlite3.OperationalError as e:
            if "no such table" in str(e):     # it was killed before its first record
                return []
            raise
    db.close()
    kinds = "verdict", "decision", "action", "event"
    return [{**dict(r), "kind": kinds[r["kind"]], "evidence": json.loads(r["evidence"])} for r in rows]


def all_below(directory):
    """The state directories of all nodes that ran there."""
    return [os.path.dirname(path) for path in glob.glob(f"{glob.escape(directory)}/**/audit.db", recursive=True)]


def unexplained(state):
    """Invariant I6: verdicts without evidence, each in a line."""
    bad = records(state, "kind = 0 AND (evidence = '[]' OR rule = '' OR reason = '')")
    return [f"{r['subject']}: {r['before']} -> {r['after']} ({r['reason']}) has no evidence, or no rule: {r['text']}" for r in bad]
