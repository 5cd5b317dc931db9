# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hook finds in /tmp/hook: workload.yml and plan.yml, in MTV's own shape (facts 4.3). Pure.

MTV writes Go structs with a library that takes no notice of JSON names: a key is the field's Go name in lower case, an embedded
struct becomes a key of its own, and nothing is left out for being empty. The tables below are these structs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: struct -> fields. `name`: text; `name:int`, `:bool`, `:list` (of plain values), `:map`, `:pointer` (absent is null), `:STRUCT`,
#: `:[STRUCT]`, `:*STRUCT` (absent is null); `name<key`: called `key` in JSON; `name+STRUCT`: embedded, its fields are those of JSON.
STRUCTS: dict[str, str] = {
    "ref": "kind id",
    "concern": "id label category assessment",
    # vSphere
    "vsphere": "selflink vm+vsphere.vm host:vsphere.host",
    "vsphere.base": "id variant parent:ref path revision:int name selflink",
    "vsphere.vm1": "vm0+vsphere.base revisionvalidated:int istemplate:bool powerstate host networks:[ref] disks:[vsphere.disk] "
    "concerns:[concern]",
    "vsphere.vm": "vm1+vsphere.vm1 policyversion:int uuid instanceuuid firmware connectionstate snapshot:ref changetrackingenabled:bool "
    "consolidationneeded:bool cpuaffinity:list cpuhotaddenabled:bool cpuhotremoveenabled:bool memoryhotaddenabled:bool "
    "faulttoleranceenabled:bool cpucount:int corespersocket:int memorymb:int guestname guestnamefromvmwaretools hostname guestid "
    "balloonedmemory:int ipaddress storageused:int tpmenabled:bool numanodeaffinity:list devices:[vsphere.device] nics:[vsphere.nic] "
    "guestnetworks:[vsphere.guestnetwork] guestdisks:[vsphere.guestdisk] guestipstacks:[vsphere.guestipstack] secureboot:bool toolsstatus "
    "toolsrunningstatus toolsversionstatus<toolsversionstatus2 diskenableuuid:bool nestedhvenabled:bool customdef:[any] customvalues:[any] "
    "tags:[any]",
    "vsphere.disk": "key:int unitnumber:int controllerkey:int file datastore:ref capacity:int shared:bool rdm:bool physicalmode:bool bus "
    "mode serial windriveletter changetrackingenabled:bool parentfile<parent devicename vvolid lunuuid",
    "vsphere.device": "kind key:int pcislotnumber:int",
    "vsphere.nic": "network:ref mac index<order:int devicekey:int pciaddress startconnected:bool",
    "vsphere.guestnetwork": "device deviceconfigid:int mac ip origin prefixlength:int dns:list network",
    "vsphere.guestdisk": "key:int diskpath capacity:int freespace:int filesystemtype",
    "vsphere.guestipstack": "device gateway network prefixlength:int dns:list",
    "vsphere.host": "host+vsphere.onlyhost cluster:vsphere.hostcluster",
    "vsphere.onlyhost": "resource+vsphere.base cluster status inmaintenancemode<inmaintenance:bool managementserverip thumbprint timezone "
    "cpusockets:int cpucores:int memorybytes:int productname productversion network<networking:vsphere.networking networks:[ref] "
    "datastores:[ref] vms:[ref] networkadapters:[any] hostscsidisks:[vsphere.scsidisk] advancedoptions:[any] vmotionsupported:bool "
    "storagevmotionsupported:bool",
    "vsphere.networking": "pnics:[vsphere.pnic] vnics:[vsphere.vnic] portgroups:[vsphere.portgroup] switches:[vsphere.switch]",
    "vsphere.pnic": "key linkspeed:int",
    "vsphere.vnic": "key device portgroup dportgroup ipaddress ipv6address:list subnetmask mtu:int",
    "vsphere.portgroup": "key name switch<vswitch vlanid:int",
    "vsphere.switch": "key name portgroups:list pnics:list",
    "vsphere.scsidisk": "canonicalname vendor model key",
    "vsphere.hostcluster": "cluster+vsphere.cluster datacenter:pointer",
    "vsphere.cluster": "resource+vsphere.base folder networks:[ref] datastores:[ref] hosts:[ref] dasenabled:bool dasvms:[ref] "
    "drsenabled:bool drsbehavior drsvms:[ref]",
    # OVA
    "ova": "selflink vm+ova.vm",
    "ova.resource": "id variant path name selflink",
    "ova.vm1": "vm0+ova.resource revisionvalidated:int networks:[ova.network] disks:[ova.disk] concerns:[concern]",
    "ova.vm": "vm1+ova.vm1 ovfpath exportsource ostype revisionvalidated:int policyversion:int uuid firmware secureboot:bool "
    "cpuaffinity:list cpuhotaddenabled:bool cpuhotremoveenabled:bool memoryhotaddenabled:bool faulttoleranceenabled:bool cpucount:int "
    "corespersocket:int memorymb:int memoryunits cpuunits balloonedmemory:int ipaddress numanodeaffinity:list storageused:int "
    "changetrackingenabled:bool devices:[ova.device] nics:[ova.nic] disks:[ova.disk] networks:[ova.network]",
    "ova.base": "id variant name revision:int",
    "ova.network": "base+ova.base description",
    "ova.disk": "base+ova.base filepath capacity:int capacityallocationunits diskid fileref format populatedsize:int",
    "ova.device": "kind",
    "ova.nic": "name mac network config:[any]",
    # the plan
    "object": "kind namespace name uid apiversion resourceversion fieldpath",
    "plan": "description targetnamespace serviceaccount targetlabels:map targetnodeselector:map targetaffinity:pointer convertorlabels:map "
    "convertornodeselector:map convertoraffinity:pointer conversiontempstorageclass conversiontempstoragesize provider:plan.provider "
    "map:plan.map vms:[plan.vm] warm:bool transfernetwork:*object archived:bool preserveclustercpumodel:bool preservestaticips:bool "
    "skipzonenodeselector:bool diskbus pvcnametemplate pvcnametemplateusegeneratename:pointer volumenametemplate networknametemplate "
    "migrateshareddisks:bool rdmaslun:bool scsireservation:bool deleteguestconversionpod:bool deletevmonfailmigration:bool "
    "installlegacydrivers:pointer enablenestedvirtualization:pointer skipguestconversion:bool usecompatibilitymode:bool type "
    "targetpowerstate runpreflightinspection:bool customizationscripts:*object virtv2vimage xfscompatibility:bool tagmapping:pointer",
    "plan.provider": "source:object destination:object",
    "plan.map": "network:object storage:object",
    "plan.vm": "ref+plan.ref hooks:[plan.hook] luks:object nbdeclevis:bool rootdisk instancetype pvcnametemplate volumenametemplate "
    "networknametemplate targetname targetpowerstate deletevmonfailmigration:bool migrateshareddisks:pointer "
    "enablenestedvirtualization:pointer rdmaslun:pointer scsireservation:pointer",
    "plan.ref": "id name namespace type",
    "plan.hook": "step hook:object",
}
#: Sources whose VM lies a key deeper; their fields are taken as the inventory has them.
_DEEPER = ("ovirt", "openstack")
_ZERO: dict[str, Any] = {"": "", "int": 0, "bool": False, "list": [], "map": {}, "pointer": None}


