"""Parts of files that become disks: bytes, holes, and what of it is still in memory."""

from __future__ import annotations

import errno
import os
import random

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import volume as volumes

MIB = 1 << 20
SIZE = 4 * MIB
GARBAGE = random.Random(2).randbytes(SIZE)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "volume"
    path.write_bytes(GARBAGE)
    return path


@pytest.fixture
def file(path):
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def mixed(size):
    """Bytes, a hole in their midst, and an end that is no multiple of anything."""
    data = bytearray(random.Random(3).randbytes(size))
    data[size // 3 : size // 3 + MIB] = bytes(MIB)
    return bytes(data)


@pytest.mark.parametrize("offset", [0, 512, 4095])
@pytest.mark.parametrize("size", [2 * MIB, 2 * MIB - 7])
def test_what_is_written_is_there_and_nothing_else_changes(file, path, offset, size):
    data, back = mixed(size), memoryview(bytearray(size))
    volumes.write(file, offset, memoryview(data))
    volumes.start_writing(file, offset, size)
    assert volumes.read(file, offset, back)
    assert bytes(back) == data
    volumes.finish_writing(file, offset, size)
    assert path.read_bytes() == GARBAGE[:offset] + data + GARBAGE[offset + size :]


def test_zeros_take_no_room(file, path):
    volumes.write(file, 0, memoryview(mixed(SIZE)))
    volumes.write(file, 3 * MIB, memoryview(bytes(MIB)))
    assert path.stat().st_blocks * 512 <= 2 * MIB + 2 * volumes.GRAIN


def test_zeros_replace_what_was_there_also_where_files_have_no_holes(file, path, monkeypatch):
    monkeypatch.setattr(volumes, "_PUNCH", 0x7F)  # nothing that a file system knows
    volumes.write(file, 512, memoryview(bytes(MIB + 3)))
    assert path.read_bytes() == GARBAGE[:512] + bytes(MIB + 3) + GARBAGE[512 + MIB + 3 :]


def test_reading_beyond_the_end_is_told(file):
    assert not volumes.read(file, 3 * MIB, memoryview(bytearray(2 * MIB)))
    assert not volumes.read(file, 2 * SIZE, memoryview(bytearray(MIB)))


def test_pieces_are_in_the_file_and_what_came_before_is_on_the_disk(file, path, monkeypatch):
    calls = []
    for name in ("start_writing", "finish_writing"):
        real = getattr(volumes, name)
        monkeypatch.setattr(volumes, name, lambda *what, name=name, real=real: (calls.append((name, *what[1:])), real(*what)))
    writer, data = volumes.Writer(file, MIB), bytearray(mixed(3 * MIB - 5))
    for offset in (0, MIB, 2 * MIB):
        writer.put(offset, memoryview(data)[offset : offset + MIB])
    assert path.read_bytes() == bytes(data) + GARBAGE[len(data) :]
    assert calls == [
        ("start_writing", 0, MIB),
        ("finish_writing", 0, MIB),
        ("start_writing", MIB, MIB),
        ("finish_writing", MIB, MIB),
        ("start_writing", 2 * MIB, MIB - 5),
    ]


@pytest.mark.parametrize("place", [0, 700_001, MIB - 1])
def test_one_bit_that_is_not_as_written_is_found(file, monkeypatch, place):
    real = volumes.write

    def write(descriptor, offset, data):
        real(descriptor, offset, data)
        os.pwrite(descriptor, bytes([data[place] ^ 1]), offset + place)

    monkeypatch.setattr(volumes, "write", write)
    with pytest.raises(volumes.Damaged, match=f"at byte {2 * MIB}"):
        volumes.Writer(file, MIB).put(2 * MIB, memoryview(bytearray(GARBAGE[:MIB])))


def test_a_file_that_ends_before_the_piece_does_is_found(file, monkeypatch):
    monkeypatch.setattr(volumes, "write", lambda *_unused: None)
    with pytest.raises(volumes.Damaged):
        volumes.Writer(file, MIB).put(SIZE, memoryview(bytearray(GARBAGE[:MIB])))


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_what_could_not_be_written_is_told(file, monkeypatch, code):
    class Broken:
        def sync_file_range(self, *_unused):
            volumes.ctypes.set_errno(code)
            return -1

    monkeypatch.setattr(volumes, "_libc", Broken())
    with pytest.raises(OSError, match=os.strerror(code)) as raised:
        volumes.finish_writing(file, 0, MIB)
    assert raised.value.errno == code


def test_a_file_system_that_cannot_wait_for_a_part_is_none_that_lost_it(file, monkeypatch):
    class Plain:
        def sync_file_range(self, *_unused):
            volumes.ctypes.set_errno(errno.ENOSYS)
            return -1

    monkeypatch.setattr(volumes, "_libc", Plain())
    volumes.finish_writing(file, 0, MIB)
