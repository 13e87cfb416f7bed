"""The drift timeline: each column's distance to the reference per hour or day, and when it began.

Sketches of past days are kept in reports/drift/days and used again while the facts of that day are as they were, so a daily timeline reads the
newest day and whatever came late. They hold no content and can be deleted at any time: they are made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from duckdb import ColumnExpression, ConstantExpression

from controlplane.analysis.drift import CATEGORICAL, NUMERIC, DriftResult, DriftSettings
from controlplane.analysis.drift_timeline import Onset, Shape, Sketch, excess, onset
from controlplane.core.audit import canonical, sha256_text
from controlplane.core.model import Verdict
from controlplane.store.queries import load
from controlplane.store.utc import to_aware, to_naive
from jobs.drift_rows import (
    CURRENT,
    LABELS,
    REFERENCE,
    WHOLE,
    Relation,
    Rows,
    export_features,
    export_labels,
    numeric_and_categorical,
    queried,
)
from jobs.drift_windows import Window, iso
from jobs.files import write_whole

MINUTE, HOUR, DAY = 60, 3_600, 86_400
WIDTHS = ((timedelta(days=10), DAY), (timedelta(hours=10), HOUR), (timedelta(minutes=50), 5 * MINUTE))
LONGEST = timedelta(days=400)
VALUES_AT_ONCE = 4_000_000  # quantiles keep their values in memory
FOREVER = 400_000 * DAY  # a bucket that holds every time there is
NAMES = {DAY: "day", HOUR: "hour", 5 * MINUTE: "5 minutes", MINUTE: "minute"}
Sketches = dict[str, dict[datetime, Sketch]]  # by column and begin of the bucket


@dataclass(frozen=True, slots=True)
class Timeline:
    """Distances of all columns beyond chance: `at` are the begins of the buckets (aware UTC); a score is None where a bucket has no values.

    `read` counts the days that were read, the others were known.
    """

    since: datetime
    until: datetime
    seconds: int
    at: tuple[datetime, ...]
    scores: Mapping[str, tuple[float | None, ...]]
    missing: Mapping[str, tuple[float | None, ...]]
    rows: Mapping[str, tuple[int, ...]]
    read: int

    def head(self) -> dict[str, Any]:
        """What all columns share, JSON-ready."""
        span = {"since": iso(self.since), "until": iso(self.until), "bucket": NAMES[self.seconds]}
        return {**span, "bucket_seconds": self.seconds, "at": [iso(moment) for moment in self.at]}

    def column(self, name: str) -> dict[str, Any] | None:
        """One column's series along `at`, rounded to four digits; None for a column that has none."""
        if name not in self.scores:
            return None
        score, missing = (
            [None if value is None else float(f"{value:.4g}") for value in series[name]]
            for series in (self.scores, self.missing)
        )
        return {"score": score, "missing": missing, "rows": list(self.rows[name])}


def width_of(length: timedelta) -> int:
    """Seconds of a bucket: days from ten days on, hours from ten hours on, then five minutes, then minutes."""
    return next((seconds for least, seconds in WIDTHS if length >= least), MINUTE)


def reach(reference: Window, current: Window) -> Window:
    """What the timeline shows: both windows where one follows the other closely, else the current one and as long before it."""
    length = current.until - current.since
    gap = current.since - reference.until
    side_by_side = abs(current.since - reference.since) < length and reference.until > current.since
    if side_by_side:
        return whole_days(current)
    if reference.release != current.release:
        current = replace(current, release=None)  # one release follows another: the timeline shows both
    near = timedelta(0) <= gap <= length and current.until - reference.since <= LONGEST
    return whole_days(replace(current, since=reference.since if near else current.since - length))


def whole_days(shown: Window) -> Window:
    """A span that is shown by days, from midnight to midnight, so that what is known of a day serves every analysis that shows it."""
    if width_of(shown.until - shown.since) != DAY:
        return shown
    midnight = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
    until = shown.until.replace(**midnight)  # type: ignore[arg-type]
    until += timedelta(days=1) if until < shown.until else timedelta(0)
    return replace(shown, since=shown.since.replace(**midnight), until=until)  # type: ignore[arg-type]


