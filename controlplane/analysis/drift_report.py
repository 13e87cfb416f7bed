"""Evidently's drift report of two Parquet files. The only module that imports Evidently; run it as a process of its own:

    python -m controlplane.analysis.drift_report reference.parquet current.parquet out_dir [--columns kinds.json] [--settings settings.json]

because the import takes some ten seconds and 285 MB, which no process that decides anything should pay. It writes
`report.html` (one self-contained file, whose own content policy forbids every request to anywhere) and `scores.json`.

Rules
- The report illustrates, it never decides: the verdicts come from `controlplane.analysis.drift`, on all rows. So it may use a
  fixed-seed sample of 100,000 rows a side, and it shows columns one by one, without a flag for the whole set.
- Evidently raises on a column without values and skips a missing one silently; here both are left out and listed at the head of the page,
  as is a column that makes it fail for a reason nobody thought of: the others are still drawn.
- `--columns` is a JSON object: each column's kind ("numeric", "categorical"), or in words why it is not drawn. Without it the types of the
  files decide.
- `--settings` is a JSON object with the thresholds that the verdicts used, so that the page marks what they marked; default: DriftSettings.
- Frames are handed over by plain `to_pandas()`: numbers as floats, everything else as text.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
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

TRUTHS = {"0": "false", "1": "true", "false": "false", "true": "true"}


def sample(path: Path, kinds: Mapping[str, str] | None = None) -> pl.DataFrame:
    """At most 100,000 rows, always the same ones; numbers as Float64 (without infinities), everything else as String.

    Values come from logs that anybody may have written and Evidently puts them into its page's script as they are, so the
    character that could end that script is replaced by one that looks like it.
    """
    connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})
    try:
        rows = connection.sql(load("drift/sample"), params={"path": str(path)}).to_arrow_table()
    finally:
        connection.close()
    frame = pl.DataFrame(rows)
    if kinds is None:
        scalar = [name for name, kind in frame.schema.items() if not kind.is_nested() and not kind.is_temporal()]
        numeric = {name for name in scalar if frame.schema[name].is_numeric()}
    else:
        scalar = [name for name in frame.columns if kinds.get(name) in ("numeric", "categorical")]
        numeric = {name for name in scalar if kinds[name] == "numeric"}
    typed = frame.select(
        pl.col(name).cast(pl.Float64 if name in numeric else pl.String, strict=kinds is None) for name in scalar
    )
    number = pl.col(pl.Float64)
    finite = typed.with_columns(pl.when(number.is_finite()).then(number))
    return finite.with_columns(pl.col(pl.String).str.replace_all("<", "\u2039", literal=True))


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


def write_report(
    reference_path: Path,
    current_path: Path,
    out_dir: Path,
    kinds: Mapping[str, str] | None = None,
    settings: DriftSettings | None = None,
) -> None:
    """Write report.html and scores.json into out_dir, each complete or not at all."""
    reference, current = _one_spelling(sample(reference_path, kinds), sample(current_path, kinds))
    columns, left_out = comparable(reference, current)
    left_out |= {name: why for name, why in (kinds or {}).items() if why not in ("numeric", "categorical")}
    scores: dict[str, Any] = {}
    page = ""
    if columns:
        page, scores = _drawn(reference.select(columns), current.select(columns), left_out, settings or DriftSettings())
    page = _with_list(page, left_out) if page else _empty_page(left_out)
    result = {"rows": {"reference": len(reference), "current": len(current)}, "columns": scores, "left_out": left_out}
    out_dir.mkdir(parents=True, exist_ok=True)
    _replace(out_dir / "report.html", sealed(page))
    _replace(out_dir / "scores.json", json.dumps(result, indent=1, sort_keys=True))


def _one_spelling(*sides: pl.DataFrame) -> tuple[pl.DataFrame, ...]:
    """The frames with 0 and 1 written as false and true in text columns that hold nothing else: the sides may differ in that."""
    seen: dict[str, set[str]] = {}
    for side in sides:
        for name, kind in side.schema.items():
            if kind == pl.String:
                seen.setdefault(name, set()).update(side[name].drop_nulls().unique().str.to_lowercase())
    truths = [name for name, values in seen.items() if values <= TRUTHS.keys()]
    return tuple(
        side.with_columns(pl.col(name).str.to_lowercase().replace(TRUTHS) for name in truths if name in side.columns)
        for side in sides
    )


def _drawn(
    reference: pl.DataFrame, current: pl.DataFrame, left_out: dict[str, str], settings: DriftSettings
) -> tuple[str, dict[str, dict[str, Any]]]:
    """Page and scores of all columns, or of those that Evidently can draw when it fails on all of them; the others go to `left_out`."""
    try:
        return _evidently(reference, current, settings)
    except Exception:
        kept = []
        for name in reference.columns:
            try:
                _evidently(reference.select(name), current.select(name), settings)
                kept.append(name)
            except Exception as error:
                left_out[name] = f"Evidently failed on it: {type(error).__name__}: {error}"
        return _evidently(reference.select(kept), current.select(kept), settings) if kept else ("", {})


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


def _evidently(reference: pl.DataFrame, current: pl.DataFrame, settings: DriftSettings) -> tuple[str, dict[str, Any]]:
    os.environ["DO_NOT_TRACK"] = "1"  # before the import, which would otherwise start its telemetry
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    numeric = [name for name, kind in reference.schema.items() if kind == pl.Float64]
    categorical = [name for name in reference.columns if name not in numeric]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
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


def _listed(left_out: dict[str, str]) -> str:
    return "".join(f"<li>{_escape(name)}: {_escape(reason)}</li>" for name, reason in sorted(left_out.items()))


def _with_list(page: str, left_out: dict[str, str]) -> str:
    """Evidently's page with what is not drawn and why as the first thing in its body."""
    if not left_out:
        return page
    if "<body>" not in page:
        raise ValueError("Evidently's page has no <body>; its layout changed, so the columns left out can't be listed")
    style = "font-family: sans-serif; margin: 1rem 2rem"
    words = f"<summary>{len(left_out)} columns are not drawn</summary><ul>{_listed(left_out)}</ul>"
    return page.replace("<body>", f'<body>\n<details open style="{style}">{words}</details>', 1)


def _empty_page(left_out: dict[str, str]) -> str:
    head = "<!DOCTYPE html><html><head><title>Drift</title></head>"
    return f"{head}<body><p>No column can be compared.</p><ul>{_listed(left_out)}</ul></body></html>"


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
    parser.add_argument("--columns", type=Path, help="JSON object: each column's kind, or why it is not drawn")
    parser.add_argument("--settings", type=json.loads, help="JSON object: the thresholds of the verdicts")
    chosen = parser.parse_args()
    kinds = None if chosen.columns is None else json.loads(chosen.columns.read_text(encoding="utf-8"))
    write_report(
        chosen.reference, chosen.current, chosen.out_dir, kinds, chosen.settings and DriftSettings(**chosen.settings)
    )


if __name__ == "__main__":
    main()
