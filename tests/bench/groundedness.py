"""The groundedness score against people's labels, beside its target, and on data of other shapes as it comes out.

- BEGIN (Wizard of Wikipedia part, development split): the whole fitting procedure repeated inside folds of whole contexts, so no figure is
  in-sample; also leaving out each of the four generators, because a new model's mistakes look different.
- MT-RAG: reference answers by people on long passages. There are no bad ones, so: how many good ones are flagged (false alarms on free
  paraphrase), and how well an answer's own passages are told from those of another conversation of the same collection.
- RefChecker: no contexts are published; a claim is judged against what the *other* models said to the same prompt.
- HaluEval general: no evidence at all, only the question. Nothing lexical can work there, and the figure shows it.
"""

from __future__ import annotations

import gzip
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from controlplane.assistant.groundedness import UNGROUNDED, calibration, score
from controlplane.assistant.groundedness_features import DEFECTS, passage_of
from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.evaluation.corrected_rate import Share, rogan_gladen
from controlplane.evaluation.discrimination import auroc, expected_calibration_error
from controlplane.evaluation.groundedness_fit import (
    FOLDS,
    SEED,
    THRESHOLD,
    context_keys,
    fit,
    fit_weights,
    held_out_probability,
    vectors,
)
from controlplane.evaluation.labelled_answers import LabelledAnswers, read_labelled_answers

DATA = Path(__file__).parents[3] / "shared" / "data"
BEGIN = DATA / "begin_wow" / "begin_dev_wow.tsv.gz"
TARGET = 0.94


def run() -> dict[str, Any]:
    """Figures by name; "absent" for a set that is not beside this checkout."""
    figures: dict[str, Any] = {"begin_auroc_target": TARGET}
    for name, path, part in (
        ("begin", BEGIN, _begin),
        ("mtrag", DATA / "mtrag" / "mtragun_reference.jsonl.gz", _mtrag),
        ("refchecker", DATA / "refchecker" / "claims.parquet", _refchecker),
        ("halueval", DATA / "halueval_general" / "general.jsonl.gz", _halueval),
    ):
        figures |= part(path) if path.is_file() else {name: "absent"}
    return figures | _time()


def begin_answers() -> LabelledAnswers:
    """The rows of BEGIN; "Generic" answers would count as not grounded, the development split has none."""
    return read_labelled_answers(BEGIN, "knowledge", "response", "begin_label", ["Fully attributable"])


def _begin(path: Path) -> dict[str, Any]:
    data = begin_answers()
    found, grounded, contexts = vectors(data), np.array(data.grounded, dtype=bool), context_keys(data)
    metrics = fit(found, grounded, contexts, {"name": "bench"})["metrics"]
    models = pl.read_csv(path, separator="\t", quote_char=None)["model_name"].to_numpy()
    left_out = {}
    for model in sorted(set(models)):
        inside = models == model
        area = auroc(grounded[inside], fit_weights(found[~inside], grounded[~inside]).logits(found[inside]))
        left_out[f"begin_auroc_without_{model}"] = area.value if area else None
    share = auroc(grounded, -found[:, DEFECTS.index("novel_share")], contexts)
    probability = held_out_probability(found, grounded, contexts, SEED)
    return {
        "begin_rows": len(data),
        "begin_auroc": metrics["auroc"],
        "begin_auroc_low": metrics["auroc_low"],
        "begin_auroc_high": metrics["auroc_high"],
        "begin_auroc_content_precision_alone": share.value if share else None,
        "begin_ece": metrics["ece"],
        "begin_sensitivity": metrics["sensitivity"],
        "begin_specificity": metrics["specificity"],
        **left_out,
        **_correction(grounded, probability < THRESHOLD),
        "begin_folds": FOLDS,
    }