def measure(
    rows: Rows,
    reference: Window,
    current: Window,
    shown: Window,
    now: datetime,
    kept: Path,
    references: Mapping[str, Sketch] | None = None,
) -> Timeline:
    """Distances per bucket of `shown`. The rows of both windows must have been exported; `kept` is the folder of known days.

    references: the sketches of the reference where they are known already.
    """
    seconds = width_of(shown.until - shown.since)
    references = sketches(rows, REFERENCE) if references is None else references
    found, read = _features(rows, reference, current, shown, seconds, kept)
    export_labels(rows, WHOLE, shown, now)
    for label in LABELS:
        found |= _of_relation(rows.label(WHOLE, label), seconds)
    return _timeline(shown, seconds, references, found, read)


def began(timeline: Timeline, result: DriftResult, settings: DriftSettings) -> dict[str, Onset]:
    """When each drifted or broken column changed. A column that lost its values is looked at by its share of missing values."""
    found = {}
    for column in result.columns:
        if column.verdict not in (Verdict.FAIL, Verdict.ERROR) or column.column not in timeline.scores:
            continue
        lost = column.current_missing - column.reference_missing >= settings.missing and not column.drifted
        series = timeline.missing if lost else timeline.scores
        threshold = column.reference_missing + settings.missing if lost else column.threshold
        found[column.column] = onset(series[column.column], timeline.rows[column.column], threshold)
    return found


def onset_json(found: Onset | None, timeline: Timeline) -> dict[str, Any]:
    """Keys of a column: `onset` (ISO or None) and `onset_detail`."""
    if found is None:
        return {"onset": None, "onset_detail": None}
    at = {
        name: None if (place := getattr(found, name)) is None else iso(timeline.at[place])
        for name in ("earliest", "latest")
    }
    numbers = {"before": found.before, "after": found.after, "p": found.p}
    moment = None if found.index is None else iso(timeline.at[found.index])
    return {"onset": moment, "onset_detail": {"shape": str(found.shape), "reason": found.reason, **at, **numbers}}


def has_moment(found: Onset) -> bool:
    """Whether a moment can be named."""
    return found.index is not None and found.shape in (Shape.STEP, Shape.GRADUAL)


def _timeline(shown: Window, seconds: int, references: Mapping[str, Sketch], found: Sketches, read: int) -> Timeline:
    width = timedelta(seconds=seconds)
    seconds_before = int(shown.since.timestamp()) % seconds
    first = to_naive(shown.since.replace(microsecond=0)) - timedelta(seconds=seconds_before)
    at = [first]
    while at[-1] + width < to_naive(shown.until):
        at.append(at[-1] + width)
    nothing = Sketch(0, 0)
    scores, missing, rows = {}, {}, {}
    for name, buckets in found.items():
        if name not in references:
            continue
        here = [buckets.get(moment, nothing) for moment in at]
        scores[name] = tuple(excess(references[name], sketch) for sketch in here)
        missing[name] = tuple(sketch.missing for sketch in here)
        rows[name] = tuple(sketch.rows for sketch in here)
    return Timeline(shown.since, shown.until, seconds, tuple(map(to_aware, at)), scores, missing, rows, read)


def _features(
    rows: Rows, reference: Window, current: Window, shown: Window, seconds: int, kept: Path
) -> tuple[Sketches, int]:
    """Sketches of the features of a span, of days from what is known where the facts have not changed, and the days read."""
    if seconds != DAY:
        return _of_relation(_rows_of(rows, reference, current, shown), seconds), len(_days(rows.cursor, shown))
    path = kept / f"{_key(reference, shown)}.json"
    known = _known(path)
    days = {str(day): [n, batch] for day, n, batch in _days(rows.cursor, shown)}
    stale = [day for day, stamp in days.items() if known.get(day, {}).get("facts") != stamp]
    if stale:
        first, last = datetime.fromisoformat(min(stale)), datetime.fromisoformat(max(stale)) + timedelta(days=1)
        part = replace(shown, since=to_aware(first), until=to_aware(last))
        fresh = _of_relation(_rows_of(rows, reference, current, part), seconds)
        for day in (name for name in days if str(first) <= name < str(last)):
            begin = datetime.fromisoformat(day)
            sketches = {name: buckets[begin].to_list() for name, buckets in fresh.items() if begin in buckets}
            known[day] = {"facts": days[day], "sketches": sketches}
        _keep(path, known)
    found: Sketches = {}
    for day in days:
        for name, sketch in known[day]["sketches"].items():
            found.setdefault(name, {})[datetime.fromisoformat(day)] = Sketch.from_list(sketch)
    return found, len(stale)


