"""Files that are found by the hash of what they hold: the rows of data sets, the outcomes of evaluation runs.

A file appears whole or not at all (written beside and renamed), is never changed, and is checked against its name whenever it is read.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from controlplane.core.audit import sha256_text


class ContentError(ValueError):
    """A file is missing, or no longer holds what its name says."""


def save(folder: Path, text: str, prefix: str = "") -> str:
    """Keep `text` and return its hash, sha256 over `prefix` and text; the same text is kept once."""
    name = sha256_text(prefix + text)
    path = folder / f"{name}.jsonl"
    if path.exists():
        return name
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{name}-{secrets.token_hex(4)}"
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return name


def load(folder: Path, name: str, prefix: str = "") -> str:
    """The text of that hash. Raises `ContentError` where the file is gone or was changed."""
    path = folder / f"{name}.jsonl"
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ContentError(f"{path} is gone: restore it, or add the rows again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ContentError(f"{path} cannot be read: {error}") from None
    if sha256_text(prefix + text) != name:
        raise ContentError(f"{path} was changed: its content no longer has the hash that names it; restore it")
    return text
