"""Copies between files of this machine: the same bytes, the same holes, durable, whatever the volume held before."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.datapath import local_copy
from ansible_collections.vmshift.mtv.controlplane.datapath.transfer import Totals

BLOCK = 64 << 10


def disk(path: Path, blocks: list[bytes | None], tail: bytes = b"") -> Path:
    """A file of blocks, each full of one byte or a hole."""
    with path.open("wb") as file:
        for number, content in enumerate(blocks):
            if content:
                file.seek(number * BLOCK)
                file.write(content * BLOCK)
        file.truncate(len(blocks) * BLOCK)
        file.seek(0, os.SEEK_END)
        file.write(tail)
    return path


BLOCKS = st.lists(st.sampled_from([None, None, b"a", b"b", b"\0"]), max_size=6)


@pytest.mark.parametrize("by_kernel", [True, False])
@given(blocks=BLOCKS, tail=st.sampled_from([b"", b"tail"]), before=BLOCKS, more=st.integers(0, 3))
def test_a_volume_holds_the_disk_and_then_zeros(
    tmp_path_factory: Any, by_kernel: bool, blocks: list[bytes | None], tail: bytes, before: list[bytes | None], more: int
) -> None:
    folder = tmp_path_factory.mktemp("copy")
    source = disk(folder / "source", blocks, tail)
    room = (len(blocks) + 1 + more) * BLOCK
    volume = disk(folder / "volume", before)
    os.truncate(volume, room)
    told: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        if not by_kernel:
            patch.setattr(os, "copy_file_range", refused)
        totals = local_copy.copy(source, volume, lambda totals: told.append((totals.done, totals.wanted)))
    content = source.read_bytes()
    assert volume.read_bytes() == content + bytes(room - len(content))
    assert totals.done == totals.wanted
    assert told[0][0] == 0
    assert told[-1] == (totals.wanted, totals.wanted)
    assert [done for done, _wanted in told] == sorted(done for done, _wanted in told)


def refused(*_unused: Any) -> int:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_holes_stay_holes(tmp_path: Path) -> None:
    source = disk(tmp_path / "source", [b"a", *[None] * 200, b"b"])
    volume = disk(tmp_path / "volume", [b"x"] * 202)
    totals = local_copy.copy(source, volume, lambda _totals: None)
    assert volume.read_bytes() == source.read_bytes()
    assert totals.wanted <= 4 * BLOCK
    assert volume.stat().st_blocks * 512 <= 8 * BLOCK


def test_a_disk_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    source, volume = disk(tmp_path / "source", [b"a", b"b"]), disk(tmp_path / "volume", [b"x"])
    with pytest.raises(local_copy.TooLarge, match="131072 bytes, and its volume only 65536"):
        local_copy.copy(source, volume, lambda _totals: None)
    assert volume.read_bytes() == b"x" * BLOCK


def test_a_disk_that_becomes_shorter_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, volume = disk(tmp_path / "source", [b"a", b"b"]), disk(tmp_path / "volume", [b"x", b"x"])
    monkeypatch.setattr(os, "copy_file_range", lambda *_unused: 0)
    with pytest.raises(OSError, match="shorter"):
        local_copy.copy(source, volume, lambda _totals: None)


def test_the_copy_is_durable_before_it_counts_as_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    source, volume = disk(tmp_path / "source", [b"a"]), disk(tmp_path / "volume", [None])
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (order.append("sync"), sync(file)))

    def tell(totals: Totals) -> None:
        order.append("all copied" if totals.done == totals.wanted else "told")

    local_copy.copy(source, volume, tell)
    assert order == ["told", "all copied", "sync"]
