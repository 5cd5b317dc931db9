"""Provider: is it well described, can it be reached, is its inventory loaded (facts 1.1, 2.2)?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.blocking import apart
from ansible_collections.vmshift.mtv.controlplane.cluster_client import is_insecure
from ansible_collections.vmshift.mtv.controlplane.controllers import conversion_tools, ova_server_objects, references, vsphere_provider
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, CRITICAL, REQUIRED, WARN, Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.provider_types import (
    FINALIZERS,
    SERVED,
    missing_secret_keys,
    type_problem,
    url_problem,
)
from ansible_collections.vmshift.mtv.controlplane.controllers.reporting import report
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler, key_of
from ansible_collections.vmshift.mtv.controlplane.inventory.items import PROBLEMS
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CONNECTION_TEST_SUCCEEDED,
    INVENTORY_CREATED,
    READY,
    VALIDATED,
    caught_up,
    conditions_of,
    is_host,
    is_true,
    provider_type,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

STAGING, READY_PHASE, VALIDATION_FAILED, CONNECTION_FAILED = "Staging", "Ready", "ValidationFailed", "ConnectionFailed"
SOON, LATER = 3.0, 30.0  # seconds until the next look: while something is missing, and when all is well
SLOW_LOAD = 3.0  # seconds after which a load is announced
#: Types of which Forklift says that certificates are not verified.
SAYS_INSECURE = ("vsphere", "ovirt", "hyperv", "nutanix")
INSECURE = "TLS is susceptible to machine-in-the-middle attacks when certificate verification is skipped."
#: Types that tell Forklift of refused credentials without an HTTP status, so that it takes them for any other failure.
LEARNS_NO_STATUS = ("openshift", "vsphere")
SHOWN_PROBLEMS = 5  # of a source, in a condition; the log has all


@dataclass(frozen=True)
class Tested:
    """A connection test: with which generation of the Provider and version of its Secret, when, and how it failed."""

    subject: tuple[int, str]
    at: float
    failure: SourceError | None


class ProviderReconciler(Reconciler):
    kind = "Provider"

    def __init__(self, context: Context) -> None:
        self.context = context
        self.api = context.api
        self._uids: dict[Key, str] = {}
        self._tests: dict[str, Tested] = {}
        context.inventory.subscribe(self._source_changed)

    # When to look

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"Secret": self._using, "OVAProviderServer": self._served_by, "Deployment": self._served_by}

    def _using(self, secret: Object) -> Iterable[Key]:
        return [key_of(p) for p in self.api.list(self.kind) if references.refers_to(p["spec"].get("secret"), secret)]

    def _served_by(self, obj: Object) -> Iterable[Key]:
        uid = (obj["metadata"].get("labels") or {}).get("provider")
        return self._with_uid(uid) if uid else []

    def _with_uid(self, uid: str) -> list[Key]:
        return [provider.place for provider in self.api.records(self.kind) if provider.uid == uid]

    def _source_changed(self, uid: str, collection: str, _item: Object | None) -> None:
        if collection == PROBLEMS:
            for key in self._with_uid(uid):
                self.enqueue(key)

    # One look

    async def reconcile(self, namespace: str, name: str) -> float | None:
        provider = self.api.find(self.kind, namespace, name)
        uid = self._uids.pop((namespace, name), "")
        if uid and (provider is None or provider["metadata"]["uid"] != uid):
            self._forget(uid)
        if provider is None:
            return None
        if provider["metadata"].get("deletionTimestamp"):
            self._release(provider)
            return None
        self._uids[namespace, name] = provider["metadata"]["uid"]
        changed = not caught_up(provider)
        if changed:
            self.context.inventory.drop(provider["metadata"]["uid"])
        conditions = Conditions(conditions_of(provider))
        secret = self._validate(provider, conditions)
        fields = await self._identify(provider, secret, conditions) if provider_type(provider) == "vsphere" else {}
        if conditions.blocked:
            unreachable = conditions.has("ConnectionTestFailed")
            self._report(provider, conditions, CONNECTION_FAILED if unreachable else VALIDATION_FAILED, fields)
            return SOON if unreachable else None
        fields |= self._serve(provider, changed)
        waiting = self._waiting_for_server(provider)
        if waiting:
            conditions.set("WaitingForService", ADVISORY, waiting, reason="Started")
            self._validated(conditions)
            self._report(provider, conditions, STAGING, fields)
            return SOON
        return await self._connect(provider, secret, conditions, fields)

    def _validate(self, provider: Object, conditions: Conditions) -> Object:
        """Stage what can be said without reaching out. Returns the Secret ({} for the host provider, or when there is none)."""
        problem = type_problem(provider)
        if problem:
            conditions.set("ProviderTypeNotSupported", CRITICAL, problem, reason="NotSupported")
            return {}
        reason, problem = url_problem(provider)
        if problem:
            conditions.set("UrlNotValid", CRITICAL, problem, reason=reason)
        conversion_tools.stage_missing(SERVED[provider_type(provider)].tools, WARN, conditions)
        return {} if is_host(provider) else self._validate_secret(provider, conditions)

    def _validate_secret(self, provider: Object, conditions: Conditions) -> Object:
        """A cluster says nothing at all about a Secret that is not there; a condition serves people better."""
        reference = provider["spec"].get("secret") or {}
        secret = self.api.find("Secret", reference["namespace"], reference["name"]) if references.is_set(reference) else None
        if secret is None:
            reason = "NotFound" if references.is_set(reference) else "NotSet"
            conditions.set("SecretNotValid", CRITICAL, "The `secret` is not valid.", reason=reason)
            return {}
        if provider_type(provider) in SAYS_INSECURE and is_insecure(secret):
            conditions.set("ConnectionInsecure", WARN, INSECURE, reason="SkipTLSVerification")
        missing = missing_secret_keys(provider, secret)
        if missing:
            conditions.set("SecretNotValid", CRITICAL, "The `secret` is not valid.", reason="DataErr", items=missing)
        return secret

    async def _identify(self, provider: Object, secret: Object, conditions: Conditions) -> Object:
        """Keys for SSH, and the fingerprint of the server, which shows even while the Secret lacks a user (facts 2.2)."""
        namespace, names = provider["metadata"]["namespace"], vsphere_provider.ssh_key_names(provider)
        if any(self.api.find("Secret", namespace, name) is None for name in names):
            for keys in await apart(lambda: vsphere_provider.ssh_keys(provider)):
                if self.api.find("Secret", namespace, keys["metadata"]["name"]) is None:
                    self.api.create(keys)
        try:
            return {"fingerprint": await vsphere_provider.fingerprint(provider, secret) or None}
        except SourceError as error:
            conditions.set("ConnectionTestFailed", CRITICAL, f"Connection test, failed: {error}", reason="Tested")
            return {"fingerprint": None}

    async def _connect(self, provider: Object, secret: Object, conditions: Conditions, fields: Object) -> float | None:
        failure = await self._test(provider, secret)
        if failure:
            refused = failure.kind == "auth"
            if refused and provider_type(provider) not in LEARNS_NO_STATUS:
                conditions.set("ConnectionAuthFailed", CRITICAL, f"Connection auth failed, error: {failure}", reason="Tested")
            else:
                conditions.set("ConnectionTestFailed", CRITICAL, f"Connection test, failed: {failure}", reason="Tested")
            self._report(provider, conditions, CONNECTION_FAILED, fields)
            # Asking again with the same credentials could lock the account; a token, nobody can lock.
            return None if refused and provider_type(provider) != "openshift" else SOON
        conditions.set(CONNECTION_TEST_SUCCEEDED, REQUIRED, "Connection test, succeeded.", reason="Tested")
        self._validated(conditions)
        version = (secret.get("metadata") or {}).get("resourceVersion")
        known = self.context.inventory.get(provider["metadata"]["uid"])
        fields = {**fields, "secretResourceVersion": version}
        if known is not None and known.loaded and (provider.get("status") or {}).get("secretResourceVersion") == version:
            return self._finish(provider, conditions, fields)
        if not (caught_up(provider) and is_true(provider, READY)):  # after a start it stays Ready while it is loaded anew
            provider, conditions = self._interim(provider, conditions, fields)
        return await self._load(provider, secret, conditions, fields)

    async def _test(self, provider: Object, secret: Object) -> SourceError | None:
        meta = provider["metadata"]
        subject = meta.get("generation", 1), (secret.get("metadata") or {}).get("resourceVersion", "")
        last = self._tests.get(meta["uid"])
        if last and last.subject == subject:
            refused = last.failure is not None and last.failure.kind == "auth"
            if refused or time.monotonic() - last.at < SOON - 0.5:  # writing a status leads to another look
                return last.failure
        failure: SourceError | None = None
        try:
            await self.context.inventory.test(provider, secret)
        except SourceError as error:
            failure = error
        self._tests[meta["uid"]] = Tested(subject, time.monotonic(), failure)
        return failure

    async def _load(self, provider: Object, secret: Object, conditions: Conditions, fields: Object) -> float | None:
        loading = asyncio.ensure_future(self.context.inventory.load(provider, secret))
        try:
            done, _unused = await asyncio.wait({loading}, timeout=SLOW_LOAD)
            if not done:
                conditions.set("LoadInventory", ADVISORY, "Loading the inventory.", reason="Started")
                provider, conditions = self._interim(provider, conditions, fields)
                conditions.remove("LoadInventory")
            await loading
        except SourceError as error:
            conditions.set("InventoryError", CRITICAL, f"The inventory cannot be loaded: {error}", reason="DataErr")
            self._report(provider, conditions, CONNECTION_FAILED, fields)
            return SOON
        finally:
            loading.cancel()
        return self._finish(provider, conditions, fields)

    def _finish(self, provider: Object, conditions: Conditions, fields: Object) -> float:
        conditions.set(INVENTORY_CREATED, REQUIRED, "The inventory has been loaded.", reason="Completed")
        self._stage_problems(provider, conditions)
        self._stage_privileges(provider, conditions)
        conditions.set(READY, REQUIRED, "The provider is ready.")
        self._report(provider, conditions, READY_PHASE, fields)
        return LATER

    def _stage_problems(self, provider: Object, conditions: Conditions) -> None:
        """What of the source is not in the inventory, for those who look for a VM in vain. Forklift only logs it."""
        known = self.context.inventory.get(provider["metadata"]["uid"])
        if known is None or not known.problems:
            return
        shown, more = "; ".join(known.problems[:SHOWN_PROBLEMS]), len(known.problems) - SHOWN_PROBLEMS
        message = f"Not in the inventory: {shown}{f'; and {more} more' if more > 0 else ''}."
        conditions.set("InventoryIncomplete", WARN, message, reason="DataErr")

    def _stage_privileges(self, provider: Object, conditions: Conditions) -> None:
        known = self.context.inventory.get(provider["metadata"]["uid"])
        if known is not None and provider_type(provider) == "vsphere":
            vsphere_provider.stage_privileges(known.missing_privileges, conditions)

    # What to write

    def _validated(self, conditions: Conditions) -> None:
        conditions.set(VALIDATED, ADVISORY, "Validation has been completed.", reason="Completed")

    def _report(self, provider: Object, conditions: Conditions, phase: str, fields: Object) -> Object:
        return report(self.api, provider, conditions, "provider", {"phase": phase, **fields}).object()

    def _interim(self, provider: Object, conditions: Conditions, fields: Object) -> tuple[Object, Conditions]:
        """Tell how far it is, and go on staging from there."""
        provider = self._report(provider, conditions, STAGING, fields)
        going_on = Conditions(conditions_of(provider))
        going_on.keep(*(condition["type"] for condition in conditions_of(provider)))
        return provider, going_on

    # Provider servers

    def _serve(self, provider: Object, changed: bool) -> Object:
        """Have a server, a new one when the Provider was changed. Returns the status fields about it."""
        if not SERVED[provider_type(provider)].has_server:
            return {}
        if changed:
            self._delete_servers(provider)
        server = self._server(provider) or self.api.create(ova_server_objects.server(provider, self.context.namespace))
        return {"service": (server.get("status") or {}).get("service")}

    def _server(self, provider: Object) -> Object | None:
        labels = ova_server_objects.provider_labels(provider["metadata"]["uid"])
        servers = self.api.list("OVAProviderServer", self.context.namespace, labels=labels)
        return next((server for server in servers if not server["metadata"].get("deletionTimestamp")), None)

    def _waiting_for_server(self, provider: Object) -> str:
        """What of the server is not there yet; "" when it serves, or when the type has none."""
        if not SERVED[provider_type(provider)].has_server:
            return ""
        server = self._server(provider)
        if server is None or not (server.get("status") or {}).get("service"):
            return "Waiting for OVA inventory service to be created."
        deployments = self.api.list("Deployment", self.context.namespace, labels=ova_server_objects.server_labels(server))
        if not deployments:
            return "Waiting for OVA inventory service deployment to be created."
        if not any(map(ova_server_objects.is_available, deployments)):
            return "Waiting for OVA inventory service to become ready."
        return ""

    def _delete_servers(self, provider: Object) -> None:
        labels = ova_server_objects.provider_labels(provider["metadata"]["uid"])
        for server in self.api.list("OVAProviderServer", self.context.namespace, labels=labels):
            if not server["metadata"].get("deletionTimestamp"):
                self.api.delete("OVAProviderServer", self.context.namespace, server["metadata"]["name"], propagation="Foreground")

    # The end

    def _release(self, provider: Object) -> None:
        """Let a Provider go that is being deleted, once its servers are on their way out."""
        meta = provider["metadata"]
        self._delete_servers(provider)
        self._forget(meta["uid"])
        finalizers = meta.get("finalizers") or []
        left = [name for name in finalizers if name not in FINALIZERS.values()]
        if left != finalizers:
            self.api.patch(self.kind, meta["namespace"], meta["name"], {"metadata": {"finalizers": left or None}})

    def _forget(self, uid: str) -> None:
        self._tests.pop(uid, None)
        self.context.inventory.drop(uid)
