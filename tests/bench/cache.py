"""The semantic cache on real questions: how many it would serve, how many of those wrongly, beside the targets.

Four fifths of the rows (one seed) train the classifier, and their held-out predictions (of models that did not see the row) choose the
cache's thresholds; the last fifth is replayed (`controlplane.evaluation.cache_replay` says exactly how). `cold` = the cache begins empty;
`warm` = it begins with the training questions under their reviewed labels, as a support team would fill it before going live.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from controlplane.assistant import intent
from controlplane.assistant.cache import CacheConfig
from controlplane.assistant.cache_encoder import TfidfEncoder
from controlplane.assistant.embedding import open_encoder
from controlplane.assistant.model import IntentPrediction
from controlplane.assistant.training_data import Example
from controlplane.evaluation.cache_replay import Asked, CacheReplay, choose, replay

DATA = Path(__file__).parents[3] / "shared" / "data"
SEED = 7
MARGIN = 0.75  # thresholds are chosen for this share of the target: what was chosen on looks better than what comes
CAPACITY = 100_000
TARGETS = {"banking77": (0.02, 0.70), "clinc150": (0.01, 0.50)}

Row = tuple[str, str]


def banking77() -> list[Row]:
    """The training file; the test file is not here."""
    with gzip.open(DATA / "banking77" / "train.csv.gz", "rt", encoding="utf-8") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def clinc150() -> list[Row]:
    """Training and validation part, in scope; the test part is not here."""
    parts = json.loads(gzip.decompress((DATA / "clinc150" / "clinc150_dev.json.gz").read_bytes()))
    return [(text, label) for name in ("train", "val") for text, label in parts[name]]


def run(
    names: Sequence[str] = tuple(TARGETS), tiers: Sequence[intent.Tier] = ("embeddings", "default")
) -> dict[str, Any]:
    """Hit rate and wrong-serve rate by data set and tier. Needs the data beside the project."""
    found: dict[str, Any] = {}
    for name in names:
        if not (DATA / name).is_dir():
            found[f"{name}"] = f"skipped: no data at {DATA.name}/{name}"
            continue
        rows = {"banking77": banking77, "clinc150": clinc150}[name]()
        random.Random(SEED).shuffle(rows)
        for tier in tiers:
            for start, result in measure(rows, tier, TARGETS[name][0]).items():
                most, least = TARGETS[name]
                interval = result.wrong_interval
                found[f"{name}, {tier}, {start}: hit rate (target >= {least})"] = round(result.hit_rate, 4)
                found[f"{name}, {tier}, {start}: wrong-serve (target <= {most})"] = round(result.wrong_serve or 0.0, 4)
                ends = f"{interval.low:.4f} .. {interval.high:.4f}" if interval else "no hit"
                found[f"{name}, {tier}, {start}: 95 % interval of wrong-serve"] = ends
                found[f"{name}, {tier}, {start}: thresholds"] = f"cosine {result.min_cosine}, p {result.min_confidence}"
                found[f"{name}, {tier}, {start}: saved share"] = round(result.saved_share, 4)
    return found


def measure(rows: Sequence[Row], tier: intent.Tier, target: float) -> dict[str, CacheReplay]:
    """One replay from a cold and one from a warm cache, with thresholds chosen for each."""
    cut = round(0.8 * len(rows))
    train, test = rows[:cut], rows[cut:]
    examples = [Example(text, label, group) for group, (text, label) in enumerate(train)]
    trained = intent.fit(examples, SEED, intent.Recipe(tier=tier))
    model = trained.model
    known = vectors(train, train, tier)
    held_out = model.calibration.probabilities(trained.scores)
    chooser = asked(model.labels, train, held_out, known)[: len(test)]
    probabilities = model.calibration.probabilities(model.scores([text for text, _ in test]))
    stream = asked(model.labels, test, probabilities, vectors(test, train, tier))
    sure = [IntentPrediction(label, 1.0, {}) for _, label in train]
    reviewed = [Asked(*row, prediction, vector) for row, prediction, vector in zip(train, sure, known, strict=True)]
    config = CacheConfig(capacity=CAPACITY)
    results = {}
    for name, before_choice, before in (("cold", (), ()), ("warm", reviewed[len(test) :], reviewed)):
        chosen = choose(chooser, config, MARGIN * target, warm=before_choice)
        results[name] = replay(stream, chosen, SEED, before)
    return results


def asked(labels: Sequence[str], rows: Sequence[Row], probabilities: Any, known: Any) -> list[Asked]:
    """The rows as the cache meets them: the likeliest label of each row of probabilities (n, labels), and its vector."""
    found = []
    for (text, label), row, vector in zip(rows, probabilities, known, strict=True):
        best = int(row.argmax())
        found.append(Asked(text, label, IntentPrediction(labels[best], float(row[best]), {}), vector))
    return found


def vectors(rows: Sequence[Row], train: Sequence[Row], tier: intent.Tier) -> Any:
    """One unit vector per row; the term weights of the default tier come from the training rows."""
    texts = [text for text, _ in rows]
    if tier == "embeddings":
        return open_encoder().encode(texts)
    encode = TfidfEncoder([text for text, _ in train])
    return [encode(text) for text in texts]


if __name__ == "__main__":
    import sys

    wanted = [name for name in sys.argv[1:] if name in TARGETS] or list(TARGETS)
    tiers: list[intent.Tier] = ["default"] if "default" in sys.argv else ["embeddings", "default"]
    for key, value in run(wanted, tiers).items():
        print(f"{key:70} {value}", flush=True)
