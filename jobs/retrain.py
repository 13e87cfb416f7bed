"""`controlplane retrain propose`: what people have labelled since, a classifier trained with it, and whether to try it. Deploys nothing.

1. New rows: those of the training set whose text the running classifier was not trained on, which it knows itself. A text that the evaluation set
   asks about is never trained on.
2. The candidate: the running classifier's own rows and recipe, and the new rows with them.
3. Both are evaluated as `eval run` does it, under registered criteria on the registered set, each run recorded before it measures anything.
4. Recommendation: `yes` when the candidate keeps every line and its intent accuracy is higher with the whole interval of the paired difference above
   0; `no` when it breaks a line, is worse, or there is nothing to learn from; else `unknown`, with what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from controlplane.assistant import intent, intent_registry
from controlplane.assistant.intent_model import IntentModel, text_hash
from controlplane.assistant.release import load_or_train
from controlplane.assistant.training_data import Example, load_examples
from controlplane.core.audit import canonical, sha256_text
from controlplane.core.review_queue import OUT_OF_SCOPE
from controlplane.evaluation.cases import Case
from controlplane.store.state import StateWriter
from jobs import datasets
from jobs.artefacts import keep
from jobs.compose import open_state, workspace_settings
from jobs.evaluation_run import Candidate, Finished, find_criteria, plan, run
from jobs.evaluation_subject import ReleaseFile, embedded, read_release
from jobs.refused import Refused

KIND, EVENT = "retraining", "retraining_proposed"
MIN_NEW_LABEL = 5  # rows of an intent that the running classifier does not know
MIN_PAIRS = 30
ACCURACY = "intent_accuracy"
REGISTRY = "retrained"  # in the workspace's models


@dataclass(frozen=True, slots=True)
class Asked:
    """Data sets, registered criteria, the running release (None: the shipped one), and the file that a classifier of its own learned from."""

    evaluation: str
    training: str
    criteria: str
    release: Path | None = None
    data: Path | None = None
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Material:
    """Rows to train on: the running classifier's, and the new ones; why others were left out."""

    old: tuple[Example, ...]
    new: tuple[Example, ...]
    ids: tuple[str, ...]
    left_out: dict[str, int]


def propose_command(home: str | None, asked: Asked, actor: str, clock: Callable[[], datetime]) -> dict[str, Any]:
    """Train, evaluate, record a proposal. Raises Refused for what is not registered, CaseError for files that cannot be used."""
    settings = workspace_settings(home, must_exist=True)
    workspace = settings.workspace
    with open_state(settings, clock()) as state:
        find_criteria(state, asked.criteria)
        evaluation = datasets.load(state, workspace.datasets, asked.evaluation)
        training = datasets.load(state, workspace.datasets, asked.training)
        if evaluation.row.name == training.row.name:
            raise Refused(f"{asked.evaluation} is both sets: what is trained on says nothing in an evaluation")
        release = read_release(asked.release)
        running = _running(release, workspace.models)
        found = material(running, _old_rows(release, asked.data), training.rows.cases, evaluation.rows.cases)
        value: dict[str, Any] = {
            "running": {"classifier": running.digest, "rows": running.training.rows},
            "evaluation": {"name": evaluation.row.name, "version": evaluation.row.version},
            "training": {"name": training.row.name, "version": training.row.version},
            "new_rows": len(found.new),
            "new_ids": list(found.ids),
            "left_out": found.left_out,
            "seed": asked.seed,
        }
        if not found.new:
            said = "no", "no labelled row is new since the running classifier was trained"
            return _record(state, {**value, "candidate": None, "runs": {}}, said, actor, clock())
        folder, model = _train(running, found, workspace.models / REGISTRY, asked.seed, clock())
        runs = _evaluate(state, (workspace.datasets, workspace.evaluations), asked, release, folder, actor, clock)
        value |= {
            "candidate": {
                "classifier": model.digest,
                "rows": model.training.rows,
                "folder": f"{REGISTRY}/{folder.name}",
            }
        }
        value |= _results(*runs)
        return _record(state, value, recommend(value), actor, clock())


def material(
    running: IntentModel, old: Sequence[Example], labelled: Sequence[Case], evaluated: Sequence[Case]
) -> Material:
    """What to train on. A row counts as new when the running classifier has not seen its text."""
    seen = {int(value) for value in running.seen}
    asked = {text_hash(turn) for case in evaluated for turn in case.turns}
    beyond = OUT_OF_SCOPE if OUT_OF_SCOPE in running.labels else running.oos_label
    left: Counter[str] = Counter()
    rows: list[tuple[str, str, str]] = []
    for case in labelled:
        label = beyond if case.out_of_scope else case.expected_intent
        key = text_hash(case.turns[0])
        if label is None:
            left["without a label"] += 1
        elif key in seen:
            left["known to the running classifier"] += 1
        elif key in asked:
            left["asked in the evaluation set"] += 1
        else:
            rows.append((case.id, case.turns[0], label))
    counts = Counter(label for _, _, label in rows)
    rare = {n for n in counts if n not in running.labels and n != running.oos_label and counts[n] < MIN_NEW_LABEL}
    left["of an unknown intent with too few rows"] = sum(counts[name] for name in rare)
    first = max((example.group for example in old), default=-1) + 1
    groups: dict[int, int] = {}
    kept = [(id_, text, label) for id_, text, label in rows if label not in rare]
    new = tuple(
        Example(text, label, first + groups.setdefault(text_hash(text), len(groups))) for _, text, label in kept
    )
    return Material(tuple(old), new, tuple(id_ for id_, _, _ in kept), {k: n for k, n in left.items() if n})


