"""A retraining proposal: what is new, what is kept out, when it says yes, no or unknown, and that it deploys nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from controlplane.assistant.intent_model import text_hash
from controlplane.assistant.training_data import Example
from controlplane.evaluation.cases import Case, case_of
from jobs.retrain import material, recommend
from tests.jobs.command_line import Cli
from tests.jobs.evaluation_world import write

INTENTS = {
    "fees": ("what does a wire cost", "monthly price of the account", "charge for a transfer abroad"),
    "limits": ("raise my daily maximum", "how much can i send a day", "most that i may withdraw"),
    "balance": ("how much money do i have", "show what is left on my account", "tell me my funds"),
    "hours": ("when do you open", "are you there on sunday", "until when is the branch staffed"),
}
SLANG = {"fees": "wire toll", "limits": "cash ceiling", "balance": "dough count", "hours": "shutters up"}
TAILS = ("please", "today", "now", "thanks", "again", "for me", "quickly", "here", "then", "soon", "kindly", "at once")


def row(i: int, text: str, intent: str | None) -> Case:
    said: dict[str, Any] = {"expected_intent": intent} if intent else {"out_of_scope": True}
    return case_of({"id": f"r{i}", "text": text, **said})


def running(*seen: str, oos: str | None = None) -> Any:
    hashes = np.array([text_hash(text) for text in seen], np.uint64)
    return SimpleNamespace(seen=hashes, labels=("fees", "limits"), oos_label=oos)


def test_only_new_rows_are_learned_from_and_none_of_the_evaluation() -> None:
    labelled = [
        row(0, "known text", "fees"),
        row(1, "New Text", "fees"),
        row(2, "asked there", "limits"),
        row(3, "an odd one", "loans"),
        row(4, "the weather", None),
        case_of({"id": "r5", "text": "nobody knows"}),
        row(6, "new  text", "fees"),
    ]
    old = (Example("known text", "fees", 7),)
    found = material(running("known text"), old, labelled, [row(9, "asked there", "limits")])
    assert found.ids == ("r1", "r6")
    assert [example.group for example in found.new] == [8, 8]  # one wording: never on both sides of a split
    assert found.left_out == {
        "known to the running classifier": 1,
        "asked in the evaluation set": 1,
        "of an unknown intent with too few rows": 1,
        "without a label": 2,
    }
    assert material(running(oos="oos"), old, labelled, ()).new[-2].label == "oos"
    five = [row(i, f"loan {i} wanted", "loans") for i in range(5)]
    assert len(material(running(), old, five, ()).new) == 5


def said(verdict: str = "PASS", low: float = 0.01, high: float = 0.1, n: int = 100) -> dict[str, Any]:
    difference = {"n": n, "estimate": (low + high) / 2, "low": low, "high": high}
    return {
        "verdict": verdict,
        "criteria": [{"name": "intent_accuracy", "verdict": verdict}],
        "comparison": {"intent_accuracy": difference},
    }


@pytest.mark.parametrize(
    ("value", "expected", "words"),
    [
        (said(), "yes", "keeps every line"),
        (said("FAIL"), "no", "breaks a line of the criteria: intent_accuracy"),
        (said(low=-0.2, high=-0.01), "no", "fewer intents"),
        (said(low=-0.02), "unknown", "cannot be told apart"),
        (said(n=29), "unknown", "29 rows"),
        (said() | {"comparison": {}}, "unknown", "0 rows"),
        (said("INCONCLUSIVE"), "unknown", "INCONCLUSIVE"),
        (said("NO_DATA"), "unknown", "NO_DATA"),
    ],
)
def test_what_is_recommended(value: dict[str, Any], expected: str, words: str) -> None:
    found, why = recommend(value)
    assert found == expected
    assert words in why


@pytest.fixture
def world(tmp_path: Path) -> tuple[Cli, Path]:
    """A running release with a small classifier of its own, which does not know the customers' slang."""
    cli = Cli(tmp_path / "home")
    lines = [f"{text} {tail},{intent}" for intent, texts in INTENTS.items() for text in texts for tail in TAILS]
    (tmp_path / "train.csv").write_text("\n".join(["text,intent", *lines]) + "\n")
    model = cli.json("assistant", "train", "--data", tmp_path / "train.csv", "--out", tmp_path / "models")
    folder = next(path for path in (tmp_path / "models").iterdir() if path.is_dir())
    assert folder.name in json.dumps(model)
    (tmp_path / "release.toml").write_text(f'version = "1.0.0"\n[artefacts]\nclassifier = "models/{folder.name}"\n')
    (tmp_path / "criteria.toml").write_text(
        'schema = 1\nname = "quality"\nowner = "ada"\ndatasets = ["support"]\n'
        '[[criteria]]\nmetric = "intent_accuracy"\ncomparison = "at_least"\nlimit = 0.5\n'
    )
    slang = [(f"{SLANG[intent]} {tail}", intent) for intent in SLANG for tail in TAILS]
    for name, part in (("support", slang[::2]), ("support-train", slang[1::2])):
        more = [(f"{texts[0]} {name} matter {i}", intent) for intent, texts in INTENTS.items() for i in range(4)]
        found = [{"text": text, "expected_intent": intent} for text, intent in [*part, *more]]
        cli("dataset", "add", name, write(tmp_path / f"{name}.jsonl", found), "--actor", "ana")
    cli("eval", "register", tmp_path / "criteria.toml", "--actor", "ana")
    return cli, tmp_path


def test_a_candidate_that_learned_is_proposed_and_nothing_is_deployed(world: tuple[Cli, Path]) -> None:
    cli, folder = world
    words = ("retrain", "propose", "--evaluation", "support", "--training", "support-train", "--actor", "ana")
    words = (*words, "--criteria", "quality")
    own = ("--release", folder / "release.toml", "--data", folder / "train.csv")
    assert "name the labelled file" in cli.refused(*words, *own[:2], code=1)
    assert "both sets" in cli.refused(*words[:5], "support", *words[6:], *own, code=1)
    value = cli.json(*words, *own)
    assert (value["recommendation"], value["new_rows"], value["verdict"]) == ("yes", 40, "PASS")
    difference = value["comparison"]["intent_accuracy"]
    assert 0.0 < difference["low"] <= difference["estimate"]
    assert value["candidate"]["classifier"] != value["running"]["classifier"]
    assert (cli.home / "models" / value["candidate"]["folder"] / "model.npz").is_file()
    runs = {run["run_id"]: run for run in cli.json("eval", "list")["runs"]}
    assert set(value["runs"].values()) == set(runs)
    events = [row["event"] for row in cli.json("audit", "log")["rows"]]
    assert events[-1] == "retraining_proposed"
    assert "start" not in events
    again = (folder / "release.toml").read_text().replace("models/", f"{cli.home}/models/retrained/")
    name = value["candidate"]["folder"].split("/")[1]
    (folder / "next.toml").write_text(again.replace(again.split("retrained/")[1].split('"')[0], name))
    nothing = cli.json(*words, "--release", folder / "next.toml", "--data", folder / "train.csv", code=1)
    assert (nothing["recommendation"], nothing["candidate"]) == ("no", None)
    assert "no labelled row is new" in nothing["reason"]
