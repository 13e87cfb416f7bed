"""The weekly review as PDF: the document's words and numbers on A4, the same bytes for the same document, nothing from anywhere else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings

from controlplane.analysis import weekly_pdf_blocks
from controlplane.analysis.weekly_pdf import render
from controlplane.analysis.weekly_pdf_svg import for_print
from controlplane.core.weekly_words import words
from tests.analysis.pdf_text import pages
from tests.core.weekly_documents import document, documents

HASH = "a" * 64
SIGNED = {"at": "2026-01-06T09:00:00Z", "actor": "mira", "verdict": "agree", "note": "read", "document_hash": HASH}


def plain(text: str) -> str:
    """Without what setting changes: spaces, and the ends of lines."""
    return re.sub(r"\s+", "", text)


@pytest.fixture(scope="module")
def pdf() -> bytes:
    return render(document(), [SIGNED], HASH, corrected_by="2026-W46-v9")


def test_it_opens_with_the_headline_and_the_answer(pdf: bytes) -> None:
    found, said = pages(pdf), words(document())
    first = plain(found[0])
    assert plain(said["headline"]) in first
    assert first.index(plain(said["headline"])) < first.index("Maywegrow?") < first.index("Thefivesuccessmeasures")
    assert plain(said["answer"]) in first
    assert "Correctedby2026-W46-v9" in first
    assert all(f"{i + 1}/{len(found)}" in plain(page) for i, page in enumerate(found))


def test_every_text_of_the_blocks_is_on_the_paper(pdf: bytes) -> None:
    whole = plain("".join(pages(pdf)))
    value = weekly_pdf_blocks.build(document(), words(document()), [SIGNED], HASH, "2026-W46-v9")
    texts = [text for block in value["blocks"] for text in printed(block)]
    assert len(texts) > 60
    missing = [text for text in texts if plain(text) not in whole and not split(text, whole)]
    assert missing == []


def split(text: str, whole: str) -> bool:
    """Whether a text that goes over a page's end is there in two parts."""
    flat = plain(text)
    return any(flat[:cut] in whole and flat[cut:] in whole for cut in range(8, max(len(flat) - 8, 8)))


def printed(block: dict[str, Any]) -> list[str]:
    """The texts that a block puts on the paper, without those inside its pictures."""
    found: list[str] = []

    def walk(value: Any, key: str = "") -> None:
        if isinstance(value, str) and key not in ("kind", "tone", "svg", "words", "widths"):
            found.append(value)
        elif isinstance(value, dict):
            for name, inner in value.items():
                if not (block["kind"] in ("picture", "pair") and name == "words"):
                    walk(inner, name)
        elif isinstance(value, list):
            for inner in value:
                walk(inner, key)

    walk(block)
    return [text for text in found if text]


def test_the_same_document_gives_the_same_bytes_on_a4(pdf: bytes) -> None:
    assert render(document(), [SIGNED], HASH, corrected_by="2026-W46-v9") == pdf
    assert re.search(rb"/MediaBox\[0 0 595\.\d+ 841\.\d+\]", pdf)
    fonts = set(re.findall(rb"/BaseFont/[A-Z]+\+(\w+)", pdf))
    assert all(name.startswith((b"Libertinus", b"DejaVu")) for name in fonts), fonts
    assert b"/URI" not in pdf
    assert b"http" not in pdf.replace(b"http://www.w3.org", b"").replace(b"http://ns.adobe.com", b"").replace(
        b"http://purl.org", b""
    ).replace(b"http://www.aiim.org", b"")


def test_what_people_wrote_is_text() -> None:
    evil = '#read("/etc/passwd") $x$ *bold* <label> @ref'
    found = "".join(pages(render(document(), [{**SIGNED, "actor": evil, "note": evil}], HASH)))
    assert plain(found).count(plain(evil)) == 2


def test_a_signature_of_other_content_is_marked_and_who_has_yet_to_sign_has_a_line() -> None:
    other = "".join(pages(render(document(), [{**SIGNED, "document_hash": "b" * 64, "verdict": "object"}], HASH)))
    assert "signed other content" in other
    assert "objects" in other
    named = document() | {"owners": {"programme": ["jon", "mira"]}}
    assert "jon,date,agreesorobjects" in plain("".join(pages(render(named, [SIGNED], HASH))))


@settings(max_examples=6, deadline=None)
@given(documents())
def test_any_review_can_be_set(found: dict[str, Any]) -> None:
    assert "Sign-off" in "".join(pages(render(found)))


@pytest.mark.parametrize("moment", ["2026-01-06T09:00:00.123456Z", "", "yesterday"])
def test_any_time_of_the_pin_will_do(moment: str) -> None:
    found = document()
    assert pages(render(found | {"pin": {**found["pin"], "pinned_at": moment}}))


def test_pictures_stand_alone() -> None:
    assert for_print("") == ""
    found = for_print('<svg viewBox="0 0 9 9"><rect fill="var(--good)"/><text class="ink">a</text></svg>')
    assert "var(" not in found
    assert found.startswith('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><style>')
