"""Copies in pieces, over a source of plain bytes: complete, sparse, and going on from where they had come."""

from __future__ import annotations

import errno
import os
import random
import threading

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import transfer
from ansible_collections.vmshift.mtv.controlplane.datapath import volume as volumes
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import Journal, SourceGone, Transfer, pieces
from ansible_collections.vmshift.mtv.controlplane.datapath.volume import Damaged

MIB = 1 << 20
SIZE = 24 * MIB + 512


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 0.001)


@pytest.fixture
def content():
    """A disk: bytes, a hole of some MiB, bytes, an end that is no multiple of anything."""
    bytes_of = random.Random(1).randbytes
    return bytes_of(5 * MIB) + bytes(13 * MIB) + bytes_of(6 * MIB) + bytes_of(512)


class Source:
    """`breaks`: after so many bytes each connection breaks off; `gone_after`: after so many bytes in all nobody answers."""

    def __init__(self, content, breaks=None, gone_after=None):
        self.content, self.breaks, self.gone_after = content, breaks, gone_after
        self.read_from, self.served, self.connections = set(), 0, 0
        self.lock = threading.Lock()

    def connect(self):
        with self.lock:
            self.connections += 1
            if self.gone_after is not None and self.served >= self.gone_after:
                raise SourceGone("nobody answers")
        return Connection(self)


class Connection:
    def __init__(self, source):
        self.source, self.left = source, source.breaks

    def read(self, offset, buffer):
        source = self.source
        with source.lock:
            if source.gone_after is not None and source.served >= source.gone_after:
                raise SourceGone("nobody answers")
            if self.left is not None:
                self.left -= len(buffer)
                if self.left < 0:
                    raise SourceGone("broke off")
            source.served += len(buffer)
            source.read_from.add(offset)
        buffer[:] = source.content[offset : offset + len(buffer)]

    def close(self):
        pass


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / "volume"
    path.touch()
    os.truncate(path, 25 * MIB)
    return path


def copied(source, volume, *, about="it", ranges=((0, SIZE),), told=None):
    journal = Journal(volume.with_name("journal"), about)
    journal.begin()
    try:
        seen = (lambda totals: told.append(totals.done)) if told is not None else (lambda _totals: None)
        return Transfer(source.connect, volume, journal, seen).copy(list(pieces(ranges, SIZE)))
    finally:
        journal.close()


def test_pieces_are_cut_at_the_same_places_whatever_was_asked_for():
    piece = transfer.PIECE
    assert list(pieces([(0, 2 * piece + 5)], 10 * piece)) == [(0, piece), (piece, piece), (2 * piece, 5)]
    assert list(pieces([(piece - 3, 6), (9 * piece, 5 * piece)], 10 * piece)) == [(piece - 3, 3), (piece, 3), (9 * piece, piece)]
    assert list(pieces([(10 * piece, 1)], 10 * piece)) == []


def test_a_disk_arrives_whole_and_its_hole_takes_no_room(content, volume):
    told = []
    totals = copied(Source(content), volume, told=told)
    assert volume.read_bytes() == content + bytes(25 * MIB - SIZE)
    assert (totals.wanted, totals.read, totals.kept) == (SIZE, SIZE, 0)
    assert volume.stat().st_blocks * 512 <= 12 * MIB
    assert told == sorted(told)
    assert told[-1] == SIZE


def test_pieces_are_on_the_disk_while_others_are_read(content, volume, monkeypatch):
    """All but the last ones of each thread, and their memory is given back then."""
    begun, ended = [], []
    start, finish = volumes.start_writing, volumes.finish_writing

    def start_writing(descriptor, offset, length):
        assert os.pread(descriptor, length, offset) == content[offset : offset + length]
        begun.append((offset, length))
        start(descriptor, offset, length)

    def finish_writing(descriptor, offset, length):
        assert (offset, length) in begun
        finish(descriptor, offset, length)
        ended.append((offset, length))

    monkeypatch.setattr(volumes, "start_writing", start_writing)
    monkeypatch.setattr(volumes, "finish_writing", finish_writing)
    copied(Source(content), volume)
    assert sorted(begun) == list(pieces([(0, SIZE)], SIZE))
    assert len(ended) >= len(begun) - transfer.THREADS


