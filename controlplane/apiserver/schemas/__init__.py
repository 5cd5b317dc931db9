"""The built-in kinds, one module per API family."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind
from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas import cdi, cni, core, forklift, kubevirt


def built_in() -> tuple[Kind, ...]:
    return (*core.KINDS, *forklift.KINDS, *cdi.KINDS, *kubevirt.KINDS, *cni.KINDS)
