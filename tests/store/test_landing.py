"""The landing folder: durable, masked, one writer a segment; ingest reads on from where it was."""

import json
from datetime import UTC, datetime

import pytest

from controlplane.store.facts import IngestCounts, ingest_landing
from controlplane.store.landing import LandingError, LandingWriter, iso, masked, segments
from controlplane.store.warehouse import Warehouse
from tests.store.facts_world import KEY, NOW, dumps, feedback, interaction, naive, one, rows


def take_in(warehouse, folder, **options):
    return ingest_landing(warehouse, folder, now=NOW, key=KEY, **options)


@pytest.fixture
def warehouse(tmp_path):
    with Warehouse.open(tmp_path / "w.duckdb") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "landing"


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_records_are_written_masked_and_ids_are_not(folder):
    record = interaction(
        1,
        "4111111111111111",
        question="mail a@b.co",
        sources=["kb", "a@b.co"],
        extra={"password": "x1"},
        latency_ms=4111111111111111,
    )
    with LandingWriter(folder, "phone") as writer:
        assert writer.write([record, feedback(1, comment="call +44 20 7946 0958")]) == 2
        assert writer.write([]) == 0
    first, second = read(folder / "phone" / "00000001.jsonl")
    assert first == {
        **record,
        "question": "mail [email]",
        "sources": ["kb", "[email]"],
        "extra": {"password": "[secret]"},
    }
    assert second["comment"] == "call [phone]"


def test_masking_can_be_replaced(folder):
    with LandingWriter(folder, "phone", mask=lambda text: "gone") as writer:
        writer.write([interaction(1, question="anything")])
    assert read(folder / "phone" / "00000001.jsonl")[0]["question"] == "gone"
    assert masked({"question": None, "turn": 1}) == {"question": None, "turn": 1}


def test_each_start_and_each_full_segment_opens_a_new_file(folder):
    with LandingWriter(folder, "phone", segment_bytes=200) as writer:
        for number in range(4):
            writer.write([interaction(number)])
    with (
        LandingWriter(folder, "phone") as writer,
        LandingWriter(folder, "phone") as second,
        LandingWriter(folder, "web"),
    ):
        writer.write([interaction(9)])
        second.write([interaction(8)])
        found = segments(folder)
    assert [(each.key, each.newest, each.alive) for each in found] == [
        ("landing/phone/00000001.jsonl", False, False),
        ("landing/phone/00000002.jsonl", False, False),
        ("landing/phone/00000003.jsonl", False, False),
        ("landing/phone/00000004.jsonl", False, True),
        ("landing/phone/00000005.jsonl", True, True),
        ("landing/web/00000001.jsonl", True, True),
    ]


def test_what_is_not_json_is_refused_before_anything_is_written(folder):
    with LandingWriter(folder, "phone") as writer:
        with pytest.raises(ValueError, match="not JSON compliant"):
            writer.write([interaction(1), interaction(2, latency_ms=float("nan"))])
        assert (folder / "phone" / "00000001.jsonl").read_bytes() == b""
        writer.write([interaction(3, question="lone \ud800 surrogate")])
    assert read(folder / "phone" / "00000001.jsonl")[0]["question"] == "lone ? surrogate"


def test_a_failed_write_is_cut_off_again(folder, monkeypatch):
    import os

    with LandingWriter(folder, "phone") as writer:
        writer.write([interaction(1)])
        size = (folder / "phone" / "00000001.jsonl").stat().st_size

        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            writer.write([interaction(2)])
        assert (folder / "phone" / "00000001.jsonl").stat().st_size == size
        monkeypatch.undo()
        writer.write([interaction(3)])
    assert [record["interaction_id"] for record in read(folder / "phone" / "00000001.jsonl")] == ["i1", "i3"]


def test_unfit_names_places_and_closed_writers_are_refused(folder, tmp_path):
    with pytest.raises(LandingError, match="unfit"):
        LandingWriter(folder, "../elsewhere")
    (tmp_path / "file").touch()
    with pytest.raises(LandingError, match="can't write to"):
        LandingWriter(tmp_path / "file", "phone")
    with pytest.raises(LandingError, match="no landing folder at"):
        segments(tmp_path / "nowhere")
    writer = LandingWriter(folder, "phone")
    writer.close()
    writer.close()
    with pytest.raises(LandingError, match="closed"):
        writer.write([interaction(1)])


def test_times_are_written_in_utc():
    assert iso(datetime(2026, 1, 1, 12, tzinfo=UTC)) == "2026-01-01T12:00:00Z"
    with pytest.raises(ValueError, match="no time zone"):
        iso(NOW.replace(tzinfo=None))