def test_a_disk_that_cannot_be_written_to_is_told(content, volume, monkeypatch):
    def finish_writing(_descriptor, _offset, _length):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(volumes, "finish_writing", finish_writing)
    with pytest.raises(OSError, match="Input/output error"):
        copied(Source(content), volume)


def test_zeros_replace_what_was_there(content, volume):
    volume.write_bytes(random.Random(2).randbytes(25 * MIB))
    copied(Source(content), volume, ranges=[(0, 18 * MIB)])
    assert volume.read_bytes()[: 18 * MIB] == content[: 18 * MIB]
    assert volume.stat().st_blocks * 512 <= 13 * MIB


def test_nothing_but_the_ranges_is_read_or_written(content, volume):
    before = volume.read_bytes()
    source = Source(content)
    copied(source, volume, ranges=[(64 << 10, 64 << 10), (20 * MIB, 128 << 10)])
    assert source.read_from == {64 << 10, 20 * MIB}
    expected = bytearray(before)
    for start, length in ((64 << 10, 64 << 10), (20 * MIB, 128 << 10)):
        expected[start : start + length] = content[start : start + length]
    assert volume.read_bytes() == bytes(expected)


def test_a_connection_that_breaks_is_opened_anew(content, volume):
    source = Source(content, breaks=5 * MIB)
    copied(source, volume)
    assert volume.read_bytes()[:SIZE] == content
    assert source.connections > 4


def test_a_source_that_stays_away_ends_the_copy(content, volume):
    source = Source(content, gone_after=8 * MIB)
    with pytest.raises(SourceGone, match="nobody answers"):
        copied(source, volume)
    assert source.connections <= transfer.THREADS * transfer.ATTEMPTS


def test_an_interrupted_copy_goes_on(content, volume):
    with pytest.raises(SourceGone):
        copied(Source(content, gone_after=12 * MIB), volume)
    source = Source(content)
    totals = copied(source, volume)
    assert volume.read_bytes()[:SIZE] == content
    assert totals.kept >= 12 * MIB
    assert source.served == totals.read == SIZE - totals.kept


def test_what_the_volume_lost_is_read_again(content, volume):
    """As after a power failure: the journal was written, the data were not."""
    copied(Source(content), volume)
    with volume.open("r+b") as file:
        file.seek(5 * MIB - 1)
        file.write(b"\x00\x01")
    source = Source(content)
    assert copied(source, volume).kept == SIZE - transfer.PIECE
    assert source.read_from == {4 * MIB}
    assert volume.read_bytes()[:SIZE] == content


def test_a_journal_about_something_else_is_none(content, volume):
    copied(Source(content), volume, about={"disk": "old"})
    other = random.Random(3).randbytes(SIZE)
    assert copied(Source(other), volume, about={"disk": "new"}).kept == 0
    assert volume.read_bytes()[:SIZE] == other


def test_a_journal_whose_last_line_was_cut_off(content, volume):
    copied(Source(content), volume)
    journal = volume.with_name("journal")
    journal.write_text(journal.read_text()[:-10])
    assert copied(Source(content), volume).read <= transfer.PIECE


def test_a_volume_that_does_not_keep_what_is_written_is_found_out(content, volume, monkeypatch):
    written = volumes.write

    def write(descriptor, offset, data):
        written(descriptor, offset, data)
        if offset == 20 * MIB:
            os.pwrite(descriptor, b"\xff\x00\xff", offset + 100)

    monkeypatch.setattr(volumes, "write", write)
    with pytest.raises(Damaged, match="at byte 20971520"):
        copied(Source(content), volume)
    assert f"{20 * MIB} " not in volume.with_name("journal").read_text()


def test_nothing_to_copy_is_complete_at_once(volume):
    assert copied(Source(b""), volume, ranges=[]).wanted == 0
