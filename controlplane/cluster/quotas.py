"""The status of ResourceQuotas: what went away frees room. What comes is counted when it is let in (apiserver/quota.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver import quota
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Reconciler

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

#: Kinds that may take less without going away.
_SHRINKING = ("Pod", "PersistentVolumeClaim")


class ResourceQuotaReconciler(Reconciler):
    kind = "ResourceQuota"
    rest = 1.0  # in a large namespace, counting takes its time

    def __init__(self, context: Context) -> None:
        self._api = context.api
        self._quotas = quota.Quotas(context.api.store)
        context.api.subscribe(self._changed)

    def _changed(self, event: str, kind: str, obj: Object) -> None:
        """Any kind may be counted, so this looks at all changes itself."""
        namespace = obj["metadata"].get("namespace")
        if namespace and kind != self.kind and (event == "DELETED" or (event == "MODIFIED" and kind in _SHRINKING)):
            for record in self._api.records(self.kind, namespace):
                self.enqueue(record.place)

    async def reconcile(self, namespace: str, name: str) -> float | None:
        found = self._api.find(self.kind, namespace, name)
        if found is not None:
            self._api.update_status({**found, "status": quota.status(found, self._quotas.counted(found))})
        return None
