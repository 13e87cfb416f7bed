"""Cuts a block of bytes into JSON lines: where each lies, its fingerprint, and which can't be a record at all.

Pure: bytes in, arrays out. Rules
- Lines end with LF or CRLF; blank lines are not read. Line numbers count every line, blank ones too.
- A fingerprint is a keyed hash of the raw bytes of the line, taken before masking: the same text always gives the same
  number, and without the key nobody can find the text by guessing.
- Too long lines and lines that are not UTF-8 are rejected here, because the database must never see them.
- One Python step a line is the hash; everything else works on whole blocks.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from controlplane.ingest.reasons import Reason
from controlplane.ingest.schema import MAX_RECORD_BYTES

KEPT_OF_OVERSIZED = 4096


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that never reaches the database's JSON reader; `raw` is the (unmasked, perhaps cut) text."""

    line: int
    reason: Reason
    raw: str
    raw_hash: int
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """A block cut into lines. Line i is `block[offsets[i]:offsets[i + 1]]`, its line end included, and has number
    `first_line + i`; `keep` lists the indices that are candidate records, `hashes` are theirs, in the same order."""

    offsets: npt.NDArray[np.int32]
    keep: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    rejects: tuple[Reject, ...]
    count: int


def fingerprint(raw: bytes, key: bytes) -> int:
    """64 bits of a keyed BLAKE2b of the raw bytes. Raises ValueError when the key is longer than 64 bytes."""
    return int.from_bytes(blake2b(raw, digest_size=8, key=key).digest(), "little")


def cut(block: bytes, first_line: int, key: bytes) -> Lines:
    """Cut a block (below 2 GiB) that begins at a line start. `first_line` is the number of its first line, from 1."""
    octets = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(octets == 10) + 1
    if len(block) and (len(ends) == 0 or ends[-1] != len(block)):
        ends = np.append(ends, len(block))
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    raws = block.split(b"\n")[: len(ends)]
    if b"\r" in block:
        raws = [raw.removesuffix(b"\r") for raw in raws]
    unusable = _blank(octets, offsets[:-1], raws)
    rejects = [] if block.isascii() or _is_utf8(block) else _not_utf8(raws, first_line, key)
    rejects += _oversized(np.diff(offsets), raws, first_line, key)
    unusable |= {reject.line - first_line for reject in rejects}
    keep = np.arange(len(ends), dtype=np.int64)
    if unusable:
        keep = np.delete(keep, sorted(unusable))
        raws = [raws[index] for index in keep]
    digests = b"".join([blake2b(raw, digest_size=8, key=key).digest() for raw in raws])
    return Lines(offsets, keep, np.frombuffer(digests, dtype="<u8"), tuple(rejects), len(ends))


def oversized_reject(line: int, head: bytes, raw_hash: int) -> Reject:
    """The reject of a line too long to hold in memory, from its first bytes and its fingerprint."""
    return Reject(line, Reason.OVERSIZED, head[:KEPT_OF_OVERSIZED].decode("utf-8", "replace"), raw_hash)


def _blank(octets: npt.NDArray[np.uint8], starts: npt.NDArray[np.int32], raws: list[bytes]) -> set[int]:
    """Indices of lines of nothing but white space: only lines that begin with it are looked at."""
    suspects = np.flatnonzero(octets[starts] <= 32)
    return {int(index) for index in suspects if not raws[index] or raws[index].isspace()}


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _not_utf8(raws: list[bytes], first_line: int, key: bytes) -> list[Reject]:
    return [
        Reject(
            first_line + index,
            Reason.INVALID_UTF8,
            raw[:MAX_RECORD_BYTES].decode("utf-8", "backslashreplace"),
            fingerprint(raw, key),
        )
        for index, raw in enumerate(raws)
        if not raw.isascii() and not _is_utf8(raw)
    ]


def _oversized(lengths: npt.NDArray[np.int32], raws: list[bytes], first_line: int, key: bytes) -> list[Reject]:
    return [
        oversized_reject(first_line + int(index), raws[index], fingerprint(raws[index], key))
        for index in np.flatnonzero(lengths > MAX_RECORD_BYTES)
        if len(raws[index]) > MAX_RECORD_BYTES and _is_utf8(raws[index]) and not raws[index].isspace()
    ]
