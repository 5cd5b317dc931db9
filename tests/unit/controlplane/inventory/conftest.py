"""A control plane's objects and inventory, with a folder of appliances to read."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Registry
from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
from ansible_collections.vmshift.mtv.controlplane.inventory.cache import Inventory
from ansible_collections.vmshift.mtv.controlplane.inventory.http import build_inventory_app
from ansible_collections.vmshift.mtv.controlplane.state import State

Object = dict[str, Any]
FORKLIFT = "forklift.konveyor.io/v1beta1"

DESCRIPTOR = """<Envelope xmlns:vmw="http://www.vmware.com/schema/ovf"><References><File id="f" href="disk1.vmdk"/></References>
<DiskSection><Disk diskId="d" fileRef="f" capacity="{size}" capacityAllocationUnits="byte * 2^20"/></DiskSection>
<NetworkSection><Network name="VM Network"><Description>n</Description></Network></NetworkSection>
<VirtualSystem id="{name}"><Name>{name}</Name><VirtualHardwareSection>
<Item><ElementName>Network adapter 1</ElementName><ResourceType>10</ResourceType><Connection>VM Network</Connection></Item>
<Config key="cpuHotAddEnabled" value="{hotplug}"/></VirtualHardwareSection></VirtualSystem></Envelope>"""


class Appliances:
    """A folder of OVAs, and Providers that read it."""

    def __init__(self, folder: Path, api: Api) -> None:
        self.folder = folder
        self._api = api
        folder.mkdir()

    def add(self, name: str, size: int = 64, hotplug: str = "false") -> None:
        with tarfile.open(self.folder / f"{name}.ova", "w") as archive:
            for member, content in (("x.ovf", DESCRIPTOR.format(name=name, size=size, hotplug=hotplug).encode()), ("disk1.vmdk", b"KDMV")):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))

    def provider(self, name: str = "ova-src", url: str = "") -> Object:
        return self._api.create({
            "apiVersion": FORKLIFT,
            "kind": "Provider",
            "metadata": {"name": name, "namespace": "mig"},
            "spec": {"type": "ova", "url": url or f"localhost:{self.folder}", "secret": {"name": "s", "namespace": "mig"}},
        })  # fmt: skip


@dataclass
class Service:
    """The Inventory service on a real socket."""

    client: TestClient[Any, Any]
    token: str

    async def get(self, path: str, token: str | None = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """(status, parsed JSON or text, headers) of an answer; with the administrator's token unless told otherwise."""
        token = self.token if token is None else token
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        async with self.client.get(path, headers=headers) as reply:
            text = await reply.text()
            parsed = json.loads(text) if reply.headers.get("Content-Type", "").startswith("application/json") else text
            return reply.status, parsed, dict(reply.headers)


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(tmp_path / "state")
    state.prepare()
    return state


@pytest.fixture
def api(state: State) -> Iterator[Api]:
    store = Store(state.store)
    api = Api(store, Registry())
    for namespace in ("konveyor-forklift", "mig", "other"):
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    yield api
    store.close()


@pytest.fixture
def tokens(api: Api, state: State) -> Tokens:
    return Tokens(api, state)


@pytest.fixture
def inventory(api: Api) -> Inventory:
    return Inventory(api)


@pytest.fixture
def appliances(tmp_path: Path, api: Api) -> Appliances:
    return Appliances(tmp_path / "exports", api)


@pytest.fixture
def host(api: Api) -> Callable[..., Object]:
    def create(namespace: str = "konveyor-forklift") -> Object:
        meta = {"name": "host", "namespace": namespace}
        return api.create(
            {"apiVersion": FORKLIFT, "kind": "Provider", "metadata": meta, "spec": {"type": "openshift", "url": "", "secret": {}}}
        )

    return create


@pytest.fixture
async def service(inventory: Inventory, tokens: Tokens, api: Api) -> AsyncIterator[Service]:
    async with TestClient(TestServer(build_inventory_app(inventory, tokens, api, wait=0.2))) as client:
        yield Service(client, tokens.admin)


@pytest.fixture
def golden() -> Path:
    """Recorded answers of the real service, where they lie beside the checkout."""
    for parent in Path(__file__).resolve().parents:
        folder = parent.parent / "shared" / "golden" / "inventory"
        if folder.is_dir():
            return folder
    pytest.skip("no recorded answers beside this checkout")
