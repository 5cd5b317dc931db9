"""What the lab's cloud holds: a project with servers as different as those of a real one, some with the disks of a guest that boots."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openstack

from ansible_collections.vmshift.mtv.lab import booted, guests
from ansible_collections.vmshift.mtv.lab.commands import run
from ansible_collections.vmshift.mtv.lab.openstack.configuration import BACKENDS, REGION

Object = dict[str, Any]

GIB = 1 << 30
PROJECT, USER = "shop", "migrator"
SERVICE_USERS = ("glance", "cinder", "nova", "neutron", "placement")
DEADLINE = 300  # seconds for one thing to be made

#: name -> what `flavors.create` is given, and extra specs: none that the fake hypervisor would have to have.
FLAVORS: dict[str, tuple[Object, dict[str, str]]] = {
    "tiny": ({"ram": 256, "vcpus": 1, "disk": 1}, {}),
    "small": ({"ram": 1024, "vcpus": 2, "disk": 1}, {"hw:cpu_sockets": "1", "hw:cpu_cores": "2", "hw_rng:allowed": "true"}),
    "pinned": ({"ram": 512, "vcpus": 2, "disk": 1}, {"quota:cpu_shares": "512", "hw:watchdog_action": "reset"}),
}
LINUX = {"hw_disk_bus": "virtio", "hw_vif_model": "virtio", "os_distro": "debian", "os_type": "linux"}


@dataclass(frozen=True)
class Volume:
    """`content`: "root" or "data" of the lab's guest. `size` in GiB."""

    content: str
    type: str = "fast"
    size: int = 1


@dataclass(frozen=True)
class Server:
    """Booted from the first of its volumes; or from an image, which is its root disk then."""

    name: str
    flavor: str = "tiny"
    image: str = ""
    volumes: tuple[Volume, ...] = ()
    networks: tuple[str, ...] = ("internal",)
    on: bool = True
    metadata: dict[str, str] = field(default_factory=dict)


#: name -> content, format, properties.
IMAGES: dict[str, tuple[str, str, dict[str, str]]] = {
    "guest": ("root", "qcow2", {**LINUX, "hw_rng_model": "virtio"}),
    "guest-raw": ("root", "raw", {**LINUX, "hw_disk_bus": "scsi", "hw_vif_model": "e1000", "hw_pointer_model": "usbtablet"}),
    "guest-data": ("data", "raw", {}),
    "secure": ("data", "raw", {"hw_firmware_type": "uefi", "os_secure_boot": "optional", "hw_boot_menu": "true"}),
}
#: name -> how it is made, and the addresses of its subnet.
NETWORKS: dict[str, tuple[Object, str]] = {
    "internal": ({}, "192.168.60.0/24"),
    "vlan-120": (
        {"provider_network_type": "vlan", "provider_physical_network": "physnet1", "provider_segmentation_id": 120, "is_shared": True},
        "192.168.120.0/24",
    ),
}
SERVERS = (
    Server("web-1", volumes=(Volume("root"), Volume("data", "slow")), networks=("internal", "vlan-120"), metadata={"tier": "web"}),
    Server("app-1", flavor="small", image="guest", volumes=(Volume("data", "slow"),), on=False),
    Server("cache-1", image="guest-raw"),
    Server("pinned-1", flavor="pinned", image="secure", on=False),
    Server("twin", image="guest-data", on=False),
    Server("twin", image="guest-data", on=False),
)


