"""Evidently's drift report of two Parquet files. The only module that imports Evidently; run it as a process of its own:

    python -m controlplane.analysis.drift_report reference.parquet current.parquet out_dir

because the import takes some ten seconds and 285 MB, which no process that decides anything should pay. It writes
`report.html` (one self-contained file, whose own content policy forbids every request to anywhere) and `scores.json`.

Rules
- The report illustrates, it never decides: the verdicts come from `controlplane.analysis.drift`, on all rows. So it may use a
  fixed-seed sample of 100,000 rows a side, and it shows columns one by one, without a flag for the whole set.
- Evidently raises on a column without values and skips a missing one silently; here both are left out and listed.
- Frames are handed over by plain `to_pandas()`: numbers as floats, everything else as text.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from controlplane.analysis.drift import DriftSettings
from controlplane.store.queries import load

CONTENT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline';"
    " img-src data: blob:; font-src data:"
)


def sample(path: Path) -> pl.DataFrame:
    """At most 100,000 rows, always the same ones; numbers as Float64, everything else as String.

    Values come from logs that anybody may have written and Evidently puts them into its page's script as they are, so the
    character that could end that script is replaced by one that looks like it.
    """
    connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})
    try:
        rows = connection.sql(load("drift/sample"), params={"path": str(path)}).to_arrow_table()
    finally:
        connection.close()
    frame = pl.DataFrame(rows)
    kinds = {name: pl.Float64 if kind.is_numeric() else pl.String for name, kind in frame.schema.items()}
    scalar = [name for name, kind in frame.schema.items() if not kind.is_nested() and not kind.is_temporal()]
    typed = frame.select(pl.col(name).cast(kinds[name]) for name in scalar)
    return typed.with_columns(pl.col(pl.String).str.replace_all("<", "\u2039", literal=True))


def comparable(reference: pl.DataFrame, current: pl.DataFrame) -> tuple[list[str], dict[str, str]]:
    """Columns that Evidently can compare, and those left out with the reason."""
    kept: list[str] = []
    left_out = {name: "missing in the reference" for name in current.columns if name not in reference.columns}
    for name in reference.columns:
        if name not in current.columns:
            left_out[name] = "missing in the current rows"
        elif _values(reference[name]) == 0 or _values(current[name]) == 0:
            left_out[name] = "no values on one side"
        elif "<" in name:
            left_out[name] = "a name with < in it can't be put into a page"
        elif reference.schema[name] != current.schema[name]:
            left_out[name] = "numbers on one side, text on the other"
        elif reference.schema[name] == pl.String and reference[name].n_unique() > max(100, len(reference) / 2):
            left_out[name] = "an identifier: nearly every row has a value of its own"
        else:
            kept.append(name)
    return kept, left_out


def write_report(reference_path: Path, current_path: Path, out_dir: Path) -> None:
    """Write report.html and scores.json into out_dir, each complete or not at all."""
    reference, current = sample(reference_path), sample(current_path)
    columns, left_out = comparable(reference, current)
    scores: dict[str, Any] = {}
    page = _empty_page(left_out)
    if columns:
        page, scores = _evidently(reference.select(columns), current.select(columns))
    result = {"rows": {"reference": len(reference), "current": len(current)}, "columns": scores, "left_out": left_out}
    out_dir.mkdir(parents=True, exist_ok=True)
    _replace(out_dir / "report.html", sealed(page))
    _replace(out_dir / "scores.json", json.dumps(result, indent=1, sort_keys=True))


def sealed(page: str) -> str:
    """The page with a content policy as the first thing in its head: scripts of its own, no request to anywhere.

    Raises ValueError when the page has no head to put it in.
    """
    if "<head>" not in page:
        raise ValueError("Evidently's page has no <head>; its layout changed, so it can't be sealed against requests")
    return page.replace("<head>", f'<head>\n<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">', 1)


def _values(column: pl.Series) -> int:
    clean = column.drop_nulls()
    return int(clean.is_finite().sum()) if clean.dtype == pl.Float64 else len(clean)


def _evidently(reference: pl.DataFrame, current: pl.DataFrame) -> tuple[str, dict[str, Any]]:
    os.environ["DO_NOT_TRACK"] = "1"  # before the import, which would otherwise start its telemetry
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    numeric = [name for name, kind in reference.schema.items() if kind == pl.Float64]
    categorical = [name for name in reference.columns if name not in numeric]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
    settings = DriftSettings()
    methods = dict.fromkeys(numeric, ("wasserstein", settings.numeric))
    methods |= dict.fromkeys(categorical, ("jensenshannon", settings.categorical))
    metrics = [
        ValueDrift(column=name, method=methods[name][0], threshold=methods[name][1]) for name in reference.columns
    ]
    sides = [Dataset.from_pandas(side.to_pandas(), data_definition=definition) for side in (current, reference)]
    snapshot = Report(metrics).run(*sides)
    values = [float(metric["value"]) for metric in snapshot.dict()["metrics"]]
    scores = {
        name: {"method": methods[name][0], "score": value}
        for name, value in zip(reference.columns, values, strict=True)
    }
    return snapshot.get_html_str(as_iframe=False), scores


def _empty_page(left_out: dict[str, str]) -> str:
    items = "".join(f"<li>{_escape(name)}: {_escape(reason)}</li>" for name, reason in sorted(left_out.items()))
    head = "<!DOCTYPE html><html><head><title>Drift</title></head>"
    return f"{head}<body><p>No column can be compared.</p><ul>{items}</ul></body></html>"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def main() -> None:
    """Command line: two Parquet files and the folder for the results."""
    parser = argparse.ArgumentParser(prog="python -m controlplane.analysis.drift_report", description=__doc__)
    parser.add_argument("reference", type=Path)
    parser.add_argument("current", type=Path)
    parser.add_argument("out_dir", type=Path)
    chosen = parser.parse_args()
    write_report(chosen.reference, chosen.current, chosen.out_dir)


if __name__ == "__main__":
    main()
