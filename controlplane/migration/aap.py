"""Hooks that launch a job template of Ansible Automation Platform, and wait for its job (facts 4.4).

A look at the job takes one request, at most every five seconds. Which job it is stands in an annotation of the VM's step: the plan
keeps it, so a control plane that was killed goes on with the job that it has launched.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane import automation
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError
from ansible_collections.vmshift.mtv.plugins.module_utils import job_templates
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]

#: On a step: the job that was launched, when that was (seconds since the epoch), and when it was last looked at.
JOB, LAUNCHED, LOOKED_AT = "aap-job", "aap-launched", "aap-looked-at"
POLL_SECONDS = 5.0
REQUEST_SECONDS = 30.0
DEFAULT_TIMEOUT = 3600
NOT_CONFIGURED = "AAP is not configured: set ForkliftController aap_url and aap_token_secret_name, or spec.aap.url and spec.aap.tokenSecret"


def run(work: VmRun, hook: Object) -> bool:
    """True when the job was successful. Raises PhaseError."""
    step, controllers = work.step, work.run.settings.namespace
    marks, settings = step.setdefault("annotations", {}), automation.settings(work.api, controllers)
    try:
        platform = automation.of_hook(work.api, controllers, settings, hook, work.plan["metadata"]["namespace"])
        if platform is None:
            raise PhaseError(NOT_CONFIGURED)
        seconds = float(settings.get("aap_timeout") or 0) or REQUEST_SECONDS
        if JOB not in marks:
            marks[JOB] = str(job_templates.launched(platform, hook["spec"]["aap"]["jobTemplateId"], extra_vars(work), seconds))
            marks[LAUNCHED] = marks[LOOKED_AT] = str(int(time.time()))
            return False
        if time.time() - float(marks[LOOKED_AT]) < POLL_SECONDS:
            return False
        marks[LOOKED_AT] = str(int(time.time()))
        status = job_templates.job_status(platform, int(marks[JOB]), seconds)
    except TalkError as error:
        raise PhaseError(str(error)) from None
    if status == "successful":
        return True
    if status in ("failed", "error", "canceled"):
        raise PhaseError(f"AAP job {marks[JOB]} failed with status: {status}")
    limit = timeout(hook, settings)
    if limit is not None and time.time() - float(marks[LAUNCHED]) > limit:
        raise PhaseError(f"AAP job {marks[JOB]} timed out after {_duration(limit)}")
    return False


def extra_vars(work: VmRun) -> dict[str, str]:
    meta = work.plan["metadata"]
    return {
        "vm_id": work.vm["id"],
        "vm_name": work.vm["name"],
        "plan_name": meta["name"],
        "plan_namespace": meta["namespace"],
        "migration_phase": work.vm["phase"],
        "vm_source_id": work.vm["id"],
    }


def timeout(hook: Object, settings: Object) -> int | None:
    """Seconds the job may take: that of the connection, the deadline of the hook, MTV's setting. None: as long as it likes."""
    spec = hook["spec"]
    for given in (spec["aap"].get("timeout") or 0, spec.get("deadline") or 0):
        if given:
            return None if given < 0 else given
    return int(settings.get("aap_timeout") or 0) or DEFAULT_TIMEOUT


def _duration(seconds: int) -> str:
    """As Go prints it: 1h0m0s"""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"
