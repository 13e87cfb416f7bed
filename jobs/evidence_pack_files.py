"""The files of an evidence pack, written and read: a folder or a zip, of which the same content is the same bytes.

A pack appears whole or not at all: it is written beside its place and moved there. Files are read in pieces, rows one at a time.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from controlplane.core.audit import canonical
from jobs.refused import Refused

PIECE = 1 << 16
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the first that the format knows: a pack says in its manifest of when it is
MANIFEST = "manifest.json"
LONGEST_ROW = 64 << 20  # bytes: more than any row or document of ours, so that what was made to be huge fills no memory
UNREADABLE = (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError)
"""What reading from a zip raises that is damaged, encrypted or packed by a method that is not known."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file of the pack: sha256 over its bytes, its size."""

    sha256: str
    bytes: int


class PackWriter:
    """Files under a folder that becomes the pack."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Written] = {}

    def rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> Written:
        """JSON lines, one canonical object a line."""
        return self._write(name, (f"{canonical(dict(row))}\n".encode() for row in rows))

    def text(self, name: str, text: str) -> Written:
        """A text in UTF-8."""
        return self._write(name, (text.encode(),))

    def copy(self, name: str, source: Path) -> Written:
        """A file as it is."""
        with source.open("rb") as file:
            return self._write(name, iter(lambda: file.read(PIECE), b""))

    def _write(self, name: str, pieces: Iterable[bytes]) -> Written:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
        written = Written(digest.hexdigest(), size)
        self.files[name] = written
        return written


@contextmanager
def writing(out: Path) -> Iterator[PackWriter]:
    """A writer whose folder becomes `out`, or the content of the zip `out`, when the block ends well. Raises Refused where something is already."""
    if out.is_dir() and any(out.iterdir()):
        raise Refused(f"{out} is not empty: name a new folder or a new .zip file with --out")
    if out.is_dir() and out.suffix == ".zip":
        raise Refused(
            f"{out} is a folder that is called like a file: name a new .zip file, or a folder without that ending"
        )
    if out.is_file():
        raise Refused(f"{out} exists already: name a new file, a pack is never written over")
    if not out.absolute().parent.is_dir():
        raise Refused(f"there is no folder {out.absolute().parent}: make it first")
    draft = Path(tempfile.mkdtemp(prefix=".pack-", dir=out.absolute().parent))
    try:
        inner = draft / "pack"
        inner.mkdir()
        yield PackWriter(inner)
        if out.suffix.lower() == ".zip":
            _zip(inner, draft / "pack.zip")
            (draft / "pack.zip").replace(out)
        else:
            if out.is_dir():
                out.rmdir()
            inner.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _zip(folder: Path, path: Path) -> None:
    """All files in the order of their names, with the same time and rights: the same content is the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for file in sorted(one for one in folder.rglob("*") if one.is_file()):
            info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), ZIP_TIME)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            info.file_size = file.stat().st_size
            with archive.open(info, "w") as target, file.open("rb") as source:
                shutil.copyfileobj(source, target, PIECE)


class Pack:
    """A pack that is read. Names of files are those of the manifest, with forward slashes."""

    def __init__(self, path: Path) -> None:
        """Raises Refused for a place that holds no pack."""
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self.links: list[str] = []  # never followed: they lead out of the pack
        if path.is_dir():
            there = [one for one in path.rglob("*") if one.is_symlink() or one.is_file()]
            self.links = sorted(one.relative_to(path).as_posix() for one in there if one.is_symlink())
            names = [one.relative_to(path).as_posix() for one in there if not one.is_symlink()]
        elif path.is_file():
            try:
                self._zip = zipfile.ZipFile(path)
            except (zipfile.BadZipFile, OSError) as error:
                raise Refused(
                    f"{path} is no evidence pack: not a folder, and no zip that can be read ({error})"
                ) from None
            names = [one.filename for one in self._zip.infolist() if not one.is_dir()]
        else:
            raise Refused(f"there is no {path}: name a folder or .zip that `controlplane audit export` wrote")
        self.twice = sorted(name for name, n in Counter(names).items() if n > 1)
        self.names = frozenset(names)

    def close(self) -> None:
        """Release the file."""
        if self._zip is not None:
            self._zip.close()

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file of the pack. Raises KeyError or FileNotFoundError where it is not there, ValueError where it cannot be unpacked."""
        if self._zip is not None:
            try:
                with self._zip.open(name) as file:
                    yield file
            except UNREADABLE as error:
                raise ValueError(f"{name} cannot be unpacked ({error})") from None
            return
        with (self.path / name).open("rb") as plain:
            yield plain

    def sha256(self, name: str) -> Written:
        """Hash and size of a file; a zip that is damaged there gives an empty hash."""
        digest, size = hashlib.sha256(), 0
        try:
            with self.open(name) as file:
                while piece := file.read(PIECE):
                    digest.update(piece)
                    size += len(piece)
        except (OSError, ValueError):
            return Written("", size)
        return Written(digest.hexdigest(), size)

    def text(self, name: str) -> str:
        """A file as text. Raises ValueError for what is no UTF-8, or longer than any of ours."""
        with self.open(name) as file:
            found = file.read(LONGEST_ROW + 1)
        if len(found) > LONGEST_ROW:
            raise ValueError(f"{name} is longer than {LONGEST_ROW:,} bytes")
        return found.decode("utf-8")

    def rows(self, name: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """(number of the line, from 1; its object) of a file of rows; None for a line that `PackWriter.rows` would not have written."""
        if name not in self.names:
            return
        with self.open(name) as file:
            number = 0
            while line := file.readline(LONGEST_ROW):
                number += 1
                yield number, _object(line)


def _object(line: bytes) -> dict[str, Any] | None:
    """The object only where the line is its one canonical form: of a name given twice a reader may see another value than is hashed."""
    try:
        found = json.loads(line)
        same = isinstance(found, dict) and f"{canonical(found)}\n".encode() == line
    except (ValueError, RecursionError):
        return None
    return found if same else None
