"""The hash chain finds any change, deletion, swap or insertion at the row where it begins."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.audit import GENESIS, canonical, chain_hash, head, sha256_text, verify, verify_anchor

Row = dict[str, Any]
VALUES = st.one_of(st.integers(), st.text(max_size=8), st.none(), st.booleans())
CONTENTS = st.lists(st.fixed_dictionaries({"event": st.text(max_size=8), "n": VALUES}), min_size=1, max_size=8)


def chained(contents: list[Row], gaps: int = 1) -> list[Row]:
    rows, prev = [], GENESIS
    for position, content in enumerate(contents):
        link = chain_hash(prev, content)
        rows.append({"seq": (position + 1) * gaps, "prev_hash": prev, "hash": link, **content})
        prev = link
    return rows


def broken_at(rows: list[Row]) -> int | None:
    found = verify(rows)
    return None if found is None else found.seq


@given(CONTENTS, st.integers(1, 5))
def test_a_whole_chain_is_whole_whatever_the_numbering(contents: list[Row], gaps: int) -> None:
    assert verify(chained(contents, gaps)) is None
    assert verify([]) is None


@given(CONTENTS, st.data())
@settings(deadline=None)
def test_a_changed_value_is_found_at_its_row(contents: list[Row], data: st.DataObject) -> None:
    rows = chained(contents)
    place = data.draw(st.integers(0, len(rows) - 1))
    key = data.draw(st.sampled_from(["event", "n"]))
    value = data.draw(VALUES.filter(lambda value: canonical(value) != canonical(rows[place][key])))
    rows[place] = {**rows[place], key: value}
    assert broken_at(rows) == rows[place]["seq"]


@given(CONTENTS, st.data())
def test_an_added_or_missing_column_is_found(contents: list[Row], data: st.DataObject) -> None:
    rows = chained(contents)
    place = data.draw(st.integers(0, len(rows) - 1))
    if data.draw(st.booleans()):
        rows[place] = {**rows[place], "note": None}
    else:
        rows[place] = {key: value for key, value in rows[place].items() if key != "n"}
    assert broken_at(rows) == rows[place]["seq"]


@given(CONTENTS.filter(lambda rows: len(rows) > 1), st.data())
def test_a_deleted_row_is_found_at_the_row_behind_it(contents: list[Row], data: st.DataObject) -> None:
    rows = chained(contents)
    place = data.draw(st.integers(0, len(rows) - 2))  # the last row has nothing behind it that could tell
    behind = rows[place + 1]["seq"]
    assert broken_at(rows[:place] + rows[place + 1 :]) == behind


@given(CONTENTS.filter(lambda rows: len(rows) > 1), st.data())
def test_two_swapped_rows_are_found_at_the_first_of_them(contents: list[Row], data: st.DataObject) -> None:
    rows = chained(contents)
    one = data.draw(st.integers(0, len(rows) - 2))
    two = data.draw(st.integers(one + 1, len(rows) - 1))
    rows[one], rows[two] = {**rows[two], "seq": rows[one]["seq"]}, {**rows[one], "seq": rows[two]["seq"]}
    assert broken_at(rows) == rows[one]["seq"]


@given(CONTENTS, st.data())
def test_an_inserted_row_is_found_there_or_right_behind(contents: list[Row], data: st.DataObject) -> None:
    rows = chained(contents, gaps=10)
    place = data.draw(st.integers(0, len(rows) - 1))
    honest_looking = {"event": "forged", "n": 0}
    prev = rows[place]["prev_hash"]
    forged = {"seq": rows[place]["seq"] - 5, "prev_hash": prev, "hash": chain_hash(prev, honest_looking)}
    assert broken_at([*rows[:place], {**forged, **honest_looking}, *rows[place:]]) == rows[place]["seq"]
    clumsy = {**forged, **honest_looking, "hash": "f" * 64}
    assert broken_at([*rows[:place], clumsy, *rows[place:]]) == forged["seq"]


@given(CONTENTS, st.data())
def test_a_rewritten_hash_breaks_its_own_row_and_a_rehashed_row_the_next(
    contents: list[Row], data: st.DataObject
) -> None:
    rows = chained([*contents, {"event": "end", "n": 0}])
    place = data.draw(st.integers(0, len(rows) - 2))
    lied = [*rows]
    lied[place] = {**rows[place], "hash": "0" * 64}
    assert broken_at(lied) == rows[place]["seq"]
    body = {"event": "changed it", "n": -1}
    lied[place] = {**rows[place], **body, "hash": chain_hash(rows[place]["prev_hash"], body)}
    assert broken_at(lied) == rows[place + 1]["seq"]


def test_the_first_row_must_point_to_the_genesis() -> None:
    rows = chained([{"event": "a", "n": 1}, {"event": "b", "n": 2}])
    found = verify(rows[1:])
    assert found is not None
    assert found.seq == 2
    assert "removed" in found.reason


def test_number_and_text_are_different_contents() -> None:
    assert chain_hash(GENESIS, {"n": 1}) != chain_hash(GENESIS, {"n": "1"})
    assert chain_hash(GENESIS, {"n": None}) != chain_hash(GENESIS, {})


def test_canonical_depends_on_the_value_alone() -> None:
    assert canonical({"b": 1, "a": [1.5, "é", None]}) == '{"a":[1.5,"é",null],"b":1}'
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})
    assert json.loads(canonical({"x": 0.1})) == {"x": 0.1}
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON compliant"):
            canonical({"x": bad})


def test_a_hash_is_sha256_over_utf8() -> None:
    assert sha256_text("grün") == hashlib.sha256("grün".encode()).hexdigest()
    expected = hashlib.sha256((GENESIS + "\n" + '{"a":1}').encode()).hexdigest()
    assert chain_hash(GENESIS, {"a": 1}) == expected


@given(CONTENTS, CONTENTS, st.data())
def test_a_noted_head_shows_that_the_end_was_cut_off_or_everything_written_anew(
    contents: list[Row], more: list[Row], data: st.DataObject
) -> None:
    before, after = chained(contents), chained([*contents, *more])
    assert verify_anchor(after, head(before)) is None
    assert verify_anchor(after, head([])) is None
    cut = after[: data.draw(st.integers(0, len(contents) - 1))]
    assert verify(cut) is None
    found = verify_anchor(cut, head(before))
    assert found is not None
    assert found.seq == (cut[-1]["seq"] if cut else 0)
    anew = chained([{**row, "event": row["event"] + "!"} for row in contents] + more)
    assert verify_anchor(anew, head(before)) is not None