def _rows_of(rows: Rows, reference: Window, current: Window, part: Window) -> Relation:
    """Features of a span: from the exported windows where they cover it with the same choice of rows, the rest from the facts."""
    windows = sorted(((reference, REFERENCE), (current, CURRENT)), key=lambda pair: pair[0].since)
    found: list[Path] = []
    upto = part.since
    for window, side in windows:
        if (
            (window.arm, window.release) != (part.arm, part.release)
            or window.since < upto
            or window.since >= part.until
        ):
            continue  # of other rows, or partly read already, or later
        if upto < window.since:
            found.append(_exported(rows, replace(part, since=upto, until=window.since), reference, len(found)))
        found.append(rows.path(side, "features"))
        upto = window.until
    if upto < part.until:
        found.append(_exported(rows, replace(part, since=upto), reference, len(found)))
    inside = ColumnExpression("ts") < ConstantExpression(to_naive(part.until))
    return rows.cursor.read_parquet([str(path) for path in found], union_by_name=True).filter(inside)


def _exported(rows: Rows, part: Window, reference: Window, number: int) -> Path:
    side = f"{WHOLE}-{number}"
    export_features(rows, side, part, reference)
    return rows.path(side, "features")


def _days(cursor: duckdb.DuckDBPyConnection, shown: Window) -> list[tuple[Any, ...]]:
    bounds = {"since": to_naive(shown.since), "until": to_naive(shown.until)}
    return cursor.execute(load("drift/timeline_days"), bounds).fetchall()


def _key(reference: Window, shown: Window) -> str:
    """Sketches hold for one way of reading rows, one reference (whose words are known) and one choice of rows."""
    queries = [
        load(f"drift/{name}") for name in ("features", "features_vocabulary", "timeline_numeric", "timeline_category")
    ]
    chosen = {"reference": reference.to_dict(), "arm": shown.arm, "release": shown.release}
    return sha256_text(canonical({**chosen, "queries": [sha256_text(query) for query in queries]}))[:16]


def _known(path: Path) -> dict[str, Any]:
    """Days that were kept; a file that cannot be read is as good as none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _keep(path: Path, days: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(days))


def sketches(rows: Rows, side: str) -> dict[str, Sketch]:
    """One sketch per column of a whole window."""
    found = _of_relation(rows.read(side, "features"), FOREVER)
    for label in LABELS:
        found |= _of_relation(rows.label(side, label), FOREVER)
    return {name: next(iter(buckets.values())) for name, buckets in found.items() if buckets}


def _of_relation(relation: Relation, seconds: int) -> Sketches:
    """Sketches per column and bucket of a relation with a column `ts`; many columns in one query where they fit into memory."""
    kinds = dict(numeric_and_categorical(relation))
    together = max(1, VALUES_AT_ONCE // max(1, len(relation)))
    found: Sketches = {name: {} for name in kinds}
    for kind, cast, collect in ((NUMERIC, "DOUBLE", _numeric), (CATEGORICAL, "VARCHAR", _categorical)):
        names = [name for name, of in kinds.items() if of == kind]
        for first in range(0, len(names), together):
            width = ConstantExpression(seconds * 1_000_000).cast("BIGINT").alias("width")
            values = [ColumnExpression(name).cast(cast).alias(name) for name in names[first : first + together]]
            for name, bucket, sketch in collect(relation.select(ColumnExpression("ts"), width, *values)):
                found[name][bucket] = sketch
    return found


def _numeric(observed: Relation) -> Iterator[tuple[str, datetime, Sketch]]:
    for name, bucket, rows, usable, mean, sd, quantiles in queried(observed, "drift/timeline_numeric"):
        yield name, bucket, Sketch(rows, usable, mean, sd, tuple(quantiles or ()))


def _categorical(observed: Relation) -> Iterator[tuple[str, datetime, Sketch]]:
    counts: dict[tuple[str, datetime], dict[str | None, int]] = {}
    for name, bucket, value, n in queried(observed, "drift/timeline_category"):
        counts.setdefault((name, bucket), {})[value] = n
    for (name, bucket), of in counts.items():
        known = {value: n for value, n in of.items() if value is not None}
        yield name, bucket, Sketch(sum(of.values()), sum(known.values()), counts=known)
