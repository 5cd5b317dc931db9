"""OVAProviderServer: the share of an OVA provider as a volume, and the server that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import NotFound
from ansible_collections.vmshift.mtv.controlplane.controllers import ova_server_objects as objects
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import now
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]


class OVAProviderServerReconciler(Reconciler):
    kind = "OVAProviderServer"

    def __init__(self, context: Context) -> None:
        self.context = context
        self.api = context.api

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return dict.fromkeys(("PersistentVolumeClaim", "Deployment", "Service"), self._server_of)

    def _server_of(self, obj: Object) -> Iterable[Key]:
        for owner in obj["metadata"].get("ownerReferences") or ():
            if owner["kind"] == self.kind:
                yield obj["metadata"]["namespace"], owner["name"]

    async def reconcile(self, namespace: str, name: str) -> float | None:
        server = self.api.find(self.kind, namespace, name)
        if server is None:
            return None
        if server["metadata"].get("deletionTimestamp"):
            self._tear_down(server)
        else:
            self._deploy(self._held(server))
        return None

    def _held(self, server: Object) -> Object:
        """With the finalizer that lets this controller remove the volume first."""
        meta = server["metadata"]
        finalizers = meta.get("finalizers") or []
        if objects.FINALIZER in finalizers:
            return server
        patch = {"metadata": {"finalizers": [*finalizers, objects.FINALIZER]}}
        return self.api.patch(self.kind, meta["namespace"], meta["name"], patch)

    def _deploy(self, server: Object) -> None:
        reference = server["spec"]["provider"]
        provider = self.api.find("Provider", reference["namespace"], reference["name"])
        if provider is None or provider["metadata"]["uid"] != server["metadata"]["labels"].get("provider"):
            return  # its provider is gone, and will have taken it along
        volume = self._ensure(server, objects.persistent_volume(server, provider["spec"]["url"]))
        claim = self._ensure(server, objects.claim(server, volume))
        deployment = self._ensure(server, objects.deployment(server, claim))
        service = self._ensure(server, objects.service(server))
        if (claim.get("status") or {}).get("phase") == "Bound" and not objects.is_available(deployment):
            self.api.update_status({**deployment, "status": objects.available(deployment, now())})
        meta = service["metadata"]
        reference = {"kind": "Service", "namespace": meta["namespace"], "name": meta["name"]}
        self.api.update_status({**server, "status": {**(server.get("status") or {}), "phase": "Ready", "service": reference}})

    def _ensure(self, server: Object, wanted: Object) -> Object:
        """The server's object of that kind; made when there is none. What is there is left as it is: its share never changes."""
        found = self._belongings(server, wanted["kind"])
        return found[0] if found else self.api.create(wanted)

    def _belongings(self, server: Object, kind: str) -> list[Object]:
        namespace = None if kind == "PersistentVolume" else server["metadata"]["namespace"]
        found = self.api.list(kind, namespace, labels=objects.server_labels(server))
        return [obj for obj in found if not obj["metadata"].get("deletionTimestamp")]

    def _tear_down(self, server: Object) -> None:
        meta = server["metadata"]
        if objects.FINALIZER not in (meta.get("finalizers") or []):
            return
        for kind in ("Service", "Deployment", "PersistentVolumeClaim", "PersistentVolume"):
            for obj in self._belongings(server, kind):
                try:
                    self.api.delete(kind, obj["metadata"].get("namespace"), obj["metadata"]["name"])
                except NotFound:  # its owner's deletion was quicker
                    continue
        left = [name for name in meta["finalizers"] if name != objects.FINALIZER]
        self.api.patch(self.kind, meta["namespace"], meta["name"], {"metadata": {"finalizers": left or None}})