def _correction(grounded: Any, flagged: Any) -> dict[str, Any]:
    """200 times: sensitivity and specificity from a random half, the rate from the other half thinned until a tenth of it is bad.

    A stream is better than a validation set that was collected for its faults; then the reported rate is far too high, and the correction has
    something to do. Errors are against the labels of the thinned half.
    """
    rng = np.random.default_rng(SEED)
    reported, corrected, covered, known = [], [], 0, 0
    for _ in range(200):
        half = rng.permutation(len(grounded)) < len(grounded) // 2
        bad, good = half & ~grounded, half & grounded
        passed = np.flatnonzero(~half & grounded)
        stream = np.concatenate(
            [passed, rng.choice(np.flatnonzero(~half & ~grounded), round(len(passed) / 9), replace=False)]
        )
        true = float(1 - grounded[stream].mean())
        found = rogan_gladen(
            Share(int(flagged[stream].sum()), len(stream)),
            Share(int(flagged[bad].sum()), int(bad.sum())),
            Share(int((~flagged[good]).sum()), int(good.sum())),
        )
        reported.append(flagged[stream].mean() - true)
        if found.rate is not None and found.low is not None and found.high is not None:
            known += 1
            corrected.append(found.rate - true)
            covered += found.low <= true <= found.high
    return {
        "begin_rate_at_10_percent_error_reported": float(np.mean(reported)),
        "begin_rate_at_10_percent_error_corrected": float(np.mean(corrected)),
        "begin_rate_at_10_percent_interval_holds": covered / known,
    }


def _mtrag(path: Path) -> dict[str, Any]:
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    rows = [row for row in rows if row["answerability"] == ["ANSWERABLE"] and row["contexts"]]
    passages = [tuple(passage_of(part["text"]) for part in row["contexts"]) for row in rows]
    answers = [row["targets"][0]["text"] for row in rows]
    own = [score(answer, pages) for answer, pages in zip(answers, passages, strict=True)]
    strange = []
    for place, row in enumerate(rows):
        other = next(
            n % len(rows)
            for n in range(place + 1, place + len(rows))
            if rows[n % len(rows)]["Collection"] == row["Collection"]
            and rows[n % len(rows)]["conversation_id"] != row["conversation_id"]
        )
        strange.append(score(answers[place], passages[other]))
    area = auroc(
        np.array([True] * len(own) + [False] * len(strange)),
        np.array([found.probability for found in own + strange]),
        [row["conversation_id"] for row in rows] * 2,
    )
    return {
        "mtrag_rows": len(rows),
        "mtrag_good_answers_flagged": statistics.mean(found.label == UNGROUNDED for found in own),
        "mtrag_auroc_own_or_other_passages": area.value if area else None,
    }


def _refchecker(path: Path) -> dict[str, Any]:
    claims = pl.read_parquet(path).filter(pl.col("human_label").is_not_null())
    figures: dict[str, Any] = {}
    for setting in sorted(claims["setting"].unique()):
        part = claims.filter(pl.col("setting") == setting)
        said = {
            key: text
            for *key_parts, text in part.select("id", "model", "response").unique().iter_rows()
            for key in [tuple(key_parts)]
        }
        grounded, probability, prompts = [], [], []
        for row in part.iter_rows(named=True):
            others = tuple(
                passage_of(t)
                for (prompt, model), t in sorted(said.items())
                if prompt == row["id"] and model != row["model"]
            )
            found = score(f"{row['subject']} {row['predicate']} {row['object']}", others)
            grounded.append(row["human_label"] == "Entailment")
            probability.append(found.probability)
            prompts.append(row["id"])
        area = auroc(np.array(grounded), np.array(probability), prompts)
        figures[f"refchecker_{setting}_claims"] = len(grounded)
        figures[f"refchecker_{setting}_auroc"] = area.value if area else None
    return figures


def _halueval(path: Path) -> dict[str, Any]:
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    grounded = np.array([row["hallucination"] == "no" for row in rows])
    found = [score(row["chatgpt_response"], (passage_of(row["user_query"]),)) for row in rows]
    probability = np.array([each.probability for each in found])
    area = auroc(grounded, probability)
    return {
        "halueval_rows": len(rows),
        "halueval_auroc_without_evidence": area.value if area else None,
        "halueval_ece_without_evidence": expected_calibration_error(grounded, probability),
    }


def _time() -> dict[str, Any]:
    """Milliseconds per answer of three sentences against three help pages."""
    pages = load_knowledge().passages
    found = []
    for place in range(600):
        main = pages[place % len(pages)]
        answer = " ".join(main.sentences[:3])
        passages = (main, pages[(place + 7) % len(pages)], pages[(place + 19) % len(pages)])
        begin = time.perf_counter()
        score(answer, passages)
        found.append(time.perf_counter() - begin)
    return {
        "calibration": calibration().name,
        "score_median_ms": 1000 * statistics.median(found),
        "score_p95_ms": 1000 * statistics.quantiles(found, n=20)[-1],
    }