def workload_yaml(source: str, workload: Mapping[str, Any]) -> str:
    """workload.yml. `workload`: what the inventory service answers for workloads/ID; `source`: the type of the provider."""
    link, vm = workload.get("selfLink", ""), {key: value for key, value in workload.items() if key not in ("selfLink", "path")}
    if source in STRUCTS:
        host = {"host": vm.pop("host", None)} if source == "vsphere" else {}
        return dumped(_struct(source, {"selflink": link, **_lowered(vm)}, {"selflink": link, **host}))
    about = _generic(vm)
    base = {key: about.pop(key) for key in ("id", "variant", "parent", "path", "revision", "name") if key in about}
    inner = {"vm1": {"vm0": {**base, "selflink": ""}}, **about}
    if source in _DEEPER:
        around = {key: inner.pop(key) for key in ("host", "cluster", "datacenter", "servercpu", "image", "flavor") if key in inner}
        return dumped({"selflink": link, "xvm": {"vm": inner}, **around})
    return dumped({"selflink": link, "vm": inner})


def plan_yaml(spec: Mapping[str, Any]) -> str:
    """plan.yml of a plan's spec."""
    return dumped(_struct("plan", _lowered(spec)))


def _struct(name: str, value: Mapping[str, Any], top: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`value` (keys in lower case) in the fields of a struct. `top`: fields whose values are not those of `value`."""
    if name == "any":
        return _generic(value)
    built: dict[str, Any] = {}
    for field in STRUCTS[name].split():
        if "+" in field:
            key, _unused, inner = field.partition("+")
            built[key] = _struct(inner, {k: v for k, v in value.items() if k not in ("selflink", "path") or top is None})
            continue
        key, _unused, kind = field.partition(":")
        key, _unused, json_key = key.partition("<")
        given = top[key] if top and key in top else value.get(json_key or key)
        built[key] = _field(kind, given)
    return built


def _field(kind: str, given: Any) -> Any:
    if kind in _ZERO:
        empty = _ZERO[kind]
        if given is None or (isinstance(empty, str) and not isinstance(given, str)):
            return list(empty) if empty == [] else dict(empty) if empty == {} else empty
        return _generic(given) if kind == "pointer" else given
    if kind.startswith("["):
        return [_struct(kind[1:-1], _lowered(item)) if isinstance(item, Mapping) else item for item in given or ()]
    if kind.startswith("*"):
        return None if given is None else _struct(kind[1:], _lowered(given))
    return _struct(kind, _lowered(given or {}))


def _lowered(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key.lower(): item for key, item in value.items()}


def _generic(value: Any) -> Any:
    """Keys in lower case at every depth, for what no table describes."""
    if isinstance(value, Mapping):
        return {key.lower(): _generic(item) for key, item in value.items()}
    return [_generic(item) for item in value] if isinstance(value, list) else value


def dumped(value: Any) -> str:
    """YAML as MTV's library writes it: empty text and what is no text in YAML without quotes gets double ones."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, data: str) -> Any:
        plain = data and dumper.resolve(yaml.ScalarNode, data, (True, False)) == "tag:yaml.org,2002:str"
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=None if plain else '"')

    Dumper.add_representer(str, text)
    # Numbers and words of pyVmomi are of types of its own.
    Dumper.add_multi_representer(str, lambda dumper, data: text(dumper, str(data)))
    Dumper.add_multi_representer(int, lambda dumper, data: dumper.represent_int(int(data)))
    return yaml.dump(value, Dumper=Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True, width=80)
