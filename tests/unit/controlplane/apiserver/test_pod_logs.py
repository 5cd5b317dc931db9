"""pods/log over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

Object = dict[str, Any]
POD = "/api/v1/namespaces/team/pods/p"


@pytest.fixture
def log(served: Any) -> Path:
    """The log file of the running pod p."""
    spec = {"containers": [{"name": "main", "image": "i"}]}
    pod = served.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "team"}, "spec": spec})
    served.api.patch("Pod", "team", "p", {"status": {"phase": "Running"}}, subresource="status")
    folder = served.state.pod(pod["metadata"]["uid"])
    folder.mkdir(parents=True)
    return folder / "main.log"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "one\ntwo\nthree\n"),
        ("?tailLines=2", "two\nthree\n"),
        ("?tailLines=0", ""),
        ("?tailLines=99", "one\ntwo\nthree\n"),
        ("?limitBytes=5", "one\nt"),
        ("?tailLines=1&limitBytes=2", "th"),
        ("?container=main&sinceSeconds=3600", "one\ntwo\nthree\n"),
    ],
)
async def test_the_log_and_parts_of_it(client: Any, log: Path, query: str, text: str) -> None:
    log.write_text("one\ntwo\nthree\n")
    assert await client.call("GET", f"{POD}/log{query}") == (200, text)
    assert client.headers["Content-Type"].startswith("text/plain")


async def test_the_end_of_a_long_log(client: Any, log: Path) -> None:
    lines = [f"line {number} {'x' * 200}\n" for number in range(5000)]
    log.write_text("".join(lines) + "unfinished")
    assert (await client.call("GET", f"{POD}/log?tailLines=1000"))[1] == "".join(lines[-999:]) + "unfinished"


async def test_nothing_was_written_lately(client: Any, log: Path) -> None:
    import os

    log.write_text("old\n")
    os.utime(log, (1, 1))
    assert await client.call("GET", f"{POD}/log?sinceSeconds=60") == (200, "")


async def test_following_ends_with_the_pod(client: Any, served: Any, log: Path) -> None:
    log.write_text("begin\n")
    following = asyncio.create_task(client.call("GET", f"{POD}/log?follow=true&tailLines=1"))
    await asyncio.sleep(0.3)
    with log.open("a") as file:
        file.write("middle\n")
    await asyncio.sleep(0.3)
    assert not following.done()
    with log.open("a") as file:
        file.write("end\n")
    served.api.patch("Pod", "team", "p", {"status": {"phase": "Succeeded"}}, subresource="status")
    assert await asyncio.wait_for(following, 5) == (200, "begin\nmiddle\nend\n")


async def test_a_pod_that_does_not_start_says_why(client: Any, served: Any, log: Path) -> None:
    for reason, said in (
        ("ErrImagePull", "trying and failing to pull image"),
        ("CreateContainerConfigError", "CreateContainerConfigError"),
    ):
        waiting = [{"name": "main", "state": {"waiting": {"reason": reason}}}]
        served.api.patch("Pod", "team", "p", {"status": {"phase": "Pending", "containerStatuses": waiting}}, subresource="status")
        _status, body = await client.call("GET", f"{POD}/log")
        assert body["message"].endswith(f"is waiting to start: {said}")


async def test_refusals_of_logs(client: Any, log: Path) -> None:
    status, body = await client.call("GET", f"{POD}/log")
    assert (status, body["message"]) == (400, 'container "main" in pod "p" is waiting to start: ContainerCreating')
    status, body = await client.call("GET", f"{POD}/log?container=x")
    assert (status, body["message"]) == (400, "container x is not valid for pod p")
    log.write_text("x")
    assert (await client.call("GET", f"{POD}/log?tailLines=-1"))[0] == 400
    assert (await client.call("GET", "/api/v1/namespaces/team/pods/none/log"))[0] == 404


async def test_an_ended_pod_without_a_log_said_nothing(client: Any, served: Any, log: Path) -> None:
    served.api.patch("Pod", "team", "p", {"status": {"phase": "Failed"}}, subresource="status")
    assert await client.call("GET", f"{POD}/log") == (200, "")


async def test_which_of_several_containers(client: Any, served: Any) -> None:
    spec = {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}
    served.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q", "namespace": "team"}, "spec": spec})
    status, body = await client.call("GET", "/api/v1/namespaces/team/pods/q/log")
    assert (status, body["message"]) == (400, "a container name must be specified for pod q, choose one of: [a b]")
