"""CDI's kinds (group cdi.kubevirt.io)."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
KINDS = tuple(
    Kind("cdi.kubevirt.io", "v1beta1", plural, kind.lower(), kind, namespaced, schema=_ANY, status=status, short_names=short, custom=True)
    for plural, kind, namespaced, status, short in (
        ("datavolumes", "DataVolume", True, True, ("dv", "dvs")),
        ("storageprofiles", "StorageProfile", False, True, ()),
    )
)
