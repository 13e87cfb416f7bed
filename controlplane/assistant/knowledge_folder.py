"""Any folder of Markdown as a knowledge base: one page a file, front matter optional.

Rules
- A page's id is its path below the folder without `.md`, with `/` between folders. Its title is the front matter's, else the first
  `# heading`, else the file name in words; its topic is the front matter's, else the first folder, else "General".
- Front matter stands between two lines `---` at the very start and knows the keys of a help page
  (`controlplane.assistant.knowledge_base`); other keys are an error, because a mistyped `intent:` would be lost in silence.
- The body is read as Markdown of prose: paragraphs are split into sentences, a list item or table row is a sentence, headings stay as
  sentences of their own ("# Fees") because they carry the words that customers search with. Comments and horizontal rules fall away.
- The version is the content hash of `Knowledge`: file times, the order of files and line ends do not count.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from controlplane.assistant.knowledge_base import Knowledge, KnowledgeError, passage_of, read_head
from controlplane.assistant.model import Passage
from controlplane.assistant.text import sentences as split_sentences

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
_ITEM = re.compile(r"^(?:[-*+]|\d{1,3}[.)])\s+(.*)$")
_RULE = re.compile(r"^(?:[-*_=]\s*){3,}$|^\|?[\s:|-]*-{3}[\s:|-]*$")
_FENCE = re.compile(r"^(?:```|~~~)")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"(\*\*|__|`)")


def load_folder(folder: Path) -> Knowledge:
    """Every `.md` file below `folder`. Raises `KnowledgeError` naming the file, and the line where there is one."""
    if not folder.is_dir():
        raise KnowledgeError(f"{folder}: no such folder; give a folder with Markdown files (*.md)")
    files = sorted(path for path in folder.rglob("*.md") if path.is_file())
    if not files:
        raise KnowledgeError(f"{folder}: no Markdown file (*.md) in it or below; nothing can be answered from it")
    return Knowledge.of(read_page(path, folder) for path in files)


def read_page(path: Path, folder: Path) -> Passage:
    """One file below `folder` as a page. Raises `KnowledgeError` naming file and line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise KnowledgeError(f"{path}:{line}: not UTF-8 ({error.reason}); save the file as UTF-8") from None
    relative = path.relative_to(folder)
    return parse_document(relative.with_suffix("").as_posix(), text, str(path))


def parse_document(page_id: str, text: str, place: str) -> Passage:
    """A page from Markdown `text`; `place` is what errors call the file."""
    lines = text.splitlines()
    head: dict[str, str] = {}
    body_from = 0
    if lines and lines[0].strip() == "---":
        end = next((i for i, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
        if end is None:
            raise KnowledgeError(
                f"{place}:1: the front matter opened by '---' is never closed; add a line '---' after it"
            )
        head = read_head(lines[1:end], place, first_line=2)
        body_from = end + 1
    found = tuple(_sentences("\n".join(lines[body_from:])))
    if not any(not sentence.startswith("#") for sentence in found):
        raise KnowledgeError(f"{place}:{body_from + 1}: no text below the title; write the page or remove the file")
    heading = next((sentence.lstrip("# ") for sentence in found if sentence.startswith("#")), "")
    folders, _, name = page_id.rpartition("/")
    head.setdefault("title", heading or _in_words(name))
    head.setdefault("topic", _in_words(folders.partition("/")[0]) if folders else "General")
    return passage_of(page_id, head, found)


def _in_words(name: str) -> str:
    words = re.sub(r"[-_]+", " ", name).strip()
    return words[:1].upper() + words[1:] or name


def _sentences(body: str) -> Iterator[str]:
    """Sentences, list items, table rows and headings of Markdown, in order, without its marks."""
    paragraph: list[str] = []
    fenced = False
    for line in [*_COMMENT.sub("", body).splitlines(), ""]:
        plain = line.strip()
        if _FENCE.match(plain):
            fenced, plain = not fenced, ""
        heading, item = _HEADING.match(plain), _ITEM.match(plain)
        own = fenced or heading or item or plain.startswith("|")
        if paragraph and (own or not plain or _RULE.match(plain)):
            yield from split_sentences(_plain(" ".join(paragraph)))
            paragraph = []
        if not plain or (_RULE.match(plain) and not fenced):
            continue
        if fenced:
            yield plain
        elif heading and _plain(heading[1]):
            yield f"# {_plain(heading[1])}"
        elif item or plain.startswith("|"):
            yield from filter(None, [_plain(item[1] if item else plain.strip("|").replace("|", ", "))])
        elif not heading:
            paragraph.append(plain.removeprefix("> "))


def _plain(text: str) -> str:
    return " ".join(_MARKS.sub("", _LINK.sub(r"\1", text)).split())
