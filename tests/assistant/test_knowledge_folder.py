"""Any folder of Markdown becomes a knowledge base; what is wrong with a file is said with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant import ConversationState, SqliteBank
from controlplane.assistant.knowledge_base import KnowledgeError
from controlplane.assistant.knowledge_folder import load_folder, parse_document
from controlplane.assistant.menu import Menu
from controlplane.assistant.retrieval import Bm25Index
from tests.assistant.talk import message

CARDS = """---
title: Cards abroad
topic: Cards
keywords: travel, holiday
intents: fees
---

# Using cards

Paying abroad is **free**. Cash costs [£2](https://example.org) each time.
It is charged at once.

<!-- not for customers:
secret -->

- Visa works everywhere
1. Tell us `before` you travel

| country | fee |
| --- | --- |
| Spain | £0 |

---

```
call 0800
```
"""


def write(folder: Path, **pages: str) -> Path:
    for name, text in pages.items():
        path = folder / f"{name.replace('__', '/')}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_markdown_becomes_sentences(tmp_path: Path) -> None:
    page = load_folder(write(tmp_path, cards=CARDS)).get("cards")
    assert (page.title, page.topic, page.keywords, page.intents) == (
        "Cards abroad",
        "Cards",
        ("travel", "holiday"),
        ("fees",),
    )
    assert page.sentences == (
        "# Using cards",
        "Paying abroad is free.",
        "Cash costs £2 each time.",
        "It is charged at once.",
        "Visa works everywhere",
        "Tell us before you travel",
        "country , fee",
        "Spain , £0",
        "call 0800",
    )


def test_front_matter_is_optional(tmp_path: Path) -> None:
    write(
        tmp_path,
        plain="Just a text.",
        home_loans__first_steps="# First steps\nCome in.",
        home_loans__papers="Bring a passport.",
    )
    found = load_folder(tmp_path)
    assert [(p.id, p.title, p.topic) for p in found.passages] == [
        ("home_loans/first_steps", "First steps", "Home loans"),
        ("home_loans/papers", "Papers", "Home loans"),
        ("plain", "Plain", "General"),
    ]


def test_the_version_is_the_content(tmp_path: Path) -> None:
    first = load_folder(write(tmp_path / "one", a="Same text.", b="Other text."))
    second = load_folder(write(tmp_path / "two", b="Other text.\r\n", a="Same text.\n\n"))
    assert first.version == second.version
    assert load_folder(write(tmp_path / "two", a="Changed text.")).version != first.version


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("---\ntitle: A\n\nBody.", r"p\.md:1: the front matter opened by '---' is never closed"),
        ("---\ntitle: A\ncolour: red\n---\nBody.", r"p\.md:3: unknown head line 'colour: red', expected one of"),
        ("---\ntitle: A\ntitle: B\n---\nBody.", r"p\.md:3: title is given twice"),
        ("---\ntitle: A\n---\n", r"p\.md:4: no text below the title"),
        ("# Only a heading", r"p\.md:1: no text below the title"),
    ],
)
def test_a_fault_is_named_with_file_and_line(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(KnowledgeError, match=error):
        load_folder(write(tmp_path, p=text))


def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_bytes(b"one\ntwo\ncaf\xe9\n")
    with pytest.raises(KnowledgeError, match=r"p\.md:3: not UTF-8"):
        load_folder(tmp_path)


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="no such folder; give a folder with Markdown"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(KnowledgeError, match="no Markdown file"):
        load_folder(tmp_path)


@given(st.text(max_size=300))
def test_any_text_is_a_page_or_a_named_fault(text: str) -> None:
    try:
        page = parse_document("p", text, "p.md")
    except KnowledgeError as error:
        fault = str(error)
    else:
        fault = ""
        assert page.title
        assert all(sentence.strip() for sentence in page.sentences)
    assert not fault or fault.startswith("p.md:")


def test_such_a_folder_can_be_searched_and_served_by_the_menu(tmp_path: Path) -> None:
    knowledge = load_folder(write(tmp_path, cards=CARDS, loans="# Loans\nA loan takes 3 days."))
    assert Bm25Index(knowledge).search("how long does a loan take")[0].passage.id == "loans"
    menu = Menu(knowledge, SqliteBank())
    state, reply = menu.respond(ConversationState(), message("hello"))
    state, reply = menu.respond(state, message(str(reply.options.index("General") + 1), 2))
    _, reply = menu.respond(state, message("1", 3))
    assert "A loan takes 3 days." in reply.text


def test_a_page_that_names_no_workflow_of_ours_is_named(tmp_path: Path) -> None:
    knowledge = load_folder(write(tmp_path, cards=CARDS.replace("intents: fees", "workflow: fly_to_the_moon")))
    with pytest.raises(ValueError, match="page cards: no workflow 'fly_to_the_moon'"):
        Menu(knowledge, SqliteBank())
