"""Plans from the lab's OpenStack, made and followed over the API as any client would."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.lab.openstack.server import OpenStack
from ansible_collections.vmshift.mtv.tests.integration.vsphere_plans import HOST, PLANS, Object, Plans

MADE = "forklift-migration-vm-"
PATIENCE = 300.0  # seconds


class CloudPlans(Plans):
    """Plans from the lab's OpenStack."""

    def __init__(self, state: State, cloud: OpenStack) -> None:
        super().__init__(state, cloud)  # type: ignore[arg-type]
        self.cloud = cloud

    def furnish(self, destination: Object | None = None) -> None:
        self.apply("Namespace", PLANS, "")
        self.apply("Secret", "cloud", stringData=self.cloud.secret())
        secret = {"name": "cloud", "namespace": PLANS}
        self.apply("Provider", "cloud", spec={"type": "openstack", "url": self.cloud.url, "secret": secret})
        self.until(lambda: self.is_true("Provider", "cloud", "Ready"))
        self.pair = {"source": secret, "destination": destination or HOST}
        networks = [
            {"source": {"name": "internal"}, "destination": {"type": "pod"}},
            {"source": {"name": "vlan-120"}, "destination": {"type": "ignored"}},
        ]
        classes = {"fast": "vmshift-local", "slow": "vmshift-immediate", "glance": "vmshift-local"}
        storage = [{"source": {"name": name}, "destination": {"storageClass": kind}} for name, kind in classes.items()]
        self.apply("NetworkMap", "net", spec={"provider": self.pair, "map": networks})
        self.apply("StorageMap", "sto", spec={"provider": self.pair, "map": storage})

    def left(self) -> list[str]:
        """What migrations have made in the cloud, and is still there."""
        with self.cloud.connect() as cloud:
            things = [*cloud.image.images(), *cloud.block_storage.snapshots(), *cloud.block_storage.volumes()]
        return [thing.name for thing in things if MADE in (thing.name or "")]

    def status(self, server: str) -> str:
        with self.cloud.connect() as cloud:
            return str(cloud.compute.get_server(self.cloud.server(server)["id"]).status)

    def sums_of(self, plan: str, server: str) -> list[str]:
        """Of the volumes, each as far as the disk goes that it is of."""
        sizes = [disk["size"] for disk in in_order(self.cloud.server(server))]
        return [sha256(path, size) for path, size in zip(self.volumes(plan), sizes, strict=True)]


def in_order(server: Object) -> list[Object]:
    """Disks as the target has them: volumes, then the image of the server itself."""
    return sorted(server["disks"], key=lambda disk: "image" in disk)


def sha256(path: Path, size: int) -> str:
    digest, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left:
            chunk = file.read(min(left, 1 << 20))
            assert chunk, f"{path} ends {left} bytes too early"
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()
