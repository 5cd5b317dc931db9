"""The conformance probe that a real kube-apiserver passes, run against this server. Skipped where the probe is not at hand."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest


def probe() -> Path | None:
    places = [Path(os.environ["KUBE_API_PROBE"])] if "KUBE_API_PROBE" in os.environ else []
    places += [parent / "shared/conformance/kube_api_probe.py" for parent in Path(__file__).parents]
    return next((place for place in places if place.exists()), None)


@pytest.mark.skipif(probe() is None, reason="kube_api_probe.py is not at hand (KUBE_API_PROBE)")
async def test_every_check_of_the_probe_says_yes(client: Any, served: Any) -> None:
    certificate = str(served.state.pki / "ca.crt")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(probe()),
        client.url,
        "--ca",
        certificate,
        "--token",
        client.token,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _unused = await asyncio.wait_for(process.communicate(), 180)
    lines = output.decode().splitlines()
    assert not [line for line in lines if line.startswith("NO")]
    assert process.returncode == 0, lines[-5:]
