"""`controlplane drift` on a workspace: run, list, show, timeline, reference add and list; words, JSON and exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane import settings as settings_module
from controlplane.store.warehouse import Warehouse
from tests.jobs.command_line import Cli
from tests.jobs.drift_world import DAY, NOW, Day, DriftWorld

UNTIL = ("--until", NOW.isoformat())
RUN = ("drift", "run", "--no-report", *UNTIL, "--reference", "previous")


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Three quiet weeks, then one with longer prompts; no arm at all, as in an ordinary log."""
    home = tmp_path_factory.mktemp("moved") / "home"
    settings = settings_module.load(str(home), env={})
    settings.workspace.create("live")
    with Warehouse.open(settings.workspace.facts) as warehouse:
        facts = DriftWorld(warehouse)
        facts.days(NOW - 7 * DAY, 21, Day(rows=12, arm=None))
        facts.days(NOW, 7, Day(rows=12, arm=None, tokens=900.0))
    return Cli(home)


def test_an_analysis_is_run_listed_and_shown(moved: Cli) -> None:
    said = moved(*RUN, "--days", "7").out
    assert "against 2026-04-20T03:00:00Z to 2026-04-27T03:00:00Z  before (previous)" in said
    assert "tokens_in: drifted; Wasserstein / sd" in said
    assert "since 2026-04-27T00:00:00Z" in said
    assert "report: not asked for" in said
    (listed,) = moved.json("drift", "list")["analyses"]
    assert (listed["drifted"], listed["trigger"]) == (["tokens_in"], "person")
    assert "drifted tokens_in" in moved("drift", "list").out
    shown = moved.json("drift", "show", listed["artefact"][:12])
    assert shown["columns"]["tokens_in"]["onset"] == "2026-04-27T00:00:00Z"
    assert shown == moved.json("drift", "show", "latest")
    assert "region: stable" in moved("drift", "show", "latest", "--all").out
    assert Path(moved.home / shown["path"] / "summary.json").is_file()
    for unknown in ("nothing", ""):
        assert "`controlplane drift list` names them" in moved.refused("drift", "show", unknown, code=1)


def test_the_timeline_reads_only_days_that_are_new(moved: Cli) -> None:
    words = ("drift", "timeline", "--days", "14", "--reference", "before the change")
    assert "no reference window is called 'before the change'" in moved.refused(*words, code=2)
    window = ("--since", "2026-04-06", "--until", "2026-04-20", "--actor", "ana", "--reason", "quiet")
    kept = moved.json("drift", "reference", "add", "before the change", *window)
    assert (kept["version"], kept["interactions"]) == (1, 14 * 12 - 1)
    first = moved.json(*words)
    assert first["days_read"] == 15
    assert first["reference"]["name"] == "before the change"
    series = first["columns"]["tokens_in"]["timeline"]["score"]
    assert max(series[:7]) < 2 < min(series[8:])
    second = moved.json(*words)
    assert (second["days_read"], second["columns"]) == (0, first["columns"])
    settings = settings_module.load(str(moved.home), env={})
    with Warehouse.open(settings.workspace.facts) as warehouse:
        late = DriftWorld(warehouse, seed=8)
        late._n, late._batch = 90_000, 90
        late.days(NOW - 2 * DAY, 1, Day(rows=12, arm=None))
    again = moved.json(*words)
    assert again["days_read"] == 2  # a day from three to three
    assert again["columns"]["tokens_in"]["timeline"]["rows"] != first["columns"]["tokens_in"]["timeline"]["rows"]
    said = moved(*words, "--column", "tokens_in").out
    assert "one mark per day, against before the change@1" in said
    assert "tokens_in  " in said
    assert "no column 'tokens' is watched: there are intent_pred, " in moved.refused(
        *words, "--column", "tokens", code=2
    )


def test_reference_windows_are_listed_with_who_and_why(moved: Cli) -> None:
    said = moved("drift", "reference", "list").out
    assert "before the change@1  2026-04-06T00:00:00Z to 2026-04-20T00:00:00Z  167 interactions; ana: quiet" in said
    (row,) = moved.json("drift", "reference", "list")["references"]
    assert (row["name"], row["version"], row["reason"]) == ("before the change", 1, "quiet")
    assert moved.json("audit", "verify")["ok"] is True


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("--current", "x.csv"), "name the file it is compared with by --reference", 2),
        (("--reference", "a.csv", "--current", "b.csv", "--days", "3"), "--days choose windows of the workspace", 2),
        (("--out", "here"), "--out is for files", 2),
        (("--reference", "launch"), "no reference window is called 'launch'", 2),
        (("--against", "v1"), "--against names what --release is compared with: give both", 2),
        (("--release", "v9"), "there are no interactions of release v9", 1),
        (("--since", "noon"), "--since 'noon' is no time", 2),
        (("--until", "2020-01-01"), "there is no data in the current window", 1),
    ],
)
def test_a_wrong_use_is_a_message_with_a_remedy(moved: Cli, words: tuple[str, ...], said: str, code: int) -> None:
    assert said in moved.refused("drift", "run", "--no-report", *words, code=code)


def test_an_empty_workspace_says_what_to_do(tmp_path: Path) -> None:
    empty = Cli(tmp_path / "home")
    assert "is no workspace yet" in empty.refused("drift", "list", code=2)
    settings_module.load(str(empty.home), env={}).workspace.create("live")
    assert "ingest logs with time stamps first" in empty.refused("drift", "run", code=1)
    assert "no analysis yet: `controlplane drift run` makes one" in empty("drift", "list").out
    assert "`controlplane drift reference add` keeps one" in empty("drift", "reference", "list").out
