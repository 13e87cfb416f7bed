"""Versions follow from content alone; rows say only what is known, and nothing that is misspelt."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.masking import mask
from controlplane.evaluation.cases import Case, CaseError, Goal, case_of
from controlplane.evaluation.datasets import DataSet, difference, read_text
from controlplane.evaluation.rows_from import Columns, cases_of_facts, cases_of_file
from controlplane.evaluation.shipped import shipped_cases

words = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=20).filter(
    lambda text: text.strip() != "" and mask(text) == text
)
goals = st.builds(Goal, st.lists(st.tuples(words, st.none() | words), max_size=3).map(tuple), st.none() | words)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    return Case(
        id=draw(words),
        turns=tuple(draw(st.lists(words, min_size=1, max_size=3))),
        expected_intent=draw(st.none() | words),
        mandatory_route=draw(st.none() | st.sampled_from(["none", "fraud"])),
        facts=tuple(tuple(item) for item in draw(st.lists(st.lists(words, min_size=1, max_size=2), max_size=2))),
        goal=draw(st.none() | goals),
        out_of_scope=draw(st.booleans()),
        slices=draw(st.dictionaries(st.sampled_from(["topic", "channel"]), words)),
        origin=draw(words),
    )


sets = st.lists(cases(), max_size=6, unique_by=lambda case: case.id)


@given(cases())
def test_a_row_says_the_same_case_again(case: Case) -> None:
    assert case_of(json.loads(json.dumps(case.row()))) == case


@given(sets, st.integers(0, 1000))
def test_the_order_of_rows_does_not_count_and_their_content_does(found: list[Case], seed: int) -> None:
    mixed = random.Random(seed).sample(found, len(found))
    assert DataSet.of(mixed).version == DataSet.of(found).version
    if found:
        fewer = DataSet.of(found[1:])
        assert fewer.version != DataSet.of(found).version
        values = {name: getattr(found[0], name) for name in Case.__dataclass_fields__}
        longer = Case(**(values | {"turns": (*found[0].turns, "more")}))
        assert DataSet.of([longer, *found[1:]]).version != DataSet.of(found).version


@given(sets)
def test_what_is_written_is_read_again(found: list[Case]) -> None:
    whole = DataSet.of(found)
    again = read_text(whole.text, "file")
    assert (again, again.version) == (whole, whole.version)


@given(sets, sets)
def test_a_difference_leads_from_one_set_to_the_other(before: list[Case], after: list[Case]) -> None:
    old, new = DataSet.of(before), DataSet.of(after)
    found = difference(old, new)
    later = {case.id: case for case in new.cases}
    built = {case.id: case for case in old.cases if case.id not in found.removed}
    built |= {key: later[key] for key in (*found.added, *found.changed)}
    assert DataSet.of(built.values()).version == new.version
    assert (difference(old, old).added, difference(old, old).changed) == ((), ())


@pytest.mark.parametrize(
    ("row", "words_"),
    [
        ({"text": "a", "expected_intnet": "x"}, "unknown key expected_intnet"),
        ({}, "either text or turns"),
        ({"text": "a", "turns": ["b"]}, "either text or turns"),
        ({"text": "  "}, "not empty"),
        ({"turns": []}, "not empty"),
        ({"text": "a" * 9000}, "characters"),
        ({"text": "a", "facts": "x"}, "facts must be"),
        ({"text": "a", "facts": [[]]}, "facts must be"),
        ({"text": "a", "goal": {"operation": []}}, "goal must look like"),
        ({"text": "a", "goal": {"operations": [["block_card"]]}}, "goal must look like"),
        ({"text": "a", "out_of_scope": "yes"}, "true or false"),
        ({"text": "a", "slices": {"weather": "wet"}}, "slices must name"),
        ({"text": "a", "slices": {"topic": ""}}, "not empty"),
        ({"text": "a", "expected_intent": 3}, "expected_intent"),
        ({"text": "a", "id": ""}, "id"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(row: dict[str, object], words_: str) -> None:
    with pytest.raises(CaseError, match=words_) as caught:
        case_of(row, "rows.jsonl:7")
    assert str(caught.value).startswith("rows.jsonl:7: ")


def test_one_id_for_two_rows_is_refused_and_the_same_row_twice_is_one() -> None:
    first, second = case_of({"id": "a", "text": "x"}), case_of({"id": "a", "text": "y"})
    with pytest.raises(CaseError, match="two different rows"):
        DataSet.of([first, second])
    assert len(DataSet.of([first, first]).cases) == 1
    same = case_of({"text": "hello"})
    assert same.id == case_of({"text": "hello", "origin": "elsewhere"}).id != case_of({"text": "hallo"}).id


# where rows come from


def test_labelled_files_of_every_format_give_the_same_rows(tmp_path: Path) -> None:
    frame = pl.DataFrame({"message": ["my card", "a joke", "fraud!"], "label": ["cards", "oos", "fraud"]})
    frame.write_csv(tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    frame.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in frame.to_dicts()))
    columns = Columns("message", "label", None, "oos", ("fraud",))
    found = [
        DataSet.of(cases_of_file(tmp_path / f"a.{end}", columns, "x")) for end in ("csv", "csv.gz", "parquet", "jsonl")
    ]
    assert len({item.version for item in found}) == 1
    by_text = {case.turns[0]: case for case in found[0].cases}
    assert by_text["my card"].expected_intent == "cards"
    assert by_text["my card"].mandatory_route == "none"
    assert by_text["fraud!"].mandatory_route == "fraud"
    assert by_text["a joke"].out_of_scope
    assert by_text["a joke"].expected_intent is None
    with pytest.raises(CaseError, match="no column nolabel; it has message, label"):
        cases_of_file(tmp_path / "a.csv", Columns("message", "nolabel"))
    with pytest.raises(CaseError, match="--text-column, one of label, message"):
        cases_of_file(tmp_path / "a.csv", Columns())


@pytest.mark.parametrize(
    ("name", "content", "words_"),
    [
        ("a.jsonl", b"not json\n", "a.jsonl:1: no JSON"),
        ("a.jsonl", b'{"text": "x"}\n[1]\n', "a.jsonl:2: a row is one JSON object"),
        ("a.jsonl", b"\xff\xfe", "cannot be read"),
        ("a.jsonl.gz", b"no gzip", "cannot be read"),
        ("a.xlsx", b"", "unknown extension"),
        ("a.parquet", b"PAR", r"a\.parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, words_: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CaseError, match=words_):
        cases_of_file(tmp_path / name, Columns())


def test_rows_from_facts_are_masked_and_keep_their_origin() -> None:
    rows = [
        ("c1", "my card 4111 1111 1111 1111 is gone", "app", "retail", None, None, "fees"),
        ("c2", "hi", None, None, None, "fees", "x"),
    ]
    first, second = cases_of_facts(rows, "incident:i7")
    assert (first.id, first.origin, first.slice("origin")) == ("c1", "incident:i7", "incident")
    assert "4111" not in first.turns[0]
    assert (first.expected_intent, first.slices["topic"]) == (None, "fees")
    assert (second.expected_intent, second.slices) == ("fees", {"topic": "fees"})


def test_the_shipped_set_asks_for_everything_and_was_written_apart_from_training_and_simulation() -> None:
    from controlplane.assistant.training_data import load_examples
    from controlplane.simulation.needs import all_needs

    whole = DataSet.of(shipped_cases())
    asks = whole.summary()["asks"]
    assert set(asks) == {"intent", "person", "facts", "goal", "out of scope"}
    assert min(asks.values()) >= 20
    plain = {case.turns[0].casefold().strip(" .?!") for case in whole.cases}
    assert not plain & {example.text.casefold().strip(" .?!") for example in load_examples(1)}
    assert not plain & {phrase.casefold().strip(" .?!") for need in all_needs() for phrase in need.phrases}


def test_personal_data_is_masked_before_a_row_exists_and_the_same_row_again_has_the_same_version(
    tmp_path: Path,
) -> None:
    card, mail = "4111 1111 1111 1111", "jane@example.com"
    row = {
        "turns": [f"my card {card} is gone", f"write to {mail}"],
        "note": f"{mail} called",
        "goal": {"operations": [["set_address", mail]], "address": f"{mail}, 12 High Street"},
        "slices": {"topic": mail},
    }
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    found = DataSet.of(cases_of_file(tmp_path / "rows.jsonl", Columns()))
    assert card not in found.text
    assert mail not in found.text
    assert found.cases[0].turns == ("my card [card] is gone", "write to [email]")
    (tmp_path / "again.jsonl").write_text(found.text)
    assert DataSet.of(cases_of_file(tmp_path / "again.jsonl", Columns())).version == found.version


def test_a_fact_that_would_be_masked_is_refused_with_what_to_write() -> None:
    with pytest.raises(CaseError, match=r"row: facts hold call \[phone\].*write 'call \[phone\]'"):
        case_of({"text": "a", "facts": [["call +44 7700 900123"]]})
    assert case_of({"text": "a", "facts": ["call [phone]"]}).facts == (("call [phone]",),)


def test_half_a_character_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a \\ud800 b", "id": "r1"}\n')
    with pytest.raises(CaseError, match=r"rows.jsonl:1: a text has half a character"):
        cases_of_file(tmp_path / "rows.jsonl", Columns())


def test_the_shipped_rows_hold_nothing_that_masking_changes() -> None:
    for case in shipped_cases():
        assert all(mask(turn) == turn for turn in case.turns)
