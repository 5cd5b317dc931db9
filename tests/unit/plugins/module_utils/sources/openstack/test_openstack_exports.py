"""Images of a server's disks, step by step: each look begins anew, as after a crash. How real services behave is tested with those."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack import exports
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.exports import OF_IMAGE, OF_VOLUME, Exports

pytest.importorskip("openstack")
NAME = "forklift-migration-vm-s1"


class Thing(SimpleNamespace):
    def to_dict(self, **_unused: Any) -> dict[str, Any]:
        return {**vars(self)}


class Cloud:
    """What the services keep. Everything takes one `pass_time` to come to rest."""

    def __init__(self, image: str = "", volumes: tuple[str, ...] = ("v1", "v2")) -> None:
        self.server = Thing(status="SHUTOFF", image=Thing(id=image) if image else None, attached_volumes=[Thing(id=id) for id in volumes])
        self.kept: dict[str, dict[str, Thing]] = {"images": {}, "snapshots": {}, "volumes": {}}
        self.made: list[str] = []
        self._number = itertools.count(1)
        self.compute = self.image = self.block_storage = self

    def pass_time(self) -> None:
        for name, things in self.kept.items():
            for id, thing in list(things.items()):
                if thing.status == "deleting":
                    del things[id]
                elif thing.status in ("creating", "saving", "uploading"):
                    thing.status = "active" if name == "images" else "available"

    def _add(self, kind: str, name: str, status: str, **more: Any) -> Thing:
        id = f"{kind}-{next(self._number)}"
        self.made.append(f"{kind} {name}")
        self.kept[kind][id] = thing = Thing(id=id, name=name, status=status, **more)
        return thing

    def create_server_image(self, _server: str, name: str) -> None:
        self._add("images", name, "saving", disk_format="qcow2", size=10)
        if self.server.image is None:  # of one that boots from a volume Nova makes snapshots
            for volume in self.server.attached_volumes:
                self._add("snapshots", f"snapshot for {name}", "creating", volume_id=volume.id, size=1)

    def create_snapshot(self, *, volume_id: str, name: str, is_forced: bool, metadata: dict[str, str]) -> None:
        assert is_forced and metadata == {OF_VOLUME: volume_id}
        self._add("snapshots", name, "creating", volume_id=volume_id, size=1)

    def create_volume(self, *, name: str, snapshot_id: str, size: int, metadata: dict[str, str]) -> None:
        assert metadata[OF_VOLUME] == self.kept["snapshots"][snapshot_id].volume_id
        self._add("volumes", name, "creating", snapshot_id=snapshot_id, size=size, volume_image_metadata={"os_glance_x": "1", "os": "a"})

    def delete_volume_image_metadata(self, volume: Thing, keys: list[str]) -> None:
        for key in keys:
            del volume.volume_image_metadata[key]

    def upload_volume_to_image(self, volume: Thing, name: str, *, disk_format: str, container_format: str) -> dict[str, str]:
        assert volume.status == "available" and "os_glance_x" not in volume.volume_image_metadata
        volume.status = "uploading"
        return {"image_id": self._add("images", name, "saving", disk_format=disk_format, size=5).id}

    def update_image(self, id: str, **properties: str) -> None:
        vars(self.kept["images"][id]).update(properties)

    def images(self, name: str = "", sort: str = "") -> list[Thing]:
        return [image for image in reversed(self.kept["images"].values()) if name in ("", image.name)]

    def snapshots(self, name: str) -> list[Thing]:
        return [thing for thing in self.kept["snapshots"].values() if thing.name == name]

    def volumes(self, name: str) -> list[Thing]:
        return [thing for thing in self.kept["volumes"].values() if thing.name == name]

    def delete_image(self, id: str, ignore_missing: bool) -> None:
        self.kept["images"].pop(id, None)

    def delete_snapshot(self, id: str, ignore_missing: bool) -> None:
        assert not any(volume.snapshot_id == id for volume in self.kept["volumes"].values())
        self.kept["snapshots"][id].status = "deleting"

    def delete_volume(self, id: str, ignore_missing: bool) -> None:
        self.kept["volumes"][id].status = "deleting"

    def left(self) -> dict[str, list[str]]:
        return {kind: [thing.name for thing in things.values()] for kind, things in self.kept.items() if things}


class Session:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    @contextmanager
    def talking(self, _doing: str) -> Iterator[Cloud]:
        yield self.cloud


@pytest.fixture(autouse=True)
def servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exports, "_look", lambda self: self._session.cloud.server)


def of(cloud: Cloud) -> Exports:
    return Exports(Session(cloud), "s1")  # type: ignore[arg-type]


def finish(cloud: Cloud) -> dict[str, Any]:
    for _look in range(40):
        found = of(cloud).advance()
        if found is not None:
            return found
        cloud.pass_time()
    raise AssertionError(cloud.left())


def test_a_server_that_boots_from_a_volume() -> None:
    cloud = Cloud()
    found = finish(cloud)
    assert {source: image["name"] for source, image in found.items()} == {id: f"{NAME}-volume-{id}" for id in ("v1", "v2")}
    assert {image["properties"][OF_VOLUME] for image in found.values()} == {"v1", "v2"}
    assert {image["diskFormat"] for image in found.values()} == {"qcow2"}
    # What was between them is gone before the images are used; nothing was made twice.
    assert set(cloud.left()) == {"images"}
    assert sorted(cloud.made) == sorted(
        [f"images {NAME}", *[f"snapshots snapshot for {NAME}"] * 2, *[f"volumes volume created from {NAME}"] * 2]
        + [f"images {NAME}-volume-v1", f"images {NAME}-volume-v2"]
    )


def test_a_server_that_boots_from_an_image() -> None:
    cloud = Cloud(image="i1", volumes=("v1",))
    found = finish(cloud)
    assert set(found) == {"i1", "v1"}
    assert found["i1"]["name"] == NAME and found["i1"]["properties"][OF_IMAGE] == "i1"
    assert set(cloud.left()) == {"images"}


def test_an_image_that_is_given_up_in_this_moment_is_made_again() -> None:
    """As by Nova, which deletes the image of a server whose snapshot fails at the end."""
    from openstack.exceptions import NotFoundException

    class Failing(Cloud):
        failures = 1

        def update_image(self, id: str, **properties: str) -> None:
            if self.failures:
                self.failures -= 1
                del self.kept["images"][id]
                raise NotFoundException("Not Found")
            super().update_image(id, **properties)

    cloud = Failing(image="i1", volumes=())
    assert set(finish(cloud)) == {"i1"}
    assert cloud.made == [f"images {NAME}"] * 2


def test_a_server_without_volumes() -> None:
    assert set(finish(Cloud(image="i1", volumes=()))) == {"i1"}


def test_an_image_whose_origin_was_not_told_before_a_crash_is_told_it() -> None:
    cloud = Cloud(volumes=("v1",))
    update, cloud.update_image = cloud.update_image, lambda id, **properties: None  # type: ignore[method-assign]
    for _look in range(6):
        assert of(cloud).advance() is None
        cloud.pass_time()
    cloud.update_image = update  # type: ignore[method-assign]
    assert finish(cloud)["v1"]["properties"][OF_VOLUME] == "v1"
    assert cloud.made.count(f"images {NAME}-volume-v1") == 1


@pytest.mark.parametrize(
    ("kind", "status", "told"), [("images", "killed", "image"), ("snapshots", "error", "snapshot"), ("volumes", "error", "volume")]
)
def test_what_will_not_come_right_by_itself_is_told(kind: str, status: str, told: str) -> None:
    cloud = Cloud(volumes=("v1",))
    with pytest.raises(SourceError, match=f"{told}.* {status}") as failure:
        for _look in range(20):
            of(cloud).advance()
            cloud.pass_time()
            for thing in cloud.kept[kind].values():
                thing.status = status
    assert failure.value.kind == DATA


@pytest.mark.parametrize("looks", range(12))
def test_whenever_it_is_given_up_nothing_is_left(looks: int) -> None:
    cloud = Cloud()
    for _look in range(looks):
        of(cloud).advance()
        cloud.pass_time()
    for _look in range(10):
        if of(cloud).clear():
            break
        cloud.pass_time()
    assert cloud.left() == {}


def test_what_is_others_stays() -> None:
    cloud = Cloud()
    cloud._add("images", "forklift-migration-vm-s2", "active")
    cloud._add("images", "golden", "active")
    assert of(cloud).clear() is True
    assert cloud.left() == {"images": ["forklift-migration-vm-s2", "golden"]}


def test_power() -> None:
    assert (exports.ACTIVE, of(Cloud()).status()) == ("ACTIVE", "SHUTOFF")