class Seed:
    """Makes it all over the services' own API, as user and as administrator."""

    def __init__(self, url: str, password: str, folder: Path) -> None:
        self._url, self._password, self._folder = url, password, folder
        self._admin = self.connect("admin", "admin")
        self._images: dict[str, Any] = {}
        self._networks: dict[str, Any] = {}
        self._contents = {"root": booted.tiny_guest().disk, "data": guests.guest_disks()[1]}

    def connect(self, user: str, project: str) -> openstack.connection.Connection:
        return openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth_url=self._url,
            username=user,
            password=self._password,
            project_name=project,
            user_domain_name="Default",
            project_domain_name="Default",
            region_name=REGION,
            cacert=str(self._folder / "ca.crt"),
        )

    def make_all(self) -> Object:
        """Facts of what was made."""
        self._accounts()
        self._user = self.connect(USER, PROJECT)
        self._catalog()
        servers = [self._server(wanted) for wanted in SERVERS]
        for facts, wanted in zip(servers, SERVERS, strict=True):
            if not wanted.on:
                self._user.compute.stop_server(facts["id"])
        for facts, wanted in zip(servers, SERVERS, strict=True):
            if not wanted.on:
                self._user.compute.wait_for_server(
                    self._user.compute.get_server(facts["id"]), status="SHUTOFF", interval=0.3, wait=DEADLINE
                )
        return {
            "user": USER,
            "project": PROJECT,
            "project_id": self._user.current_project_id,
            "servers": servers,
            "images": {name: image.id for name, image in self._images.items()},
            "networks": {name: network.id for name, network in self._networks.items()},
            "volume_types": {type.name: type.id for type in self._admin.block_storage.types()},
        }

    def _accounts(self) -> None:
        identity = self._admin.identity
        service, services = identity.find_role("service"), identity.find_project("service")
        for name in SERVICE_USERS:
            identity.assign_project_role_to_user(services, identity.find_user(name), service)
        project = identity.create_project(name=PROJECT, domain_id="default", description="What is migrated in tests")
        user = identity.create_user(name=USER, password=self._password, domain_id="default", default_project_id=project.id)
        identity.assign_project_role_to_user(project, user, identity.find_role("member"))

    def _catalog(self) -> None:
        for name, (size, specs) in FLAVORS.items():
            flavor = self._admin.compute.create_flavor(name=name, **size)
            if specs:
                self._admin.compute.create_flavor_extra_specs(flavor, specs)
        for name in BACKENDS:
            self._admin.block_storage.create_type(name=name, extra_specs={"volume_backend_name": name}, description=f"The {name} disks")
        for name, (options, addresses) in NETWORKS.items():
            made = (self._admin if options else self._user).network.create_network(name=name, **options)
            maker = self._admin if options else self._user
            maker.network.create_subnet(
                network_id=made.id, ip_version=4, cidr=addresses, name=f"{name}-4", dns_nameservers=["192.168.60.1"]
            )
            self._networks[name] = made
        for name, (content, format, properties) in IMAGES.items():
            self._images[name] = self._image(name, content, format, properties)

    def _image(self, name: str, content: str, format: str, properties: dict[str, str]) -> Any:
        source = self._contents[content]
        if format != "raw":
            source = self._folder / f"{name}.{format}"
            run(["qemu-img", "convert", "-f", "raw", "-O", format, self._contents[content], source])
        with source.open("rb") as data:
            made = self._user.image.create_image(
                name=name, disk_format=format, container_format="bare", data=data, allow_duplicates=True, **properties
            )
        if format != "raw":
            source.unlink()
        return self._user.image.get_image(made.id)

    def _server(self, wanted: Server) -> Object:
        volumes = [self._volume(f"{wanted.name}-{number}", volume) for number, volume in enumerate(wanted.volumes)]
        options: Object = {"metadata": wanted.metadata}
        if wanted.image:
            options["image_id"] = self._images[wanted.image].id
        else:
            first = volumes[0]["id"]
            options["block_device_mapping"] = [
                {"boot_index": 0, "uuid": first, "source_type": "volume", "destination_type": "volume"}
            ]  # fmt: skip
        compute = self._user.compute
        server = compute.create_server(
            name=wanted.name,
            flavor_id=compute.find_flavor(wanted.flavor).id,
            networks=[{"uuid": self._networks[name].id} for name in wanted.networks],
            **options,
        )
        server = compute.wait_for_server(server, interval=0.3, wait=DEADLINE)
        for volume in volumes if wanted.image else volumes[1:]:
            compute.create_volume_attachment(server, volume_id=volume["id"])
            self._await_volume(volume["id"], "in-use")
        disks = list(volumes)
        if wanted.image:
            content, _format, _properties = IMAGES[wanted.image]
            file = self._contents[content]
            disks.insert(
                0, {"image": options["image_id"], "size": file.stat().st_size, "sha256": sha256_extended(file, file.stat().st_size)}
            )
        return {"name": wanted.name, "id": server.id, "on": wanted.on, "disks": disks}

    def _volume(self, name: str, wanted: Volume) -> Object:
        """From the image with its content, as users make volumes that boot."""
        image = self._images["guest" if wanted.content == "root" else "guest-data"]
        made = self._user.block_storage.create_volume(name=name, size=wanted.size, volume_type=wanted.type, image_id=image.id)
        self._await_volume(made.id, "available")
        size = wanted.size * GIB
        return {"id": made.id, "type": wanted.type, "size": size, "sha256": sha256_extended(self._contents[wanted.content], size)}

    def _await_volume(self, id: str, status: str) -> None:
        volumes = self._user.block_storage
        volumes.wait_for_status(volumes.get_volume(id), status, failures=["error"], interval=0.3, wait=DEADLINE)


def sha256_extended(file: Path, size: int) -> str:
    """The sum of a file followed by zeros up to `size`: how a disk image looks in a larger volume."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    zeros = bytes(1 << 20)
    left = size - file.stat().st_size
    while left > 0:
        digest.update(zeros[: min(left, len(zeros))])
        left -= len(zeros)
    return digest.hexdigest()
