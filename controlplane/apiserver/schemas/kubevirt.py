"""KubeVirt's kinds (group kubevirt.io)."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
KINDS = tuple(
    Kind("kubevirt.io", "v1", plural, kind.lower(), kind, namespaced, schema=_ANY, status=status, short_names=short, custom=True)
    for plural, kind, namespaced, status, short in (
        ("virtualmachines", "VirtualMachine", True, True, ("vm", "vms")),
        ("virtualmachineinstances", "VirtualMachineInstance", True, True, ("vmi", "vmis")),
    )
)
