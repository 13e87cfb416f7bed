"""The weekly review as a PDF for leadership: A4, its own typography, charts as vectors; the same document, word for word, as the page.

`render` turns a pinned document into blocks (`weekly_pdf_blocks`), and Typst sets them with `weekly_pdf.typ`. The blocks go in as data, so no
text of a log is ever markup. Only the fonts inside Typst are used, nothing is read from the disk and nothing is asked of the network. The time in
the file is that of the pin, so the same document gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files

from controlplane.analysis import weekly_pdf_blocks as blocks
from controlplane.analysis.weekly_html_parts import Plain, mapping
from controlplane.core.weekly_words import words

TEMPLATE = "weekly_pdf.typ"


class PdfError(RuntimeError):
    """Typst could not set the document; the message says why."""


def render(
    document: Plain, signatures: Sequence[Plain] = (), document_hash: str = "", *, corrected_by: str = ""
) -> bytes:
    """The PDF. `document` is `Weekly.to_dict()`, `signatures` rows of at, actor, verdict, note, document_hash. Raises PdfError."""
    import typst  # a compiler of 30 MB: only who wants a PDF loads it

    said = mapping(document.get("words")) or words(document)
    value = blocks.build(document, said, signatures, document_hash, corrected_by)
    source = files("controlplane.analysis").joinpath(TEMPLATE).read_bytes()
    try:
        found = typst.compile(
            source,
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={"data": json.dumps(value, ensure_ascii=False)},
            timestamp=_pinned(document),
        )
    except typst.TypstError as error:
        raise PdfError(f"the review {document.get('review_id')} could not be set as PDF: {error}") from error
    assert isinstance(found, bytes)
    return found


def _pinned(document: Plain) -> datetime:
    """When it was pinned; the beginning of time where it does not say, so that the bytes never depend on the clock."""
    text = str(mapping(document.get("pin")).get("pinned_at") or "")
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(microsecond=0)  # Typst takes whole seconds
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