def test_ingest_reads_only_what_is_new(folder, warehouse):
    with LandingWriter(folder, "phone") as writer:
        writer.write([interaction(1, minutes=3)])
        first = take_in(warehouse, folder)
        assert first.counts == IngestCounts(1, 1, 0, 0)
        assert first.touched == (naive(3), naive(3))
        assert take_in(warehouse, folder) == type(first)(IngestCounts(), 0, None)
        writer.write([interaction(2, minutes=4), interaction(1, minutes=3)])
        second = take_in(warehouse, folder)
    assert second.counts == IngestCounts(2, 1, 1, 0)
    assert (second.slices, second.touched) == (1, (naive(3), naive(4)))
    assert rows(warehouse, "SELECT from_offset, stored FROM batches ORDER BY batch_id") == [
        (0, 1),
        (first_size(folder), 1),
    ]
    assert rows(warehouse, "SELECT line FROM interactions ORDER BY line") == [(1,), (2,)]


def first_size(folder):
    line, *_ = (folder / "phone" / "00000001.jsonl").read_bytes().splitlines(keepends=True)
    return len(line)


def test_heartbeats_move_the_watermark_and_are_not_counted(folder, warehouse):
    with LandingWriter(folder, "phone") as writer:
        writer.write([interaction(1, minutes=3)])
        writer.heartbeat(NOW)
        assert take_in(warehouse, folder).counts == IngestCounts(1, 1, 0, 0)
        assert one(warehouse, "SELECT * FROM sources") == {
            "source": "phone",
            "live": True,
            "last_ts": NOW.replace(tzinfo=None),
            "last_seen": NOW.replace(tzinfo=None),
        }
        writer.write([interaction(2, minutes=5), {"record": "heartbeat", "ts": "never", "source": "phone"}])
        assert take_in(warehouse, folder).counts == IngestCounts(2, 1, 0, 1)
    assert one(warehouse, "SELECT last_ts FROM sources")["last_ts"] == NOW.replace(tzinfo=None)
    assert rows(warehouse, "SELECT reason, record FROM quarantine") == [("wrong_type", "heartbeat")]


def test_a_half_written_line_waits_for_its_writer(folder, warehouse):
    (folder / "phone").mkdir(parents=True)
    path = folder / "phone" / "00000001.jsonl"
    whole = dumps(interaction(2)) + b"\n"
    path.write_bytes(dumps(interaction(1)) + b"\n" + whole[:40])
    assert take_in(warehouse, folder).counts == IngestCounts(1, 1, 0, 0)
    assert take_in(warehouse, folder).slices == 0
    with path.open("ab") as file:
        file.write(whole[40:])
    assert take_in(warehouse, folder).counts == IngestCounts(1, 1, 0, 0)


def test_a_torn_tail_is_judged_when_nobody_can_finish_it(folder, warehouse):
    (folder / "phone").mkdir(parents=True)
    path = folder / "phone" / "00000001.jsonl"
    path.write_bytes(dumps(interaction(1)) + b"\n" + dumps(interaction(2))[:40])
    assert take_in(warehouse, folder).counts == IngestCounts(1, 1, 0, 0)
    assert take_in(warehouse, folder, sealed=True).counts == IngestCounts(1, 0, 0, 1)
    assert rows(warehouse, "SELECT line, reason FROM quarantine") == [(2, "torn_line")]
    assert rows(warehouse, "SELECT done FROM files") == [(True,)]
    assert take_in(warehouse, folder, sealed=True).slices == 0


def test_a_segment_whose_writer_lives_is_never_sealed(folder, warehouse):
    with LandingWriter(folder, "phone") as writer:
        writer.write([interaction(1)])
        path = folder / "phone" / "00000001.jsonl"
        with path.open("ab") as file:
            file.write(b'{"half')
        with LandingWriter(folder, "phone"):
            assert take_in(warehouse, folder, sealed=True).counts == IngestCounts(1, 1, 0, 0)
    assert rows(warehouse, "SELECT count(*) FROM quarantine") == [(0,)]


def test_the_newest_segment_without_a_line_end_may_still_be_copied(folder, warehouse):
    (folder / "drop").mkdir(parents=True)
    (folder / "drop" / "00000001.jsonl").write_bytes(dumps(interaction(1)))
    assert take_in(warehouse, folder).slices == 0
    assert take_in(warehouse, folder, sealed=True).counts == IngestCounts(1, 1, 0, 0)
