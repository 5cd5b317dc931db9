"""What ResourceQuotas do to those who make objects, and how their status follows what is there."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmshift.mtv.controlplane.cluster.storage import IMMEDIATE_CLASS

CDI = "cdi.kubevirt.io/v1beta1"


def quota(cluster: Any, **hard: str) -> Any:
    return cluster.make("v1", "ResourceQuota", "small", spec={"hard": hard})


def used(cluster: Any) -> Any:
    return cluster.api.get("ResourceQuota", "tgt", "small").get("status", {}).get("used")


def disk(cluster: Any, name: str = "disk") -> Any:
    storage = {"resources": {"requests": {"storage": "2Mi"}}, "storageClassName": IMMEDIATE_CLASS}
    return cluster.make(CDI, "DataVolume", name, spec={"source": {"blank": {}}, "storage": storage})


async def test_the_status_follows_what_comes_and_goes(cluster: Any) -> None:
    cluster.run()
    await cluster.phase_is(disk(cluster), "Succeeded")
    quota(cluster, **{"requests.storage": "9Mi"})
    await cluster.until(lambda: used(cluster) == {"requests.storage": "2Mi"})
    await cluster.phase_is(disk(cluster, "second"), "Succeeded")
    assert used(cluster) == {"requests.storage": "4Mi"}
    cluster.api.delete("DataVolume", "tgt", "disk")
    await cluster.until(lambda: used(cluster) == {"requests.storage": "2Mi"})


async def test_a_disk_that_is_too_much_says_so_and_comes_when_there_is_room(cluster: Any) -> None:
    quota(cluster, **{"requests.storage": "3Mi"})
    cluster.run()
    await cluster.phase_is(disk(cluster, "first"), "Succeeded")
    volume = disk(cluster, "second")
    conditions = (await cluster.until(lambda: cluster.api.get("DataVolume", "tgt", "second").get("status")))["conditions"]
    why = (
        'persistentvolumeclaims "second" is forbidden: exceeded quota: small, requested: requests.storage=2Mi, '
        "used: requests.storage=2Mi, limited: requests.storage=3Mi"
    )
    assert [(c["type"], c["status"], c["reason"], c["message"]) for c in conditions] == [
        ("Bound", "Unknown", "ErrExceededQuota", why),
        ("Running", "False", "ErrExceededQuota", why),
    ]
    assert [e["message"] for e in cluster.api.events_about(volume)] == [why]
    cluster.api.delete("DataVolume", "tgt", "first")
    await cluster.phase_is(volume, "Succeeded")
