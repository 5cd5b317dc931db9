"""The vSphere inventory behind a recording: as much of it as the recorded plans let see, on top of a plain VM of the recorded inventory."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from ansible_collections.vmshift.mtv.controlplane.inventory.items import ProviderInventory
from ansible_collections.vmshift.mtv.tests.unit.controlplane.fidelity.recording import GOLDEN, Entry, Object, of

NETWORK, UPLINK = "dvportgroup-12", "network-6"
_STATIC = re.compile(r"((?:[0-9a-f]{2}:){5}[0-9a-f]{2}):ip:([^,]+),([^,]*),(\d+)(?:,(.*))?")
_CONTROLLER = 202


class Recorded(ProviderInventory):
    """The items of a vSphere provider."""

    def __init__(self, provider: Object, vms: list[Object]) -> None:
        super().__init__(provider)
        self.collections = {"vms": vms, **{name: _body(name) for name in ("hosts", "clusters", "networks", "datastores")}}
        single = {"id": "domain-s26", "name": "DC0_H0", "variant": "ComputeResource", "path": "/DC0/host/DC0_H0"}
        self.collections["clusters"].append(single)
        self.ready.set()

    def collection(self, name: str) -> list[Object]:
        return self.collections.get(name, [])


def _body(collection: str) -> list[Object]:
    assert GOLDEN is not None
    return json.loads((GOLDEN / f"inventory/vsphere/{collection}-detail-1.json").read_text())["body"]


def plain() -> Object:
    """A VM that nothing is to be said against."""
    assert GOLDEN is not None
    with (GOLDEN / "concerns/vms-concerns.jsonl").open() as records:
        found = next(record for record in map(json.loads, records) if record["variant"] == "clean")
    return {**found["vm"], "concerns": []}


def machines(seen: list[Entry]) -> list[Object]:
    """The VMs that the plans of a recording name, in the order of their first appearance."""
    known: dict[str, str] = {}
    for plan in of(seen, "Plan"):
        for vm in ((plan.get("status") or {}).get("migration") or {}).get("vms") or ():
            known.setdefault(vm["id"], vm["name"])
    return [_machine(seen, id, name) for id, name in known.items()]


#: VMs of plans that never ran, as the recorded user had prepared them.
PREPARED: dict[str, Object] = {
    "app-01": {},
    "app-37": {},
    "app-38": {"changeTrackingEnabled": False},
    "app-39": {"snapshot": {"kind": "VirtualMachineSnapshot", "id": "snapshot-1"}},
    "app-40": {"toolsRunningStatus": "guestToolsNotRunning", "toolsStatus": "toolsNotRunning"},
    "app-43": {},
    "app-44": {"powerState": "poweredOff", "guestNetworks": []},
}


def prepared() -> list[Object]:
    return [_prepared(name, changes) for name, changes in PREPARED.items()]


def _prepared(name: str, changes: Object) -> Object:
    vm, number = copy.deepcopy(plain()), int(name.removeprefix("app-"))
    vm.update(id=f"vm-{53 + 3 * number}", name=name, path=f"/DC0/vm/{name}", **changes)
    vm["disks"][0].update(datastore={"kind": "Datastore", "id": "datastore-51"})
    if number > 1:  # app-01 has the address of a VM that is there
        for place in (*vm["nics"], *vm["guestNetworks"]):
            place["mac"] = f"00:0c:29:00:00:{number}"
    if name == "app-43":
        vm["nics"].append(
            {
                **vm["nics"][0],
                "mac": "00:0c:29:00:01:43",
                "order": 1,
                "deviceKey": 4001,
                "network": {"kind": "Network", "id": "dvportgroup-14"},
            }
        )
        vm["networks"].append({"kind": "Network", "id": "dvportgroup-14"})
    return vm


#: Of the vCenter with two datacenters.
STORES = tuple({"id": f"datastore-{77 + 2 * number}", "name": "LocalDS_0", "path": f"/DC{number}/datastore/LocalDS_0"} for number in (0, 1))


def twins() -> list[Object]:
    """Two VMs of one name in two datacenters."""
    found = []
    for number in (0, 1):
        vm = _prepared("app-37", {})
        vm.update(id=f"vm-{82 + number}", name="twin", path=f"/DC{number}/vm/twin")
        vm["disks"][0].update(datastore={"kind": "Datastore", "id": STORES[number]["id"]})
        for place in (*vm["nics"], *vm["guestNetworks"]):
            place["mac"] = "00:0c:29:00:00:99" if number else "00:0c:29:63:65:61"
        found.append(vm)
    return found


def _machine(seen: list[Entry], id: str, name: str) -> Object:
    vm = copy.deepcopy(plain())
    vm.update(id=id, name=name, path=f"/DC0/vm/{name}", disks=_disks(seen, id, vm["disks"][0]))
    status = next(
        vm
        for plan in reversed(of(seen, "Plan"))
        for vm in ((plan.get("status") or {}).get("migration") or {}).get("vms") or ()
        if vm["id"] == id
    )
    if status.get("restorePowerState") == "Off":
        vm["powerState"] = "poweredOff"
    settings = [c["spec"]["settings"] for c in of(seen, "Conversion") if c["spec"]["vm"]["id"] == id]
    if settings:
        _guest(vm, settings[0])
    targets = [t for t in of(seen, "VirtualMachine") if (t["metadata"].get("labels") or {}).get("vmID") == id]
    volumes = [v["spec"]["source"].get("vddk", {}).get("uuid") for v in of(seen, "DataVolume") if v["metadata"]["labels"].get("vmID") == id]
    if any(volumes):
        vm["uuid"] = next(uuid for uuid in volumes if uuid)
    if targets:
        _hardware(vm, targets[0], of(seen, "NetworkMap"))
    return vm


def _disks(seen: list[Entry], id: str, like: Object) -> list[Object]:
    found: dict[str, Object] = {}
    for volume in of(seen, "DataVolume"):
        meta = volume["metadata"]
        if meta["labels"].get("vmID") != id:
            continue
        notes = meta["annotations"]
        file = notes["forklift.konveyor.io/disk-source"]
        store = re.match(r"\[(.*?)\]", file)
        datastores = {item["name"]: item["id"] for item in _body("datastores")}
        size = volume["spec"]["storage"]["resources"]["requests"]["storage"]
        found[file] = {
            **like,
            "file": file,
            "key": 204 + int(notes["forklift.konveyor.io/disk-index"]),
            "capacity": _bytes(size),
            "datastore": {"kind": "Datastore", "id": datastores[store[1] if store else ""]},
            "shared": meta["labels"].get("shareable") == "true",
        }
    return list(found.values()) or [
        {**like, "file": file, "datastore": {"kind": "Datastore", "id": "datastore-51"}} for file in _named(seen, id)
    ]


def _named(seen: list[Entry], id: str) -> list[str]:
    """The disks of a VM that was never copied, by the tasks of its pipeline."""
    vms = [vm for plan in of(seen, "Plan") for vm in ((plan.get("status") or {}).get("migration") or {}).get("vms") or () if vm["id"] == id]
    return list(dict.fromkeys(task["name"] for vm in vms for step in vm["pipeline"] for task in step.get("tasks") or ()))


def _bytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(\w*)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * {"": 1, "Mi": 1 << 20, "Gi": 1 << 30}[unit]


def _guest(vm: Object, settings: dict[str, str]) -> None:
    vm["hostName"] = settings.get("V2V_HOSTNAME", vm["hostName"])
    place = re.search(r"/DC0/host/[^?]*", settings.get("V2V_libvirtURL", ""))
    hosts = {"/DC0/host/DC0_H0": "host-23", **{host["path"]: host["id"] for host in _body("hosts")}}
    vm["host"] = hosts.get(place[0] if place else "", vm["host"])
    vm["guestNetworks"], vm["guestIpStacks"] = [], []
    for number, entry in enumerate(filter(None, settings.get("V2V_staticIPs", "").split("_"))):
        match = _STATIC.fullmatch(entry)
        assert match, entry
        mac, ip, gateway, prefix, dns = match.groups()
        network = {"mac": mac, "ip": ip, "prefix": int(prefix), "dns": (dns or "").split(",") if dns else [], "origin": "manual"}
        vm["nics"][min(number, len(vm["nics"]) - 1)]["mac"] = mac
        vm["guestNetworks"].append({**network, "device": str(number), "deviceConfigId": 4000 + number, "network": "DC0_DVPG0"})
        if gateway:
            route = "::" if ":" in gateway else "0.0.0.0"
            vm["guestIpStacks"].append({"device": str(number), "gateway": gateway, "network": route, "prefix": 0, "dns": []})


def _hardware(vm: Object, target: Object, maps: list[Object]) -> None:
    domain = target["spec"]["template"]["spec"]["domain"]
    vm["uuid"] = domain["firmware"].get("serial") or vm["uuid"]
    vm["memoryMB"] = _bytes(domain["memory"]["guest"]) >> 20
    cpu = domain["cpu"]
    vm["cpuCount"], vm["coresPerSocket"] = cpu["sockets"] * cpu["cores"], cpu["cores"]
    vm["firmware"] = "efi" if "efi" in domain["firmware"]["bootloader"] else "bios"
    vm["secureBoot"] = bool((domain["firmware"]["bootloader"].get("efi") or {}).get("secureBoot"))
    for disk, made in zip(vm["disks"], domain["devices"]["disks"], strict=False):
        disk["serial"] = made["serial"]
    interfaces, networks = domain["devices"].get("interfaces") or [], target["spec"]["template"]["spec"].get("networks") or []
    like = vm["nics"][0]
    vm["nics"], vm["networks"] = [], []
    for number, (interface, network) in enumerate(zip(interfaces, networks, strict=True)):
        id = _source_network(network, maps)
        vm["nics"].append(
            {**like, "mac": interface["macAddress"], "order": number, "deviceKey": 4000 + number, "network": {"kind": "Network", "id": id}}
        )
        vm["networks"].append({"kind": "Network", "id": id})


def _source_network(network: Object, maps: list[Object]) -> str:
    """The network that the map sends to where the target is."""
    ids = {item["name"]: item["id"] for item in _body("networks")}
    for pair in maps[0]["spec"]["map"] if maps else ():
        to: Any = pair["destination"]
        name = f"{to.get('namespace')}/{to.get('name')}"
        if (to["type"] == "pod" and "pod" in network) or name == (network.get("multus") or {}).get("networkName"):
            return pair["source"].get("id") or ids[pair["source"]["name"]]
    return NETWORK
