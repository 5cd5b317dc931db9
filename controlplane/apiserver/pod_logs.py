"""pods/log: the log file of a container, its end, or what is added to it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from aiohttp import web

from ansible_collections.vmshift.mtv.controlplane.apiserver.incoming import Warnings, flag
from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import bad_request

Object = dict[str, Any]
PodLog = Callable[[Object, "str | None"], "Path | None"]

POLL_SECONDS = 0.25
_BLOCK = 64 * 1024
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Wanted:
    """The parameters of a log request."""

    follow: bool
    tail_lines: int | None
    limit_bytes: int | None
    since_seconds: int | None

    @classmethod
    def of(cls, request: web.Request, warnings: Warnings) -> Wanted:
        if flag(request, "timestamps") or "sinceTime" in request.query:
            warnings.add("this control plane keeps no times of log lines: timestamps and sinceTime have no effect")
        return cls(flag(request, "follow"), *(_number(request, name) for name in ("tailLines", "limitBytes", "sinceSeconds")))


def container_of(pod: Object, asked: str | None) -> str:
    """The container that a log request is about. Raises ApiError 400."""
    spec, name = pod.get("spec", {}), pod["metadata"]["name"]
    names = [container["name"] for half in ("initContainers", "containers") for container in spec.get(half) or ()]
    if asked and asked not in names:
        raise bad_request(f"container {asked} is not valid for pod {name}")
    if asked:
        return asked
    mains = [container["name"] for container in spec.get("containers") or ()]
    if len(mains) != 1:
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]")
    return mains[0]


async def serve(
    request: web.Request, pod: Object, container: str, wanted: Wanted, path: Path | None, current: Callable[[], Object | None], warning: str
) -> web.StreamResponse:
    """Stream the log. `current` gives the pod as it is now: following ends with it."""
    if path is None or not path.exists():
        if not wanted.follow and pod.get("status", {}).get("phase") not in _ENDED:
            raise bad_request(f'container "{container}" in pod "{pod["metadata"]["name"]}" is waiting to start: {_waiting(pod, container)}')
        path = None
    response = web.StreamResponse(headers={"Content-Type": "text/plain", **({"Warning": warning} if warning else {})})
    await response.prepare(request)
    left = wanted.limit_bytes
    if path:
        async for block in _content(path, wanted, lambda: _ended(current())):
            block = block if left is None else block[:left]
            await response.write(block)
            if left is not None:
                left -= len(block)
                if left <= 0:
                    break
    await response.write_eof()
    return response


async def _content(path: Path, wanted: Wanted, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        # Lines carry no times, so "since" can only tell whether anything was written since then at all.
        old = wanted.since_seconds is not None and time.time() - os.fstat(file.fileno()).st_mtime > wanted.since_seconds
        file.seek(0, os.SEEK_END) if old else file.seek(_start(file, wanted.tail_lines))
        last = not wanted.follow
        while True:
            for block in _blocks(file):
                yield block
            if last:
                return
            last = ended()  # what is written before the end is read once more after it
            if not last:
                await asyncio.sleep(POLL_SECONDS)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _start(file: BinaryIO, lines: int | None) -> int:
    """Where the last `lines` lines begin."""
    if lines is None:
        return 0
    end = at = file.seek(0, os.SEEK_END)
    if lines == 0:
        return end
    wanted = lines
    while at > 0:
        size = min(_BLOCK, at)
        at -= size
        file.seek(at)
        block = file.read(size)
        search = len(block) - 1 if at + size == end else len(block)  # the newline at the very end ends the last line
        while (search := block.rfind(b"\n", 0, search)) >= 0:
            wanted -= 1
            if wanted == 0:
                return at + search + 1
    return 0


def _ended(pod: Object | None) -> bool:
    return pod is None or pod.get("status", {}).get("phase") in _ENDED


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isdigit():
        raise bad_request(f'{name}: Invalid value: "{text}": must be a number, 0 or greater')
    return int(text)


def _waiting(pod: Object, container: str) -> str:
    """In the words of a kubelet."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    waits = [status["state"]["waiting"] for status in statuses if status["name"] == container and status.get("state", {}).get("waiting")]
    reason = waits[0].get("reason", "") if waits else ""
    return "trying and failing to pull image" if reason == "ErrImagePull" else reason or "ContainerCreating"
