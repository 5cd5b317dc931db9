"""Recordings of Forklift's own controllers, as lists of what a client saw; and the same of a world that was run here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

Object = dict[str, Any]
Entry = tuple[float, str, str, str, Object]  # time, kind, namespace, name, the object after a change

GOLDEN = next((p / "shared/golden" for p in Path(__file__).absolute().parents if (p / "shared/golden").is_dir()), None)

# What kube-apiserver, kubelet, CDI and the provisioner add.
ADDED_META = ("uid", "creationTimestamp", "resourceVersion", "generation", "finalizers", "name", "managedFields")
ADDED_POD = (
    "schedulerName",
    "dnsPolicy",
    "terminationGracePeriodSeconds",
    "enableServiceLinks",
    "preemptionPolicy",
    "priority",
    "tolerations",
    "serviceAccount",
    "serviceAccountName",
    "nodeName",
)


def lines(scenario: str) -> list[Object]:
    """Everything that was recorded, actions and notes too."""
    assert GOLDEN is not None
    return [json.loads(line) for line in (GOLDEN / f"scenarios/{scenario}/trace.jsonl").read_text().splitlines()]


def replay(scenario: str) -> list[Entry]:
    """The recorded objects over time."""
    objects: dict[tuple[str, str, str], Object] = {}
    seen: list[Entry] = []
    for record in lines(scenario):
        if record["event"] in ("ACTION", "NOTE"):
            continue
        key = record["kind"], record["namespace"], record["name"]
        if record.get("object"):
            objects[key] = record["object"]
        for operation in record.get("patch") or ():
            apply(objects[key], operation)
        if key in objects:
            seen.append((record["t"], *key, json.loads(json.dumps(objects[key]))))
    return seen


def apply(target: Any, operation: Object) -> None:
    """One operation of a JSON patch."""
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    for part in path:
        target = target[int(part)] if isinstance(target, list) else target[part]
    if isinstance(target, list):
        if operation["op"] == "add":
            target.insert(int(last), operation["value"])
        elif operation["op"] == "remove":
            target.pop(int(last))
        else:
            target[int(last)] = operation["value"]
    elif operation["op"] == "remove":
        target.pop(last)
    else:
        target[last] = operation["value"]


class Recorder:
    """What happens in a world, in the form of `replay`."""

    def __init__(self, world: Any) -> None:
        self.seen: list[Entry] = []
        world.api.subscribe(self.changed)

    def changed(self, event: str, kind: str, obj: Object) -> None:
        if event != "DELETED":
            meta = obj["metadata"]
            self.seen.append((0, kind, meta.get("namespace", ""), meta["name"], json.loads(json.dumps(obj))))


def conditions(obj: Object) -> dict[str, Object]:
    found = obj.get("status", {}).get("conditions", ())
    return {c["type"]: {k: v for k, v in c.items() if k != "lastTransitionTime"} for c in found}


def of(seen: list[Entry], kind: str, namespace: str | None = None) -> list[Object]:
    """The states of all objects of a kind, in order."""
    return [e[4] for e in seen if e[1] == kind and namespace in (None, e[2])]


def without_repeats(items: list[Any]) -> list[Any]:
    return [item for index, item in enumerate(items) if index == 0 or item != items[index - 1]]


def plain_pipeline(vm: Object) -> Any:
    """Without times, and without amounts: Forklift reads a capacity of "2" in units of 2^30 as two bytes."""
    text = json.dumps(vm["pipeline"])
    text = re.sub(r'"(started|completed)": "[^"]*"', r'"\1": "time"', text)
    return json.loads(re.sub(r'"progress": \{[^}]*\}', '"progress": {}', text))


def stripped(obj: Object) -> Object:
    """An object as it was made, without identities and what a cluster adds."""
    obj = json.loads(json.dumps(obj))
    obj.pop("status", None)
    meta = {k: v for k, v in obj["metadata"].items() if k not in ADDED_META}
    meta.pop("ownerReferences", None)
    obj["metadata"] = meta
    for place in (meta.get("labels") or {}, meta.get("annotations") or {}):
        for key in list(place):
            if key.startswith(("pv.kubernetes.io", "volume.", "cdi.kubevirt.io/storage.contentType")) or (key, place[key]) == (
                "app",
                "containerized-data-importer",
            ):
                del place[key]
    spec = obj.get("spec") or {}
    spec.pop("volumeName", None)
    spec.pop("claimRef", None)
    if obj["kind"] == "Pod":
        for field in ADDED_POD:
            spec.pop(field, None)
        _strip_containers(spec)
    if obj["kind"] == "VirtualMachine":
        spec["template"]["metadata"].pop("creationTimestamp", None)
    return obj


def _strip_containers(spec: Object) -> None:
    for container in [*spec["containers"], *(spec.get("initContainers") or ())]:
        for field in ("terminationMessagePath", "terminationMessagePolicy"):
            container.pop(field, None)
        mounts = container.get("volumeMounts") or []
        mounts[:] = [item for item in mounts if not item["name"].startswith("kube-api-access")]
        container.get("env", []).sort(key=lambda variable: variable["name"])
    spec["volumes"] = [item for item in spec["volumes"] if not item["name"].startswith("kube-api-access")]
    for volume in spec["volumes"]:
        for kind in ("secret", "configMap"):
            volume.get(kind, {}).pop("defaultMode", None)


def anonymous(text: str) -> str:
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID", text)
    return re.sub(r"(registry\.invalid|vmshift\.local)/(virt-v2v(-xfs)?):latest", r"\2", text)
