"""Work that ends when a disk is full, and only then."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ansible_collections.vmshift.mtv.controlplane.datapath import space

HERE, THERE = Path("/here"), Path("/there")


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> dict[Path, list[int]]:
    """Per folder the bytes free at each look; the last figure stays."""
    figures = {HERE: [1 << 30], THERE: [1 << 30]}
    monkeypatch.setattr(space, "free", lambda folder: figures[folder].pop(0) if len(figures[folder]) > 1 else figures[folder][0])
    monkeypatch.setattr(space, "CHECK_EVERY", 0.01)
    return figures


async def test_work_that_ends_gives_its_result_or_its_error(rooms: dict[Path, list[int]]) -> None:
    assert await space.unless_full(asyncio.sleep(0.1, "done"), [HERE, THERE]) == "done"

    async def fails() -> None:
        raise LookupError("no root device")

    with pytest.raises(LookupError, match="no root device"):
        await space.unless_full(fails(), [HERE])


async def test_a_moment_without_room_does_no_harm(rooms: dict[Path, list[int]]) -> None:
    rooms[HERE] = [0, 1 << 30, 0, 1 << 30]
    assert await space.unless_full(asyncio.sleep(0.2, "done"), [HERE, THERE]) == "done"
    assert len(rooms[HERE]) == 1


async def test_work_on_a_full_disk_is_ended_and_the_folder_named(rooms: dict[Path, list[int]]) -> None:
    rooms[THERE] = [1 << 30, 4096]
    ended = asyncio.Event()

    async def paused() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(space.DiskFull, match="^no space left in /there: 4096 bytes are free; make room"):
        await space.unless_full(paused(), [HERE, THERE])
    assert ended.is_set()


async def test_whoever_cancels_takes_the_work_along(rooms: dict[Path, list[int]]) -> None:
    inner: list[asyncio.Task[None] | None] = []

    async def work() -> None:
        inner.append(asyncio.current_task())
        await asyncio.sleep(60)

    outer = asyncio.create_task(space.unless_full(work(), [HERE]))
    await asyncio.sleep(0.05)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert inner[0] is not None and inner[0].cancelled()


def test_a_real_folder_has_room(tmp_path: Path) -> None:
    assert space.free(tmp_path) > space.FULL


async def test_work_that_fails_on_a_full_disk_is_told_with_the_disk_and_the_bytes(rooms: dict[Path, list[int]], tmp_path: Path) -> None:
    whole, partly = tmp_path / "a.img", tmp_path / "b.img"
    whole.write_bytes(b"x" * 8192)
    with partly.open("wb") as file:
        file.truncate(1 << 20)
    rooms[tmp_path] = [1 << 30, 512]

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("qemu-img: something unclear")

    with pytest.raises(space.DiskFull) as told:
        await space.unless_full(fails(), [HERE, tmp_path], [whole, partly])
    assert str(told.value) == (
        f"no space left in {tmp_path}: disk 1 needs 1048576 more bytes, 512 bytes are free; make room and run the migration again"
    )


async def test_a_tool_that_says_so_is_believed(rooms: dict[Path, list[int]]) -> None:
    async def fails() -> None:
        raise LookupError("nbdcopy: write error: No space left on device")

    with pytest.raises(space.DiskFull, match="^no space left in /here: "):
        await space.unless_full(fails(), [HERE])
