"""The line index against documents whose lines are known because they were written line by line."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.toml_lines import Path, line_index, line_of

NAMES = st.sampled_from(["a", "b_c", "d-1", "x9", "budget", "E"])
VALUES = st.sampled_from(["1", '"x = 1"', "[1, 2]", '"[a]"', "true", "'#'", "1.5 # a = 2"])
FILLER = st.sampled_from(["", "# [a]", "  # a = 1", "   ", "\t"])


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Path, int]]:
    """A valid text of tables, lists of tables and keys, with the line of everything in it."""
    lines: list[str] = []
    places: dict[Path, int] = {}

    def write(line: str, path: Path) -> None:
        lines.extend(draw(st.lists(FILLER, max_size=2)))
        lines.append(draw(st.sampled_from(["", "  "])) + line)
        places[path] = len(lines)

    def keys(table: Path) -> None:
        for name in draw(st.lists(NAMES.map(lambda name: f"k{name}"), max_size=3, unique=True)):
            write(f"{name} {draw(st.sampled_from(['=', ' = ']))} {draw(VALUES)}", (*table, name))

    keys(())
    counts: dict[str, int] = {}
    for name in draw(st.lists(NAMES, max_size=5)):
        if name in counts and counts[name] < 0:
            continue
        is_list = counts.get(name, 0) > 0 or draw(st.booleans())
        if is_list:
            table: Path = (name, counts.get(name, 0))
            counts[name] = counts.get(name, 0) + 1
            write(draw(st.sampled_from([f"[[{name}]]", f"[[ {name} ]] # list", f'[["{name}"]]'])), table)
        else:
            table, counts[name] = (name,), -1
            write(draw(st.sampled_from([f"[{name}]", f"[ {name} ]", f"[{name}] # [x]"])), table)
        keys(table)
    return "\n".join(lines) + "\n", places


def paths_of(value: Any, path: Path = ()) -> list[Path]:
    if isinstance(value, dict):
        return [path, *(found for key, item in value.items() for found in paths_of(item, (*path, key)))]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [path, *(found for i, item in enumerate(value) for found in paths_of(item, (*path, i)))]
    return [path]


@given(documents())
@settings(max_examples=200, deadline=None)
def test_everything_is_on_its_line(document: tuple[str, dict[Path, int]]) -> None:
    text, places = document
    index = line_index(text)
    assert {path: line for path, line in index.items() if path in places} == places
    real = set(paths_of(tomllib.loads(text)))
    assert set(places) <= real  # the documents mean what they seem to
    assert set(index) <= real


@given(documents(), st.sampled_from(["\r\n"]))
@settings(max_examples=30, deadline=None)
def test_line_ends_of_another_system_change_nothing(document: tuple[str, dict[Path, int]], end: str) -> None:
    text, _ = document
    assert line_index(text.replace("\n", end)) == line_index(text)


def test_a_table_inside_a_list_belongs_to_the_item_above_it() -> None:
    index = line_index("[[p]]\nn = 1\n[p.inner]\nx = 1\n[[p]]\n[p.inner]\nx = 2\n")
    assert index["p", 0, "inner", "x"] == 4
    assert index["p", 1, "inner", "x"] == 7


def test_dotted_and_quoted_keys_have_their_places() -> None:
    index = line_index("a.b = 1\n'c' = 2\n\"d\" = 3\n[t]\ne . f = 4\n")
    assert index["a", "b"] == 1
    assert (index["c",], index["d",], index["t", "e", "f"]) == (2, 3, 5)


def test_what_is_not_there_is_placed_at_the_nearest_table_above() -> None:
    index = line_index("# x\n\n[[p]]\nn = 1\n[w]\n")
    assert line_of(index, ("p", 0, "missing")) == 3
    assert line_of(index, ("p", 0, "n", "deeper")) == 4
    assert line_of(index, ("w", "k")) == 5
    assert line_of(index, ("nowhere", "k")) == 1
    assert line_of(index, ()) == 1
