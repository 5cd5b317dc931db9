"""The page in headless Chromium: no complaint on the console, nothing wider than the window, wide and narrow, light and dark."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.report import figures, page

from .runs_made_up import HOSTILE, a_plan

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
SIZES = {1280: 900, 400: 800}
#: Set it to a folder to look at the page of each case.
PICTURES = os.environ.get("VMSHIFT_REPORT_PICTURES")
COMPLAINTS = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")


class Tab:
    """One page of the browser, spoken to in its DevTools protocol. `events`: all that it has told."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0
        self.events: list[dict[str, Any]] = []

    async def do(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            said = await self._socket.receive_json(timeout=60)
            if said.get("id") == self._number:
                assert "error" not in said, said
                return said["result"]
            self.events.append(said)

    async def value(self, expression: str) -> Any:
        return (await self.do("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")


async def page_socket(session: aiohttp.ClientSession, port: str) -> str:
    """The address of the first tab's socket, which comes a little after the browser's port."""
    async with asyncio.timeout(60):
        while True:
            async with session.get(f"http://127.0.0.1:{port}/json") as reply:
                for target in json.loads(await reply.text()):
                    if target["type"] == "page":
                        return target["webSocketDebuggerUrl"]
            await asyncio.sleep(0.05)


@asynccontextmanager
async def tab_of(path: Path) -> AsyncIterator[Tab]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
        options += ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]
        browser = await asyncio.create_subprocess_exec(
            str(CHROMIUM), *options, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.DEVNULL
        )
        try:
            port_file = Path(profile) / "DevToolsActivePort"
            async with asyncio.timeout(60):
                while not (port_file.exists() and len(port_file.read_text().split()) == 2):
                    await asyncio.sleep(0.05)
            port = port_file.read_text().split()[0]
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(await page_socket(session, port), max_msg_size=0) as socket,
            ):
                tab = Tab(socket)
                for domain in ("Log", "Runtime", "Page", "Network"):
                    await tab.do(f"{domain}.enable")
                await tab.do("Page.navigate", url=path.as_uri())
                async with asyncio.timeout(60):
                    while await tab.value("document.readyState + location.protocol") != "completefile:":
                        await asyncio.sleep(0.05)
                yield tab
        finally:
            browser.terminate()
            await browser.wait()


@pytest.mark.parametrize("count", [1, 500])
async def test_a_page_fits_and_is_silent(tmp_path: Path, count: int) -> None:
    plan = a_plan(count, name="crm")
    plan["status"]["migration"]["vms"][0]["name"] = HOSTILE
    path = tmp_path / "report.html"
    path.write_text(page.render(figures.build([plan], [], title=f"{count} {HOSTILE}", log_of=lambda plan, row: ["log of pod", "x" * 300])))
    async with tab_of(path) as tab:
        grounds = set()
        for scheme in ("light", "dark"):
            await tab.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            for width, height in SIZES.items():
                await tab.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
                async with asyncio.timeout(60):
                    while await tab.value("innerWidth") != width:
                        await asyncio.sleep(0.05)
                assert await tab.value("document.documentElement.scrollWidth") == width
                if PICTURES:
                    shot = await tab.do("Page.captureScreenshot", captureBeyondViewport=count == 1)
                    Path(PICTURES, f"{count}-{width}-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))
            grounds.add(await tab.value("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2
        assert await tab.value("document.querySelectorAll('.vms tbody tr').length") == count
        assert await tab.value("document.scripts.length") == 0
        assert HOSTILE in await tab.value("document.querySelector('.vms tbody th').textContent")
        asked = [e["params"]["request"]["url"] for e in tab.events if e["method"] == "Network.requestWillBeSent"]
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        assert [e for e in tab.events if e["method"] in COMPLAINTS] == []
