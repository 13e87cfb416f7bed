"""`controlplane experiment replay`: read a file of experiments, replay it, put the sums into words, write the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from controlplane.analysis.experiments import SPLIT_ALPHA, Comparison, replay, sample_ratio
from controlplane.analysis.experiments_arms import Arms, arm_finds, split_finds
from controlplane.analysis.experiments_summary import arms_summary, looks_summary
from jobs.console import stderr
from jobs.experiment_files import read_experiments
from jobs.experiment_report import report

METHOD_WORDS = {
    "naive": "naive, each look as the only one",
    "group_sequential": "group sequential, true end known",
    "asymptotic": "asymptotic sequence (GrowthBook, mSPRT)",
    "ours": "ours (exact for events, else asymptotic)",
}


def replay_file(file: Path, alpha: float, metric: str | None, tightest: float, out: Path | None) -> dict[str, Any]:
    """Everything that was found, in plain values (see the how-to for the keys); writes the report to `out`.

    Raises ExperimentFileError for a file that is no experiment, OSError where `out` cannot be written.
    """
    with stderr.status(f"reading {file}"):
        found = read_experiments(file, metric)
    head = {"file": str(file), "shape": found.shape, "rows": found.rows, "alpha": alpha, "split_alpha": SPLIT_ALPHA}
    sums = _looks(found.comparisons, alpha, tightest) if found.arms is None else _arms(found.arms, alpha)
    value = head | sums | {"report": None if out is None else str(out)}
    if out is not None:
        out.write_text(report(value), encoding="utf-8")
    return value


def _looks(comparisons: tuple[Comparison, ...], alpha: float, tightest: float) -> dict[str, Any]:
    replays = [
        replay(comparison, alpha, tightest)
        for comparison in track(comparisons, "replaying looks", console=stderr, transient=True)
    ]
    arms = {(comparison.experiment, comparison.variant): comparison for comparison in reversed(comparisons)}
    ratios = [sample_ratio(comparison, SPLIT_ALPHA) for _, comparison in sorted(arms.items())]
    return {"tightest": tightest} | looks_summary(replays, ratios, alpha)


def _arms(arms: Arms, alpha: float) -> dict[str, Any]:
    finds, splits = arm_finds(arms, alpha, alpha), split_finds(arms, SPLIT_ALPHA, alpha)
    value = arms_summary(arms, finds, splits, alpha, alpha)
    worst = np.argsort(-np.nan_to_num(splits.log_e, nan=-np.inf))[: int(splits.found.sum())]
    value["sample_ratio"]["found"] = [
        {"test": arms.names[i], "period": arms.period[i], "log_e": float(splits.log_e[i]), "p": float(splits.p[i])}
        for i in worst.tolist()
    ]
    return value


def replay_text(value: dict[str, Any]) -> str:
    """The answer for people: what was replayed, what the naive way did, what holds."""
    lines = _arms_text(value) if value["shape"] == "arms" else _looks_text(value)
    if value["report"] is not None:
        lines.append(f"report: {value['report']}")
    return "\n".join(lines)


def _looks_text(value: dict[str, Any]) -> list[str]:
    naive, missing, many = value["naive"], value["missing"], value["multiplicity"]
    lines = [
        f"{value['file']}: {value['rows']} rows, {value['experiments']} experiments, {value['comparisons']} comparisons "
        f"(variant x metric), {value['looks']} looks",
        f"unknown: {missing['looks_without_variance']} looks have no variance ({missing['looks_untested']} with those of too few units or "
        f"without any variation: not tested); {missing['last_look_unknown']} comparisons cannot be told at their last look; "
        f"{missing['looks_with_falling_counts']} looks have a count that is missing or below an earlier one (left out)",
        "",
        f"naive at {value['alpha']:g}: {naive['some_look']} comparisons were significant at some look. At the last look {naive['kept']} still were, "
        f"{naive['vanished']} had vanished, {naive['turned']} had turned round, {naive['unknown']} unknown",
        "",
        f"{'first decision':42}{'decided':>8}{'agrees':>8}{'beyond':>8}{'opposite':>9}{'missed':>8}{'after':>7}",
    ]
    for name, words in METHOD_WORDS.items():
        item = value["methods"][name]
        after = "" if item["median_part"] is None else f"{item['median_part']:.0%}"
        lines.append(
            f"{words:42}{item['decided']:>8}{item['agrees']:>8}{item['beyond']:>8}{item['opposite']:>9}{item['missed']:>8}{after:>7}"
        )
    lines += [
        "  agrees / beyond / opposite: the last look is significant on that side / not significant / significant on the other side",
        "  missed: significant at the last look, never decided; after: median share of the looks taken when it decided",
        "",
    ]
    lines += [f"metric {name}: {_metric_words(item)}" for name, item in value["metrics"].items()]
    for reason, count in missing["declined"].items():
        lines.append(f"ours declined {count} comparisons: {reason}")
    lines += [
        "",
        f"over all {many['tested_at_last_look']} last looks: {many['significant_at_last_look']} significant alone, "
        f"{many['benjamini_hochberg']} after Benjamini-Hochberg at {many['false_share']:.0%}, {many['e_values']} by e-values (e-BH)",
        *_ratio_words(value),
    ]
    return lines


def _metric_words(item: dict[str, Any]) -> str:
    naive, ours = item["naive"], item["ours"]
    return (
        f"{item['comparisons']} comparisons; naive at some look {naive['some_look']}, vanished {naive['vanished']}; "
        f"ours ({item['ours_is']}) decided {ours['decided']}: agrees {ours['agrees']}, beyond {ours['beyond']}, opposite {ours['opposite']}; "
        f"missed {ours['missed']}"
    )


def _ratio_words(value: dict[str, Any]) -> list[str]:
    item = value["sample_ratio"]
    lines = [
        f"sample ratio: {item['arms']} arms, {item['tested']} tested against their configured or equal share, {item['mismatched']} mismatched "
        f"at {value['split_alpha']:g} over all looks (chi-square at some look: {item['naive_some_look']}, at the last: {item['naive_last_look']})"
    ]
    lines += [
        f"  {row['experiment']}/{row['variant']}: {row['observed']:.4%} of {row['units']:.0f} units, found at {row['time']:g}, "
        f"log evidence {row['log_e']:.1f}"
        for row in item["found"]
    ]
    lines += [
        f"  {row['experiment']}/{row['variant']}: {row['observed']:.2%} treated, sound only if {row['sound_as']:.2%} was planned "
        "(equal arms in whole percentages)"
        for row in item["sound_as_planned_unequal"]
    ]
    lines += [f"  {row['experiment']}/{row['variant']}: {_why_not(row)}" for row in item["not_tested"]]
    if value["ours_in_mismatched"]:
        lines.append(f"  {value['ours_in_mismatched']} of our decisions are in mismatched arms: do not trust them")
    return lines


def _why_not(row: dict[str, Any]) -> str:
    if row["observed"] is None:
        return "no units: not tested"
    return (
        f"{row['observed']:.2%} treated, so unequal by design; not tested, for the configured share is not in the file"
    )


def _arms_text(value: dict[str, Any]) -> list[str]:
    naive, many, split = value["naive"], value["multiplicity"], value["sample_ratio"]
    documented = split["documented"]
    lines = [
        f"{value['file']}: {value['tests']} tests with {value['arms']} arms, each seen once; {value['compared']} arms compared with the rest "
        f"of their test ({value['arms'] - value['compared']} cannot be: no unit or no event)",
        f"naive at {value['alpha']:g}: {naive['arms']} arms in {naive['tests_with_one']} tests significant; "
        f"{naive['false_if_nothing_differed']:.0f} would be if no arm differed; {value['vanished']} vanish under Benjamini-Hochberg",
    ]
    for key, words in (
        ("benjamini_hochberg", "Benjamini-Hochberg"),
        ("benjamini_yekutieli", "Benjamini-Yekutieli (any dependence)"),
        ("e_values", "ours: e-values, e-BH (any dependence)"),
    ):
        row = many[key]
        lines.append(
            f"  {words:40}{row['arms']:>6} arms ({row['better']} better, {row['worse']} worse), {row['in_well_split_tests']} in well-split tests"
        )
    lines += [
        "",
        f"sample ratio against equal arms: {split['mismatched']} of {split['tested']} tests mismatched at {value['split_alpha']:g} "
        f"(chi-square {split['chi_square']}; e-BH at {split['false_share']:.0%}: {split['e_values']})",
        f"  documented randomisation problem, weeks {documented['first_week']} to {documented['last_week']}: {_share(documented['inside'])}",
        f"  all other weeks: {_share(documented['outside'])}",
        "  per week (mismatched/tests):",
    ]
    cells = [f"{row['period']} {row['mismatched']}/{row['tests']}" for row in split["weeks"]]
    lines += ["    " + "  ".join(f"{cell:13}" for cell in cells[i : i + 8]).rstrip() for i in range(0, len(cells), 8)]
    return lines


def _share(row: dict[str, Any]) -> str:
    if row["share"] is None:
        return "no test"
    return f"{row['mismatched']} of {row['tests']} tests, {row['share']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
