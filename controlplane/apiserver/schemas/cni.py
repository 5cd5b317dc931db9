"""The Multus network attachment (group k8s.cni.cncf.io)."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import STRING, obj

KINDS = (
    Kind(
        "k8s.cni.cncf.io",
        "v1",
        "network-attachment-definitions",
        "network-attachment-definition",
        "NetworkAttachmentDefinition",
        schema=obj(spec=obj(config=STRING)),
        short_names=("net-attach-def",),
        custom=True,
        description="A network that pods and VMs can attach to",
    ),
)
