"""core/v1 Events: what controllers tell about objects, counted instead of repeated, forgotten after a while."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.objectmeta import now

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api

Object = dict[str, Any]

KEPT = timedelta(hours=3)  # as OpenShift keeps them
_SWEEP_EVERY = timedelta(minutes=10)


class Recorder:
    """Writes Events through the Api."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._swept = datetime.min.replace(tzinfo=timezone.utc)

    def record(self, obj: Object, type: str, reason: str, message: str, component: str) -> None:
        """Tell about `obj`; the same again only counts up."""
        meta = obj["metadata"]
        namespace = meta.get("namespace") or "default"
        told = "\n".join((meta["uid"], type, reason, message, component))
        name = f"{meta['name'][:230]}.{hashlib.sha256(told.encode()).hexdigest()[:16]}"
        known = self._api.find("Event", namespace, name)
        try:
            if known:
                self._api.patch("Event", namespace, name, {"count": known.get("count", 1) + 1, "lastTimestamp": now()})
            else:
                self._sweep()
                self._api.create(_event(obj, namespace, name, type, reason, message, component))
        except ApiError as error:
            if error.code not in (403, 404):  # a namespace that is ending takes no events
                raise

    def _sweep(self) -> None:
        """Drop what is older than KEPT, now and then."""
        present = datetime.now(timezone.utc)
        if present - self._swept < _SWEEP_EVERY:
            return
        self._swept = present
        oldest = (present - KEPT).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._api.delete_collection("Event", None, lambda record: _last_seen(record.object()) < oldest)


def _last_seen(event: Object) -> str:
    return event.get("lastTimestamp") or event["metadata"]["creationTimestamp"]


def _event(obj: Object, namespace: str, name: str, type: str, reason: str, message: str, component: str) -> Object:
    meta = obj["metadata"]
    about = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"], "uid": meta["uid"]}
    about |= {field: meta[field] for field in ("namespace", "resourceVersion") if meta.get(field)}
    time = now()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": about,
        "type": type,
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "reportingComponent": component,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
