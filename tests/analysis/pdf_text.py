"""Reads the text of a PDF page by page, through each font's own map to Unicode: just enough of the format for what Typst writes."""

from __future__ import annotations

import re
import zlib

_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_SHOWN = re.compile(rb"/(f\d+) [\d.]+ Tf|\[(?:[-+\d.eE\s]|<[0-9a-fA-F]*>)*\] ?TJ|<[0-9a-fA-F]*> ?Tj|\bBT\b")
_HEX = re.compile(rb"<([0-9a-fA-F]*)>")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def pages(pdf: bytes) -> list[str]:
    """The text of every page."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    found = [body for _, body in sorted(objects.items()) if re.search(rb"/Type\s*/Page\b(?!s)", body)]
    return [_page(body, objects) for body in found]


def _page(body: bytes, objects: dict[int, bytes]) -> str:
    resources = objects[_reference(body, rb"/Resources")]
    fonts = {
        name: _characters(objects[_reference(objects[int(number)], rb"/ToUnicode")])
        for name, number in re.findall(rb"/(f\d+) (\d+) 0 R", resources)
    }
    content, text, font = _hexed(_stream(objects[_reference(body, rb"/Contents")])), [], {}
    for found in _SHOWN.finditer(content):
        if found.group(1):
            font = fonts[found.group(1)]
        elif found.group(0) == b"BT":
            text.append(" ")
        else:
            text.append("".join(font.get(code, "") for code in _codes(found.group(0))))
    return re.sub(r"\s+", " ", "".join(text))


def _hexed(content: bytes) -> bytes:
    """The content with every string in parentheses (which may be nested) written as a hexadecimal one."""
    out, at = [], 0
    while (start := content.find(b"(", at)) >= 0:
        depth, end = 1, start + 1
        while depth:
            depth += {b"(": 1, b")": -1}.get(content[end : end + 1], 0)
            end += 2 if content[end : end + 1] == b"\\" else 1
        out += [content[at:start], b"<" + _unescaped(content[start + 1 : end - 1]).hex().encode() + b">"]
        at = end
    return b"".join([*out, content[at:]])


def _codes(shown: bytes) -> list[int]:
    raw = b"".join(bytes.fromhex(found.decode()) for found in _HEX.findall(shown))
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]


def _unescaped(literal: bytes) -> bytes:
    return re.sub(
        rb"\\([0-7]{1,3}|.)",
        lambda m: bytes([int(m.group(1), 8)]) if m.group(1).isdigit() else _ESCAPES.get(m.group(1), m.group(1)),
        literal,
        flags=re.DOTALL,
    )


def _characters(body: bytes) -> dict[int, str]:
    """Code -> text of a ToUnicode map."""
    source, found = _stream(body).decode("latin-1"), {}
    for block in re.findall(r"beginbfchar(.*?)endbfchar", source, re.DOTALL):
        for code, text in re.findall(r"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>", block):
            found[int(code, 16)] = bytes.fromhex(text).decode("utf-16-be")
    for block in re.findall(r"beginbfrange(.*?)endbfrange", source, re.DOTALL):
        for first, last, text in re.findall(r"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>", block):
            for i in range(int(last, 16) - int(first, 16) + 1):
                found[int(first, 16) + i] = chr(int(text, 16) + i)
    return found


def _reference(body: bytes, name: bytes) -> int:
    found = re.search(name + rb" (\d+) 0 R", body)
    assert found is not None, (name, body[:200])
    return int(found.group(1))


def _stream(body: bytes) -> bytes:
    found = re.search(rb"stream\r?\n(.*?)\r?\nendstream", body, re.DOTALL)
    assert found is not None
    return zlib.decompress(found.group(1)) if b"/FlateDecode" in body else found.group(1)
