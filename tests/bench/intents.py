"""Intent understanding on Banking77 and CLINC150, both tiers, beside the targets and published figures.

What is measured: a fifth of Banking77's training file (stratified, seed 0) after training on the rest; CLINC150's validation part after
training on its training part and its 100 out-of-scope training rows. Nothing was tuned on either, except that kernel width, penalty
and number of centres were chosen on three such splits of Banking77 and the one-class scope weights on CLINC150's validation part.

Published on Banking77's test part after training on all training rows: DistilRoBERTa fine-tuned .896 (model card of
mrm8488/distilroberta-finetuned-banking77, marked verified), CatBoost on all-MiniLM-L6-v2 and text features .915 (README of
soimmary/NNLP_Project). Those are other rows than these: beside, not against.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from controlplane.assistant import embedding, intent
from controlplane.evaluation.labelled_files import LabelledFile, LabelledRow, read_labelled
from jobs import assistant_train as job

DATA = Path(__file__).parents[3] / "shared" / "data"
SENSITIVE = {
    "banking77": (
        "compromised_card", "lost_or_stolen_card", "card_payment_not_recognised", "cash_withdrawal_not_recognised",
        "direct_debit_payment_not_recognised", "transaction_charged_twice",
    ),
    "clinc150": ("report_fraud", "report_lost_card", "account_blocked"),
}  # fmt: skip
TARGETS: dict[tuple[str, str], dict[str, str]] = {
    ("banking77", "default"): {"accuracy": ">= .895", "ece": "<= .03", "p95_ms": "<= 5"},
    ("banking77", "embeddings"): {
        "accuracy": ">= .935 (all rows)", "ece": "<= .02", "accuracy_above_threshold": ">= .97", "coverage_at_98": ">= .85",
        "p50_ms": "<= 15", "p95_ms": "<= 25",
    },
    ("clinc150", "default"): {"accuracy": ">= .92", "ece": "<= .03", "oos_auroc": ">= .945", "p95_ms": "<= 5"},
    ("clinc150", "embeddings"): {
        "accuracy": ">= .955", "ece": "<= .02", "oos_auroc": ">= .975", "oos_rejected_at_95": ">= .88",
        "accuracy_above_threshold": ">= .97", "coverage_at_98": ">= .93", "p50_ms": "<= 15", "p95_ms": "<= 25",
    },
}  # fmt: skip
BOTH = {"sensitive_recall": ">= .99", "over_routing": "<= .035"}
PUBLISHED: dict[str, dict[str, str]] = {"banking77": {"accuracy": ".896, .915"}, "clinc150": {}}
FIGURES = (
    "accuracy", "ece_raw", "ece", "oos_auroc", "oos_rejected_at_95", "sensitive_recall", "over_routing", "coverage_at_98",
    "accuracy_above_threshold", "p50_ms", "p95_ms",
)  # fmt: skip


def run() -> dict[str, Any]:
    """Figures per data set and tier; a set or tier that is not here is reported as skipped."""
    found: dict[str, Any] = {}
    for name, read in (("banking77", banking77), ("clinc150", clinc150)):
        if not (DATA / name).is_dir():
            found[name] = f"skipped: no data at {DATA / name}"
            continue
        training, testing = read()
        for tier in ("default", "embeddings"):
            if tier == "embeddings" and not embedding.available():
                found[f"{name}_{tier}"] = "skipped: the extra `embeddings` is not installed"
                continue
            recipe = intent.Recipe(tier=tier, oos_label="oos")
            columns = job.Columns(oos_label=recipe.oos_label)
            trained = job.fit_file(training, columns, tier, 1)
            value = job.evaluate_trained(trained, testing, recipe.oos_label, SENSITIVE[name])
            show(name, tier, value)
            found |= {f"{name}_{tier}_{figure}": value[figure] for figure in FIGURES}
    return found


def show(name: str, tier: str, value: dict[str, Any]) -> None:
    """One table: figure, interval, target, published."""
    table = Table(
        "figure", "value", "95 % interval", "target", "published", title=f"{name}, {tier}", title_justify="left"
    )
    targets = TARGETS[name, tier] | BOTH
    for figure in FIGURES:
        low_high = value["intervals"].get(figure)
        interval = "" if low_high is None else f"{low_high[0]:.3f} to {low_high[1]:.3f}"
        number = "" if value[figure] is None else f"{value[figure]:.4g}"
        table.add_row(figure, number, interval, targets.get(figure, ""), PUBLISHED[name].get(figure, ""))
    Console(stderr=True).print(table)


def banking77() -> tuple[LabelledFile, LabelledFile]:
    """Four fifths and one fifth of the training file."""
    from sklearn.model_selection import train_test_split

    file = read_labelled(DATA / "banking77" / "train.csv.gz")
    train, test = train_test_split(
        list(file.rows), test_size=0.2, random_state=0, stratify=[row.label for row in file.rows]
    )
    return _file(file.path, train), _file(file.path, test)


def clinc150() -> tuple[LabelledFile, LabelledFile]:
    """Training and validation parts, out-of-scope rows included."""
    path = DATA / "clinc150" / "clinc150_dev.json.gz"
    parts = json.loads(gzip.decompress(path.read_bytes()))

    def rows(*names: str) -> list[LabelledRow]:
        pairs = [pair for name in names for pair in parts[name]]
        return [LabelledRow(text, label, number) for number, (text, label) in enumerate(pairs, start=1)]

    return _file(path, rows("train", "oos_train")), _file(path, rows("val", "oos_val"))


def _file(path: Path, rows: Sequence[LabelledRow]) -> LabelledFile:
    digest = hashlib.sha256(json.dumps([(row.text, row.label) for row in rows]).encode()).hexdigest()
    return LabelledFile(path, tuple(rows), "text", "label", (), (), digest)
