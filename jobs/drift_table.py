"""What `controlplane drift run` says about two files: the answer first, then a table, worst column first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len

ORDER = ("FAIL", "ERROR", "INCONCLUSIVE", "NO_DATA", "PASS")
WORDS = {"FAIL": "drifted", "ERROR": "broken", "INCONCLUSIVE": "unclear", "NO_DATA": "not compared", "PASS": "stable"}
HEAD = ("column", "verdict", "score", "p", "before -> now", "why")
NAME_WIDTH = 40


def text(value: Mapping[str, Any]) -> str:
    """The answer in sentences, a line per column (worst first), and where the report is. `value` is what `drift_files` returns."""
    columns = value["columns"]
    names = sorted(columns, key=lambda name: (_rank(columns[name]), -_ratio(columns[name]), name))
    rows = [HEAD, *(_row(name, columns[name]) for name in names)]
    widths = [max(cell_len(row[index]) for row in rows) for index in range(len(HEAD) - 1)]
    lines = [
        "  ".join([*(_padded(cell, width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]
    said = [_answer(value), "", *(line.rstrip() for line in lines)]
    if value.get("report"):
        said += ["", f"report: {value['report']} (illustrates a sample; the verdicts are from all rows)"]
    elif value.get("report_error"):
        said += ["", f"no report: {value['report_error']}"]
    return "\n".join(said)


def _answer(value: Mapping[str, Any]) -> str:
    columns = value["columns"].values()
    counts = {word: sum(_verdict(column) == word for column in columns) for word in (*WORDS.values(), "lost values")}
    parts = [f"{count} {word}" for word, count in counts.items() if count]
    rows = [max((column[side] for column in columns), default=0) for side in ("reference_rows", "current_rows")]
    what, said = "column" if len(columns) == 1 else "columns", ", ".join(parts) or "nothing to compare"
    return f"{len(columns)} {what} of {rows[0]:,.0f} and {rows[1]:,.0f} rows: {said}"


def _verdict(column: Mapping[str, Any]) -> str:
    """A column that fails without having moved has lost values."""
    return "lost values" if column["verdict"] == "FAIL" and not column["drifted"] else WORDS[column["verdict"]]


def _rank(column: Mapping[str, Any]) -> int:
    return ORDER.index(column["verdict"])


def _ratio(column: Mapping[str, Any]) -> float:
    return float(column["score"] / column["threshold"]) if column["score"] is not None and column["threshold"] else 0.0


def _row(name: str, column: Mapping[str, Any]) -> tuple[str, ...]:
    shown = name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "\N{HORIZONTAL ELLIPSIS}"
    score = "" if column["score"] is None else f"{column['score']:.3g}"
    p = "" if column["corrected_p"] is None else f"{column['corrected_p']:.2g}"
    return (_plain(shown), _verdict(column), score, p, _change(column), _plain(column["reason"]))


def _change(column: Mapping[str, Any]) -> str:
    """What changed in the column's own unit: the mean, or the category whose share moved most."""
    if column["reference_mean"] is not None and column["current_mean"] is not None:
        return f"mean {column['reference_mean']:.4g} -> {column['current_mean']:.4g}"
    if column["moved"]:
        value, before, now = column["moved"][0]
        return f"{_plain(value)[:20]} {before:.1%} -> {now:.1%}"
    return ""


def _plain(words: str) -> str:
    """Without the characters that would move the cursor: names and values come from files that anybody may have written."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in words)


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))
