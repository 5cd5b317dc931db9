"""Host: access to one ESXi host of a vSphere provider (facts 1.2, 2.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers import references
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import ADVISORY, CRITICAL, REQUIRED, WARN, Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.reporting import report
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler, key_of
from ansible_collections.vmshift.mtv.controlplane.inventory import esxi
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    CONNECTION_TEST_SUCCEEDED,
    READY,
    VALIDATED,
    conditions_of,
    is_true,
    provider_type,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import SourceError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]

COLLECTION = "hosts"
SECRET_KEYS = ("user", "password")
RETEST = 15 * 60.0  # seconds until a failed connection is tried again
FRESH = 2.5  # seconds: writing a status leads to another look, which is no reason for another login


class HostReconciler(Reconciler):
    kind = "Host"

    def __init__(self, context: Context, test: esxi.ConnectionTest = esxi.test_connection) -> None:
        self.context = context
        self.api = context.api
        self._test = test
        self._tested: dict[Key, tuple[tuple[Any, ...], float, str]] = {}
        context.inventory.subscribe(self._inventory_changed)

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        return {"Provider": lambda obj: self._referring("provider", obj), "Secret": lambda obj: self._referring("secret", obj)}

    def _referring(self, field: str, obj: Object) -> list[Key]:
        return [key_of(host) for host in self.api.list(self.kind) if references.refers_to(host["spec"].get(field), obj)]

    def _inventory_changed(self, provider_uid: str, collection: str, _item: Object | None) -> None:
        if collection != COLLECTION:
            return
        for provider in self.api.list("Provider"):
            if provider["metadata"]["uid"] == provider_uid:
                for key in self._referring("provider", provider):
                    self.enqueue(key)

    async def reconcile(self, namespace: str, name: str) -> float | None:
        host = self.api.find(self.kind, namespace, name)
        if host is None or host["metadata"].get("deletionTimestamp"):
            self._tested.pop((namespace, name), None)
            return None
        conditions = Conditions(conditions_of(host))
        item = self._validate_reference(host["spec"], self._validate_provider(host["spec"], conditions), conditions)
        if not host["spec"].get("ipAddress"):
            conditions.set("IpNotValid", CRITICAL, "The `ipAddress` is not valid.", reason="NotSet")
        secret = self._validate_secret(host["spec"], conditions)
        # Whatever was found: that is when the recorded controllers say so, too.
        message = "The host inventory reference, IP address, and credentials have been validated."
        conditions.set(VALIDATED, ADVISORY, message, reason="Completed")
        failed = False
        if not conditions.blocked:
            _stage_state(item, conditions)
            failed = not await self._connect(host, secret, item, conditions)
        if not conditions.blocked:
            conditions.set(READY, REQUIRED, "The host is ready.")
        report(self.api, host, conditions, "host")
        return RETEST if failed else None

    def _validate_provider(self, spec: Object, conditions: Conditions) -> Object | None:
        """The provider, when the inventory can be asked about it."""
        reference = spec.get("provider") or {}
        provider = self.api.find("Provider", reference["namespace"], reference["name"]) if references.is_set(reference) else None
        if provider is None:
            reason = "NotFound" if references.is_set(reference) else "NotSet"
            conditions.set("ProviderNotValid", CRITICAL, "The provider is not valid.", reason=reason)
        elif provider_type(provider) != "vsphere":
            # A cluster says nothing at all about such a Host; a condition serves people better.
            conditions.set("TypeNotValid", CRITICAL, "Provider type not supported.", reason="TypeErr")
        elif not is_true(provider, READY):
            conditions.set("ProviderNotReady", CRITICAL, "The provider does not have the Ready condition.")
        else:
            return provider
        return None

    def _validate_reference(self, spec: Object, provider: Object | None, conditions: Conditions) -> Object:
        """The ESXi host in the inventory, {} when it is not known."""
        ref = {key: spec[key] for key in ("id", "name") if spec.get(key)}
        if not ref:
            conditions.set("RefNotValid", CRITICAL, "The `id` is not valid.", reason="NotSet")
        elif provider is not None:
            try:
                return references.resolve(references.loaded(self.context, provider), COLLECTION, ref)
            except references.Missing:
                conditions.set("RefNotValid", CRITICAL, "Referenced host not found.", reason="NotFound")
            except references.Ambiguous:
                conditions.set("RefNotValid", CRITICAL, "Host reference is ambiguous.", reason="Ambiguous")
        return {}

    def _validate_secret(self, spec: Object, conditions: Conditions) -> Object:
        reference = spec.get("secret") or {}
        if not references.is_set(reference):
            conditions.set("SecretNotValid", CRITICAL, "The `secret` is not set.", reason="NotSet")
            return {}
        secret = self.api.find("Secret", reference["namespace"], reference["name"])
        if secret is None:
            conditions.set("SecretNotValid", CRITICAL, "The `secret` cannot be found.", reason="NotFound")
            return {}
        missing = [key for key in SECRET_KEYS if key not in (secret.get("data") or {})]
        if missing:
            conditions.set("SecretNotValid", CRITICAL, "The `secret` missing required data.", reason="DataErr", items=missing)
        return secret

    async def _connect(self, host: Object, secret: Object, item: Object, conditions: Conditions) -> bool:
        """Stage how the test of the connection went; whether it succeeded."""
        problem = await self._problem(host, secret, item)
        if problem:
            message = f"Could not connect to the ESXi host, please check credentials. Error: {problem}"
            conditions.set("ConnectionTestFailed", CRITICAL, message, reason="Tested")
        else:
            conditions.set(CONNECTION_TEST_SUCCEEDED, REQUIRED, "Connection test, succeeded.", reason="Tested")
        return not problem

    async def _problem(self, host: Object, secret: Object, item: Object) -> str:
        address, thumbprint = host["spec"]["ipAddress"], item.get("thumbprint") or ""
        subject = (address, secret["metadata"]["uid"], secret["metadata"]["resourceVersion"], thumbprint)
        last = self._tested.get(key_of(host))
        if last and last[0] == subject and time.monotonic() - last[1] < FRESH:
            return last[2]
        problem = ""
        try:
            await self._test(address, secret, thumbprint)
        except SourceError as error:
            problem = str(error)
        self._tested[key_of(host)] = (subject, time.monotonic(), problem)
        return problem


def _stage_state(item: Object, conditions: Conditions) -> None:
    """What vCenter thinks of the host; only maintenance and red keep it from being used."""
    if item.get("inMaintenance"):
        conditions.set("InMaintenance", CRITICAL, "Host is in maintenance mode.", reason="StateEvaluated")
    status = item.get("status") or ""
    if status != "green":
        message = f'Host overallStatus is "{status}" (expected green).'
        conditions.set("HostStatusNotGreen", WARN, message, reason="StateEvaluated")
    if status == "red":
        conditions.set("NotHealthy", CRITICAL, "Host overallStatus is red.", reason="StateEvaluated")
