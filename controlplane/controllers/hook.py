"""Hook: can it run at all? Nothing is run here; a plan that uses hooks is refused by its validation."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import CRITICAL, REQUIRED, Conditions
from ansible_collections.vmshift.mtv.controlplane.controllers.reporting import report
from ansible_collections.vmshift.mtv.controlplane.controllers.runtime import Key, Reconciler, key_of
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import READY, conditions_of
from ansible_collections.vmshift.mtv.plugins.module_utils.image_reference import is_image_reference

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context

Object = dict[str, Any]


class HookReconciler(Reconciler):
    """Validates a Hook (facts 2.5)."""

    kind = "Hook"

    def __init__(self, context: Context) -> None:
        self.context = context

    def triggers(self) -> Mapping[str, Callable[[Object], Iterable[Key]]]:
        """The settings may hold the connection to Ansible Automation Platform."""
        return {"ForkliftController": lambda _settings: [key_of(hook) for hook in self.context.api.list("Hook")]}

    async def reconcile(self, namespace: str, name: str) -> float | None:
        hook = self.context.api.find(self.kind, namespace, name)
        if hook is None or hook["metadata"].get("deletionTimestamp"):
            return None
        conditions = Conditions(conditions_of(hook))
        spec = hook.get("spec") or {}
        problem = self._job_template_problem(spec) if spec.get("aap") is not None else _local_problem(spec)
        if problem:
            conditions.set("InvalidHookExecute", CRITICAL, problem, reason="NotSet")
        if spec.get("image") and not is_image_reference(spec["image"]):
            conditions.set("InvalidImage", CRITICAL, f"The image `{spec['image']}` is not a valid image reference.", reason="NotValid")
        if not _is_base64(spec.get("playbook") or ""):
            conditions.set("InvalidPlaybook", CRITICAL, "The playbook is not valid base64.", reason="DataErr")
        if not conditions.blocked:
            conditions.set(READY, REQUIRED, "The hook is ready.")
        report(self.context.api, hook, conditions, "hook")
        return None

    def _job_template_problem(self, spec: Object) -> str:
        aap = spec["aap"]
        if spec.get("image") or spec.get("playbook"):
            return "A hook with `aap` has neither `image` nor `playbook`."
        if (aap.get("jobTemplateId") or 0) <= 0:
            return "`aap.jobTemplateId` must be greater than 0."
        if aap.get("url") and (aap.get("tokenSecret") or {}).get("name"):
            return ""
        settings = next(iter(self.context.api.list("ForkliftController", self.context.namespace)), {}).get("spec") or {}
        if settings.get("aap_url") and settings.get("aap_token_secret_name"):
            return ""
        return (
            "Ansible Automation Platform is not configured: set `aap.url` and `aap.tokenSecret` of the hook, "
            "or `aap_url` and `aap_token_secret_name` of the ForkliftController."
        )


def _local_problem(spec: Object) -> str:
    return "" if spec.get("image") else "A hook needs an `image`, or `aap`."


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode("".join(text.splitlines()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
