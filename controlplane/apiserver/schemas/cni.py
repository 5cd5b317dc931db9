"""The Multus network attachment (group k8s.cni.cncf.io)."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
KINDS = tuple(
    Kind("k8s.cni.cncf.io", "v1", plural, kind.lower(), kind, namespaced, schema=_ANY, status=status, short_names=short, custom=True)
    for plural, kind, namespaced, status, short in (
        ("network-attachment-definitions", "NetworkAttachmentDefinition", True, False, ("net-attach-def",)),
    )
)
