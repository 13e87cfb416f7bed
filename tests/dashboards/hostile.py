"""A workspace whose names, reasons and texts are somebody's attack, and a reader that says what of it a page would have carried out."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import duckdb

EVIL = f"""<img src=x onerror=alert(1)>&"'</td></div>`x`[e](https://evil.example)!{"w" * 120}"""
FIELDS = (  # columns of the snapshot that somebody outside this program writes
    "release", "actor", "author", "approver", "owner", "reviewer", "reason", "note", "text", "title", "error", "model", "name", "segment",
    "predicted", "truth", "origin", "timeline", "evidence", "payload", "summary", "design", "app_version", "source",
)  # fmt: skip
KEPT = {("services", "name"), ("policies", "text"), ("lanes", "name"), ("acceptance_criteria", "text")}
STRUCTURE = {"payload", "summary", "evidence", "timeline", "design"}
# In JSON: values that are words. Numbers, times, names of metrics and triggers stay, else no page would find anything to show.
WORDS = {
    "release", "actor", "by", "text", "reason", "title", "terms", "label", "headline", "owner", "name", "sentence", "note", "origin", "author",
}  # fmt: skip
_TAGS = (
    "a b br code div dl dt dd details summary span p table thead tbody tr th td small time ul ol li i svg path polyline line circle rect g"
    " style h1 h2 h3 title button"
)
ALLOWED = set(_TAGS.split())


def make(source: Path, home: Path) -> Path:
    """A copy of the published snapshot of `source` in which every such field is an attack."""
    folder = home / "snapshots"
    shutil.copytree(source / "snapshots", folder)
    file = folder / json.loads((folder / "CURRENT").read_text())["file"]
    with duckdb.connect(str(file)) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE data_type = 'VARCHAR' AND NOT internal"
        ).fetchall()
        for table, column in columns:
            if column not in FIELDS or (table, column) in KEPT:
                continue
            if column in STRUCTURE:
                rows = connection.execute(f'SELECT DISTINCT "{column}" FROM "{table}"').fetchall()
                for (text,) in rows:
                    if text and text[:1] in "[{":
                        new = json.dumps(_spoiled(json.loads(text)))
                        connection.execute(f'UPDATE "{table}" SET "{column}" = $2 WHERE "{column}" = $1', [text, new])
            else:
                connection.execute(
                    f"""UPDATE "{table}" SET "{column}" = $1 || "{column}" WHERE "{column}" <> ''""", [EVIL]
                )
    return home


def _spoiled(value: object, inside: str = "") -> object:
    if isinstance(value, dict):
        return {key: _spoiled(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_spoiled(item, inside) for item in value]
    return f"{EVIL}{value}" if isinstance(value, str) and value and inside in WORDS else value


class Reader(HTMLParser):
    """Notes every element and attribute that no page of ours makes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element as a browser would see it."""
        drawn = tag == "img" and (dict(attrs).get("src") or "").startswith(
            "data:image/svg+xml;base64,"
        )  # ours: no script runs in a picture
        if tag not in ALLOWED and not drawn:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if drawn and name == "src":
                continue
            address = re.sub(r"\s", "", (value or "").lower())
            if name.startswith("on") or (name in ("href", "src") and re.match(r"(\w+:|//)", address)):
                self.found.append(f"<{tag} {name}={value!r:.60}>")


def carried_out(html: str) -> list[str]:
    """What of it is markup that no page meant."""
    reader = Reader()
    reader.feed(html)
    return reader.found
