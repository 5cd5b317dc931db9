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


def test_same_looks_at_all_bytes():
    one, other = memoryview(bytearray(GARBAGE)), memoryview(bytearray(GARBAGE))
    assert volumes.same(one, other)
    assert not volumes.same(one, other[:-1])
    assert volumes.same(one[MIB:], other[MIB:])
    other[-1] ^= 1
    assert not volumes.same(one, other)


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
