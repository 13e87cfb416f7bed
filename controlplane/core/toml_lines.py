"""Where in a TOML text a key stands, so that an error can name the line.

The standard parser gives values without positions. This reads table headers and `key =` beginnings only, which is enough to
point at a line; values are never taken from here.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*\[(\[)?\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]?\]\s*(#.*)?$")
_PART = r"(?:[A-Za-z0-9_\-]+|\"[^\"]+\"|'[^']+')"
_KEY = re.compile(rf"^\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")


def line_index(text: str) -> dict[Path, int]:
    """Map of key paths (with list positions for arrays of tables) to 1-based line numbers."""
    index: dict[Path, int] = {}
    counters: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.split("\n"), start=1):
        header = _HEADER.match(line)
        if header:
            table = _table_path(header.group(2), header.group(1) is not None, counters)
            index.setdefault(table, number)
            continue
        key = _KEY.match(line)
        if key:
            path = table
            for part in _parts(key.group(1)):
                path = (*path, part)
                index.setdefault(path, number)
    return index


def _parts(name: str) -> list[str]:
    return [part.strip().strip("\"'") for part in name.split(".")]


def _table_path(name: str, is_array: bool, counters: dict[Path, int]) -> Path:
    path: Path = ()
    parts = _parts(name)
    for position, part in enumerate(parts):
        path = (*path, part)
        if position == len(parts) - 1 and is_array:
            counters[path] = counters.get(path, -1) + 1
        if path in counters:
            path = (*path, counters[path])
    return path


def line_of(index: dict[Path, int], path: Path) -> int:
    """Line of `path`, or of the nearest table above it that stands in the text (1 when none does)."""
    while path:
        if path in index:
            return index[path]
        path = path[:-1]
    return 1
