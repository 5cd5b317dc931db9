"""PreHook and PostHook: a playbook run as a Job beside the plan, or a job template of Ansible Automation Platform (facts 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.migration import aap, children
from ansible_collections.vmshift.mtv.controlplane.migration.run import PhaseError
from ansible_collections.vmshift.mtv.plugins.module_utils.hook_job import HookRun, owner

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.migration.run import VmRun

Object = dict[str, Any]

MOST_FAILURES = 3


def run(work: VmRun) -> bool:
    """Of several hooks for a step, the first one counts. A hook runs once for a migration, VM and step, whatever happens meanwhile."""
    hook = _hook(work)
    if hook["spec"].get("aap"):
        done = aap.run(work, hook)
    else:
        done = _has_succeeded(_job(work, hook))
    if done:
        work.step["progress"]["completed"] = 1
    return done


def _hook(work: VmRun) -> Object:
    entry = next(entry for entry in work.vm.get("hooks") or () if entry.get("step") == work.vm["phase"])
    reference = entry.get("hook") or {}
    found = work.api.find("Hook", reference.get("namespace"), reference.get("name", ""))
    if found is None:
        raise PhaseError("Hook not found.")
    return found


def _job(work: VmRun, hook: Object) -> Object:
    """The Job; made with its ConfigMap when they are not there."""
    wanted = HookRun(work.plan, work.vm["id"], work.vm["phase"], hook, work.run.migration["metadata"]["uid"])
    found = children.present(work.api, "Job", wanted.namespace, wanted.labels)
    config = children.present(work.api, "ConfigMap", wanted.namespace, wanted.labels)
    if found and config and config["metadata"].get("ownerReferences"):
        return found
    if config is None:
        config = children.create(work.api, wanted.config_map(work.traits.source, work.run.source.workload(work.source_vm)))
    name = config["metadata"]["name"]
    job = found or children.create(work.api, wanted.job(name, work.run.settings.service_account, work.run.settings.hooks))
    work.api.patch("ConfigMap", wanted.namespace, name, {"metadata": {"ownerReferences": [owner(job)]}})
    return job


def _has_succeeded(job: Object) -> bool:
    status = job.get("status") or {}
    failed = next((c for c in status.get("conditions") or () if c["type"] == "Failed" and c["status"] == "True"), None)
    if failed:
        raise PhaseError(failed.get("message", ""))
    if (status.get("failed") or 0) > MOST_FAILURES:
        raise PhaseError("Retry limit exceeded.")
    return (status.get("succeeded") or 0) > 0
