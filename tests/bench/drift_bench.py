"""The gate numbers of drift on all rows, as ratios to Evidently, NannyML and DuckDB's own read of the same two files in the same run.

    python -m tests.bench drift
    python tests/bench/drift_bench.py --rows 1000000 5000000 --columns 10

Every party runs in a process of its own on the same Parquet files (two in five columns of distinct floats, one of 350 whole numbers, two of
text) and is timed from the files to its numbers, without its imports; the peak of its memory is that of the whole process. NannyML is not a
dependency: NANNYML_PYTHON names a Python that has it, else it is left out and that is said.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SHAPES = (
    "exp(6 + 0.4 * sqrt(-2 * ln(1 - random())) * cos(6.283185307 * random()) + $shift)",
    "CAST(50 + 350 * random() AS INTEGER)",
)
SHAPES += ("random() + $shift", "chr(97 + CAST(random() * random() * 12 AS INTEGER))")
SHAPES += ("'intent_' || CAST(77 * random() * random() AS INTEGER)",)
SEED = 0.20260105


def make(folder: Path, rows: int, columns: int) -> list[Path]:
    """reference.parquet and current.parquet of `rows` rows; the current floats are shifted a little."""
    import duckdb

    paths = []
    with duckdb.connect() as connection:
        connection.execute("SELECT setseed(?)", [SEED]).fetchall()
        for name, shift in (("reference", 0.0), ("current", 0.02)):
            shapes = (SHAPES[index % len(SHAPES)].replace("$shift", str(shift)) for index in range(columns))
            selected = ", ".join(f"{shape} AS c{index}" for index, shape in enumerate(shapes))
            paths.append(folder / f"{name}.parquet")
            connection.sql(f"SELECT {selected} FROM range({rows})").write_parquet(str(paths[-1]))
    return paths


def ours(reference: str, current: str) -> dict[str, Any]:
    """The product's own function, as the command calls it."""
    from jobs.drift_files import drift_files

    started = time.perf_counter()
    value = drift_files(Path(reference), Path(current), None, report=False)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "scores": {name: column["score"] for name, column in value["columns"].items()}}


def scan(reference: str, current: str) -> dict[str, Any]:
    """DuckDB reads every value of both files."""
    import duckdb

    with duckdb.connect() as connection:
        started = time.perf_counter()
        for path in (reference, current):
            connection.execute("SELECT bit_xor(hash(COLUMNS(*))) FROM read_parquet(?)", [path]).fetchall()
        return {"seconds": time.perf_counter() - started}


def evidently(reference: str, current: str) -> dict[str, Any]:
    """Evidently's Wasserstein and Jensen-Shannon drift of every column."""
    os.environ["DO_NOT_TRACK"] = "1"
    import polars as pl
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    started = time.perf_counter()
    frames = [pl.read_parquet(path).to_pandas() for path in (current, reference)]
    numeric = [name for name in frames[0].columns if frames[0][name].dtype.kind in "if"]
    text = [name for name in frames[0].columns if name not in numeric]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=text)
    metrics = [ValueDrift(column=name, method="wasserstein") for name in numeric]
    metrics += [ValueDrift(column=name, method="jensenshannon") for name in text]
    run = Report(metrics).run(*(Dataset.from_pandas(frame, data_definition=definition) for frame in frames))
    values = [float(metric["value"]) for metric in run.dict()["metrics"]]
    return {"seconds": time.perf_counter() - started, "scores": dict(zip([*numeric, *text], values, strict=True))}


def nannyml(reference: str, current: str) -> dict[str, Any]:
    """NannyML's univariate drift, all current rows as one chunk."""
    import nannyml as nml
    import pandas as pd

    started = time.perf_counter()
    frames = [pd.read_parquet(path) for path in (reference, current)]
    calculator = nml.UnivariateDriftCalculator(
        column_names=list(frames[0].columns),
        continuous_methods=["wasserstein"],
        categorical_methods=["jensen_shannon"],
        chunk_number=1,
    )
    calculator.fit(frames[0])
    calculator.calculate(frames[1])
    return {"seconds": time.perf_counter() - started}


PARTIES = {"ours": ours, "scan": scan, "evidently": evidently, "nannyml": nannyml}


def measured(party: str, paths: Sequence[Path], python: str = sys.executable) -> dict[str, Any]:
    """What the party's process said, and its peak memory in GB. Raises RuntimeError with its last words when it fails."""
    root = Path(__file__).parents[2]
    argv = [python, str(Path(__file__).resolve()), "--party", party, *map(str, paths)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(argv, stdout=out, stderr=err, env=os.environ | {"PYTHONPATH": str(root)})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            words = err.read().decode(errors="replace").strip().splitlines() or ["no message"]
            raise RuntimeError(f"{party} failed: {words[-1]}")
        found: dict[str, Any] = json.loads(out.read().splitlines()[-1])
    return found | {"peak_gb": usage.ru_maxrss / 1e6}


def compare(rows: int, columns: int, peers: bool = True) -> dict[str, Any]:
    """One size: seconds, peaks and ratios."""
    python = os.environ.get("NANNYML_PYTHON")
    with tempfile.TemporaryDirectory() as folder:
        paths = make(Path(folder), rows, columns)
        found = {party: measured(party, paths) for party in ("scan", "ours")}
        if peers:
            found["evidently"] = measured("evidently", paths)
        unmeasured = "NANNYML_PYTHON does not name a Python that has it"
        if peers and python:
            try:
                found["nannyml"] = measured("nannyml", paths, python)
            except (OSError, RuntimeError) as error:
                unmeasured = str(error)
    mine = found["ours"]["seconds"]
    result: dict[str, Any] = {"rows a side": rows, "columns": columns, "cores": os.cpu_count()}
    for party, value in found.items():
        result[f"{party}: seconds"] = value["seconds"]
        result[f"{party}: peak GB"] = value["peak_gb"]
    result |= {
        f"{party} / ours": found[party]["seconds"] / mine for party in ("evidently", "nannyml") if party in found
    }
    result["ours / scan"] = mine / found["scan"]["seconds"]
    if peers:
        theirs = found["evidently"]["scores"]
        result["largest difference of a score from Evidently's"] = max(
            abs(found["ours"]["scores"][name] - score) for name, score in theirs.items()
        )
        result |= {} if "nannyml" in found else {"nannyml": f"not measured: {unmeasured}"}
    return result


def run(sizes: Sequence[int] = (1_000_000,), columns: int = 10, peers: bool = True) -> dict[str, Any]:
    """All sizes; the keys carry the number of rows where there are several."""
    found = {rows: compare(rows, columns, peers) for rows in sizes}
    if len(found) == 1:
        return next(iter(found.values()))
    return {f"{rows:,}: {key}": value for rows, result in found.items() for key, value in result.items()}


def main() -> None:
    """Measure by hand, or be one party's process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000], help="rows a side")
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--alone", action="store_true", help="without Evidently and NannyML")
    parser.add_argument("--party", choices=sorted(PARTIES), help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.party:
        print(json.dumps(PARTIES[options.party](*options.files)))
        return
    print(json.dumps(run(options.rows, options.columns, not options.alone), indent=1))


if __name__ == "__main__":
    main()
