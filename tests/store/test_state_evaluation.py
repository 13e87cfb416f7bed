"""Evaluation in the state: nothing is recorded twice, nothing without its audit row, and nothing behind another's back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.store import content_files
from controlplane.store.content_files import ContentError
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_evaluation import (
    CriteriaRow,
    DatasetVersion,
    ReviewLabel,
    RunRow,
    criteria_identity,
    result_identity,
)
from tests.store.conftest import T0 as NOW

DATA = DatasetVersion("support", "v1", 3, None, "file", "ada", NOW, {"rows": 3})
CRITERIA = CriteriaRow(criteria_identity("t", {"support": "v1"}), "quality", "ada", "t", {"support": "v1"}, "ada", NOW)
RUN = RunRow(
    "ev-1", "v1", "r1", {"model": "m"}, CRITERIA.criteria_hash, "quality", {"support": "v1"}, 7, "0", "ada", NOW
)


def finished(run: RunRow = RUN) -> RunRow:
    ended = replace(run, finished_at=NOW + timedelta(seconds=9), verdict="PASS", result={"rows": 3}, outcomes_hash="o")
    return replace(ended, result_hash=result_identity(ended))


def test_everything_comes_back_as_it_was_with_an_audit_row_each(state: StateWriter) -> None:
    state.add_dataset_version(DATA)
    assert state.register_criteria(CRITERIA) is True
    state.begin_evaluation(RUN)
    assert state.evaluation_runs() == [RUN]
    state.finish_evaluation(finished(), NOW)
    label = ReviewLabel("c1:1", "rollout", 1, "correct", "", "rita", NOW)
    state.add_review_label(label)
    assert (state.dataset_versions(), state.criteria(), state.evaluation_runs("r1")) == (
        [DATA],
        [CRITERIA],
        [finished()],
    )
    assert (state.review_labels("rollout"), state.review_labels("other")) == ([label], [])
    events = [row["event"] for row in state.audit_rows()]
    assert events == [
        "dataset_version",
        "criteria_registered",
        "evaluation_started",
        "evaluation_finished",
        "output_reviewed",
    ]
    assert state.verify_chains()["audit"] is None


def test_a_name_moves_from_the_version_that_was_seen(state: StateWriter) -> None:
    state.add_dataset_version(DATA)
    with pytest.raises(LostRace, match="another version"):
        state.add_dataset_version(replace(DATA, version="v2"))
    state.add_dataset_version(replace(DATA, version="v2", parent="v1"))
    with pytest.raises(LostRace):
        state.add_dataset_version(replace(DATA, version="v3", parent="v1"))
    assert len(state.audit_rows()) == 2, "what was lost left nothing behind"


def test_criteria_keep_the_time_at_which_they_were_first_registered(state: StateWriter) -> None:
    state.register_criteria(CRITERIA)
    assert state.register_criteria(replace(CRITERIA, registered_at=NOW + timedelta(days=1), actor="eve")) is False
    assert state.criteria() == [CRITERIA]
    assert (
        criteria_identity("t", {})
        != criteria_identity("t", {"support": "v1"})
        != criteria_identity("t ", {"support": "v1"})
    )


def test_a_run_is_finished_once(state: StateWriter) -> None:
    with pytest.raises(LostRace, match="never begun"):
        state.finish_evaluation(finished(), NOW)
    state.begin_evaluation(RUN)
    state.finish_evaluation(finished(), NOW)
    with pytest.raises(LostRace, match="finished already"):
        state.finish_evaluation(replace(finished(), verdict="FAIL"), NOW)
    assert state.evaluation_runs()[0].verdict == "PASS"


@pytest.mark.parametrize(
    "change", [{"verdict": "FAIL"}, {"result": {}}, {"outcomes_hash": "x"}, {"release_hash": "x"}, {"seed": 8}]
)
def test_the_identity_of_a_result_covers_what_it_says(change: dict[str, object]) -> None:
    assert result_identity(replace(finished(), **change)) != finished().result_hash


def test_a_reader_cannot_write(state: StateWriter, tmp_path: Path) -> None:
    reader = StateReader(f"sqlite:///{tmp_path / 'state.sqlite'}")
    assert not any(hasattr(reader, name) for name in ("begin_evaluation", "register_criteria", "add_review_label"))
    reader.close()


# files under their hash


def test_a_file_is_found_by_what_it_holds_and_no_longer_when_it_holds_something_else(tmp_path: Path) -> None:
    name = content_files.save(tmp_path / "new", "a\u0085line\n", "kind")
    assert content_files.save(tmp_path / "new", "a\u0085line\n", "kind") == name
    assert content_files.load(tmp_path / "new", name, "kind") == "a\u0085line\n"
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"{name}.jsonl"]
    with pytest.raises(ContentError, match="was changed"):
        content_files.load(tmp_path / "new", name, "another kind")
    (tmp_path / "new" / f"{name}.jsonl").write_bytes(b"a\xff")
    with pytest.raises(ContentError, match="cannot be read"):
        content_files.load(tmp_path / "new", name, "kind")
    with pytest.raises(ContentError, match="is gone"):
        content_files.load(tmp_path / "new", "0" * 64)
