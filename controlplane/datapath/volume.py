"""Files that become disks: how zeros become holes in them, and how bytes get to the storage without filling the memory of the machine."""

from __future__ import annotations

import ctypes
import errno
import os

GRAIN = 64 << 10  # bytes; a run of zeros of this size becomes a hole
_ZEROS = bytes(GRAIN)
_START_WRITING = 2  # SYNC_FILE_RANGE_WRITE
_FINISH_WRITING = 1 | 2 | 4  # and _WAIT_BEFORE, _WAIT_AFTER
_PUNCH = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class Damaged(Exception):
    """The volume does not hold what was written into it."""


class Writer:
    """Puts pieces, of `largest` bytes at most, into a file, one after the other. While one is on its way to the disk the next may come."""

    def __init__(self, file: int, largest: int) -> None:
        self._file = file
        self._found = memoryview(bytearray(largest))
        self._behind: tuple[int, int] | None = None

    def put(self, offset: int, piece: memoryview) -> None:
        """Write a piece, and compare it with what the file holds then. Raises Damaged, OSError."""
        if self._behind:
            finish_writing(self._file, *self._behind)
        write(self._file, offset, piece)
        start_writing(self._file, offset, len(piece))
        self._behind = offset, len(piece)
        found = self._found[: len(piece)]
        if not (read(self._file, offset, found) and _same(piece, found)):
            raise Damaged(f"the volume does not hold what was written into it at byte {offset}")


def read(file: int, offset: int, data: memoryview) -> bool:
    """Fill `data` from `offset` of a file. False where the file ends before."""
    filled = 0
    while filled < len(data):
        count = os.preadv(file, [data[filled:]], offset + filled)
        if not count:
            return False
        filled += count
    return True


def write(file: int, offset: int, data: memoryview) -> None:
    """Write `data` at `offset` of a file, long runs of zeros as holes."""
    start = 0
    while start < len(data):
        zero = _is_zero(data[start : start + GRAIN])
        end = start + GRAIN
        while end < len(data) and _is_zero(data[end : end + GRAIN]) == zero:
            end += GRAIN
        end = min(end, len(data))
        if zero:
            clear(file, offset + start, end - start)
        else:
            _write_all(file, offset + start, data[start:end])
        start = end


def clear(file: int, offset: int, length: int) -> None:
    """Make zeros of a part of a file; a hole, where the file system has those."""
    if _libc.fallocate(file, _PUNCH, ctypes.c_int64(offset), ctypes.c_int64(length)) == 0:
        return
    code = ctypes.get_errno()
    if code not in _CANNOT:
        raise OSError(code, os.strerror(code))
    end = offset + length
    while offset < end:
        count = min(GRAIN, end - offset)
        if os.pread(file, count, offset) != _ZEROS[:count]:  # a file that has holes there keeps them
            _write_all(file, offset, memoryview(_ZEROS)[:count])
        offset += count


def start_writing(file: int, offset: int, length: int) -> None:
    """Let a part of a file be on its way to the disk: else all of a copy would still have to be written at its end.

    Where the kernel cannot, it will be.
    """
    _libc.sync_file_range(file, ctypes.c_int64(offset), ctypes.c_int64(length), _START_WRITING)


def finish_writing(file: int, offset: int, length: int) -> None:
    """Wait until a part of a file is on the disk, and give its memory back: a copy of a large disk would take all there is, and
    what is given back is taken again for the next part, which is much cheaper than memory that was not in use.

    Not in place of fsync. Raises OSError for what could not be written.
    """
    if _libc.sync_file_range(file, ctypes.c_int64(offset), ctypes.c_int64(length), _FINISH_WRITING):
        code = ctypes.get_errno()
        if code not in _CANNOT:
            raise OSError(code, os.strerror(code))
    os.posix_fadvise(file, offset, length, os.POSIX_FADV_DONTNEED)


def _same(one: memoryview, other: memoryview) -> bool:
    """As ==, which looks at one byte after the other."""
    return _libc.memcmp(_address(one), _address(other), ctypes.c_size_t(len(one))) == 0


def _is_zero(data: memoryview) -> bool:
    return data[0] == 0 and data.tobytes() == _ZEROS[: len(data)]


def _write_all(file: int, offset: int, data: memoryview) -> None:
    while data:
        count = os.pwrite(file, data, offset)
        data, offset = data[count:], offset + count


def _address(data: memoryview) -> ctypes.c_void_p:
    return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(data)))


_libc = ctypes.CDLL(None, use_errno=True)
