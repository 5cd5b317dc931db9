"""A cluster that starts guests, whose launcher is a shell script: it tells what it is told to tell, and ends like one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ansible_collections.vmshift.mtv.controlplane.cluster import images, processes, supervisor
from ansible_collections.vmshift.mtv.controlplane.context import Guests
from ansible_collections.vmshift.mtv.tests.unit.controlplane.cluster.conftest import Cluster

Object = dict[str, Any]

# It ends when FILE appears in its folder (exit code in it), or on SIGTERM, once it has written down that it was asked.
SCRIPT = """
trap 'echo asked >> asked; exit 143' TERM
[ -e guest.json ] || { echo '{"state": "Starting"}' > guest.json.new; mv guest.json.new guest.json; }
until [ -e end ]; do sleep 0.02; done
exit $(cat end)
"""


class GuestCluster(Cluster):
    def machine(self, name: str = "vm", claims: tuple[str, ...] = (), **spec: Any) -> Object:
        """A VirtualMachine with a disk for each claim."""
        disks = [{"name": f"vol-{n}", "disk": {"bus": "virtio"}} for n, _claim in enumerate(claims)]
        volumes = [{"name": f"vol-{n}", "persistentVolumeClaim": {"claimName": claim}} for n, claim in enumerate(claims)]
        domain = {
            "memory": {"guest": "64Mi"},
            "devices": {"disks": disks, "interfaces": [{"name": "net-0", "macAddress": "00:50:56:00:00:01"}]},
        }
        template = {
            "metadata": {"labels": {"app": name}, **spec.pop("metadata", {})},
            "spec": {"domain": domain, "volumes": volumes, **spec.pop("template", {})},
        }
        return self.make("kubevirt.io/v1", "VirtualMachine", name, spec={"template": template, **spec})

    def instance(self, name: str = "vm") -> Object | None:
        return self.api.find("VirtualMachineInstance", "tgt", name)

    def launchers(self) -> list[Object]:
        return self.api.list("Pod", "tgt", {"kubevirt.io": "virt-launcher"})

    async def launcher(self) -> Path:
        """The folder of the one launcher, once it runs."""
        pod = await self.until(lambda: next((p for p in self.launchers() if p.get("status", {}).get("phase") == "Running"), None))
        await self.until((self.folder(pod) / "guest.json").exists)
        return self.folder(pod)

    def tell(self, folder: Path, **report: Any) -> None:
        """Have the launcher in `folder` tell that."""
        partial = folder / "guest.partial"
        partial.write_text(json.dumps(report))
        partial.replace(folder / "guest.json")

    async def until_free(self, folder: Path) -> None:
        """Until nothing of the pod in `folder` runs."""
        await self.until(lambda: not supervisor.processes_of(folder))

    async def running(self, name: str = "vm") -> Path:
        folder = await self.launcher()
        self.tell(folder, state="Running", ssh="127.0.0.1:2222")
        await self.until(lambda: (self.instance(name) or {}).get("status", {}).get("phase") == "Running")
        return folder

    async def shows(self, machine: Object, printable: str) -> Object:
        await self.until(lambda: self.get(machine).get("status", {}).get("printableStatus") == printable)
        return self.get(machine)["status"]


@pytest_asyncio.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GuestCluster]:
    """Not running yet."""
    monkeypatch.setitem(images.IMAGES, images.LAUNCHER_IMAGE, lambda _container: ["sh", "-c", SCRIPT])
    made = GuestCluster(tmp_path / "state", Guests(run=True))
    yield made
    await made.end()
    await asyncio.to_thread(processes.stop_all, made.state.pods, 0.1)


@pytest_asyncio.fixture
async def plain_cluster(tmp_path: Path) -> AsyncIterator[GuestCluster]:
    """One that starts no guests. Not running yet."""
    made = GuestCluster(tmp_path / "state")
    yield made
    await made.end()
