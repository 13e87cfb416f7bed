"""Cutting blocks into lines: nothing lost, numbers right, fingerprints of the raw bytes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.ingest.lines import cut, fingerprint
from controlplane.ingest.reasons import Reason
from controlplane.ingest.schema import MAX_RECORD_BYTES

KEY = b"key"
LINES = st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"").replace(b"\r", b"")), max_size=8)


def kept(block, lines):
    """The raw text of each kept line, as the offsets say."""
    return [bytes(block[lines.offsets[i] : lines.offsets[i + 1]]).rstrip(b"\r\n") for i in lines.keep]


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.integers(1, 1000))
@settings(max_examples=200, deadline=None)
def test_every_line_is_kept_rejected_or_blank(raws, line_end, ends_torn, first):
    block = line_end.join(raws) + (b"" if ends_torn else line_end)
    lines = cut(block, first, KEY)
    expected = block.split(b"\n")
    expected = expected[:-1] if expected[-1] == b"" else expected
    assert lines.count == len(expected)
    good = [raw.removesuffix(b"\r") for raw in expected if raw.strip() and _is_text(raw)]
    bad = [number for number, raw in enumerate(expected, first) if raw.strip() and not _is_text(raw)]
    assert kept(block, lines) == good
    assert list(lines.hashes) == [fingerprint(raw, KEY) for raw in good]
    assert [reject.line for reject in lines.rejects] == bad
    assert {reject.reason for reject in lines.rejects} <= {Reason.INVALID_UTF8}


def _is_text(raw):
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_an_empty_block_has_no_lines():
    assert cut(b"", 1, KEY).count == 0


def test_line_numbers_count_blank_lines():
    lines = cut(b'{"a":1}\n\n  \n{"b":2}\n', 10, KEY)
    assert list(lines.keep + 10) == [10, 13]


def test_a_large_record_is_rejected_with_its_beginning():
    fits = b"x" * MAX_RECORD_BYTES
    lines = cut(fits + b"\n" + fits + b"x\n", 1, KEY)
    assert list(lines.keep) == [0]
    (reject,) = lines.rejects
    assert (reject.line, reject.reason, len(reject.raw)) == (2, Reason.OVERSIZED, 4096)
    assert reject.raw_hash == fingerprint(fits + b"x", KEY)


def test_a_rejected_line_shows_its_bytes():
    (reject,) = cut(b'{"a":"\xff"}\n', 1, KEY).rejects
    assert reject.raw == '{"a":"\\xff"}'


def test_the_key_changes_the_fingerprint_and_line_ends_do_not():
    assert fingerprint(b"a", b"1") != fingerprint(b"a", b"2")
    assert list(cut(b"a\r\nb\n", 1, KEY).hashes) == list(cut(b"a\nb", 1, KEY).hashes)