def recommend(value: Mapping[str, Any]) -> tuple[str, str]:
    """Yes, no or unknown, and why, from the candidate's verdict and the paired difference of the accuracies."""
    verdict, difference = value["verdict"], value["comparison"].get(ACCURACY)
    if verdict == "FAIL":
        broken = ", ".join(item["name"] for item in value["criteria"] if item["verdict"] == "FAIL")
        return "no", f"the candidate breaks a line of the criteria: {broken}"
    if difference is None or difference["n"] < MIN_PAIRS:
        n = 0 if difference is None else difference["n"]
        return "unknown", f"{n} rows of the evaluation set have a true intent: at least {MIN_PAIRS} are needed"
    span = f"{difference['estimate']:+.1%}, between {difference['low']:+.1%} and {difference['high']:+.1%}"
    if difference["high"] < 0.0:
        return "no", f"the candidate finds fewer intents: {span} on {difference['n']} rows"
    if verdict != "PASS":
        return "unknown", f"the criteria say {verdict}: more rows in the evaluation set may decide; accuracy {span}"
    if difference["low"] > 0.0:
        return "yes", f"the candidate keeps every line and finds more intents: {span} on {difference['n']} rows"
    return "unknown", f"the two cannot be told apart on {difference['n']} rows: {span}"


def proposal_text(value: Mapping[str, Any]) -> str:
    """A proposal for people."""
    lines = [
        f"{value['recommendation'].upper()}: {value['reason']}",
        f"new rows since the running classifier {value['running']['classifier'][:12]} was trained: {value['new_rows']}",
    ]
    lines += [f"  left out: {n} {why}" for why, n in value["left_out"].items()]
    if value["candidate"] is not None:
        lines.append(f"candidate {value['candidate']['classifier'][:12]} in models/{value['candidate']['folder']}")
        lines += [
            f"  {item['verdict']:12} {item['name']}" for item in value["criteria"]
        ]  # of the candidate, under the registered criteria
        lines.append("nothing was deployed: a release that uses it goes through `eval run` and `release start`")
    return "\n".join([*lines, value["artefact_id"]])


def _running(release: ReleaseFile, models: Path) -> IntentModel:
    if release.own.classifier is not None:
        return intent_registry.opened(release.own.classifier)[0]
    return load_or_train(models, release.config.classifier, release.config.seed, release.config.tier)


def _old_rows(release: ReleaseFile, data: Path | None) -> tuple[Example, ...]:
    """What the running classifier learned from. Raises Refused where that is not said."""
    if release.own.classifier is None:
        if data is not None:
            raise Refused(
                "--data goes with a release that has a classifier of its own; the shipped one has its own rows"
            )
        return load_examples(release.config.seed)
    if data is None:
        raise Refused(
            "the release has a classifier of its own: name the labelled file that it learned from with --data"
        )
    from controlplane.evaluation.intents import examples_of
    from controlplane.evaluation.labelled_files import LabelledFileError, read_labelled

    try:
        return examples_of(read_labelled(data, None, None).rows)
    except LabelledFileError as error:
        raise Refused(str(error)) from None


def _train(running: IntentModel, found: Material, registry: Path, seed: int, now: datetime) -> tuple[Path, IntentModel]:
    shipped = replace(intent.SHIPPED, tier=running.tier)
    own = intent.Recipe(tier=running.tier, oos_label=running.oos_label)
    recipe = shipped if running.oos_label is None and running.tier == "default" else own
    trained = intent.fit((*found.old, *found.new), seed, recipe)
    note = f"retrained with {len(found.new)} reviewed rows"
    return intent_registry.register(trained.model, registry, now, {"note": note}, "reviews")[0], trained.model


def _evaluate(
    state: StateWriter,
    folders: tuple[Path, Path],
    asked: Asked,
    release: ReleaseFile,
    folder: Path,
    actor: str,
    clock: Callable[[], datetime],
) -> tuple[Finished, Finished]:
    """Recorded runs of the running release and of the same release with the candidate."""

    def subject(own: Any, label: str) -> Candidate:
        models = folder.parent.parent
        return embedded(
            release.config, models, asked.seed, story_service=True, label=label, remote=release.remote, own=own
        )

    version = release.config.version
    both = (
        subject(release.own, version),
        subject(replace(release.own, classifier=folder), f"{version}+retrained"),
    )
    for one in both:  # everything that speaks against either is said before anything is measured
        plan(state, folders[0], [asked.evaluation], asked.criteria, one.release_hash)
    rest = ([asked.evaluation], asked.criteria, asked.seed, actor, clock)
    first = run(state, folders, both[0], *rest)
    return first, run(state, folders, both[1], *rest, baseline=first.run.run_id)


def _results(running: Finished, candidate: Finished) -> dict[str, Any]:
    value = candidate.judged.value
    compared = value["comparison"] or {"metrics": {}}
    return {
        "runs": {"running": running.run.run_id, "candidate": candidate.run.run_id},
        "criteria_hash": candidate.run.criteria_hash,
        "verdict": candidate.judged.verdict.name,
        "criteria": value["criteria"],
        "comparison": compared["metrics"],
        "figures": {"running": running.judged.value["figures"], "candidate": value["figures"]},
    }


def _record(
    state: StateWriter, value: dict[str, Any], said: tuple[str, str], actor: str, now: datetime
) -> dict[str, Any]:
    summary = {**value, "recommendation": said[0], "reason": said[1]}
    name = f"retraining-{sha256_text(canonical({**summary, 'at': now.isoformat()}))[:12]}"
    keep(state, (name, KIND, ""), summary, (EVENT, actor, said[1]), {"recommendation": said[0]}, now)
    return {"artefact_id": name, **summary}
