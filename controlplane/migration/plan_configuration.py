"""ConfigMaps that a plan or the ForkliftController names, copied to where conversions can mount them (facts 3.1, 3.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.migration import labels

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.blocking import Objects
    from ansible_collections.vmshift.mtv.controlplane.migration.run import Run

Object = dict[str, Any]

SCRIPTS = "customization-scripts"
EXTRA = "extra-v2v-conf"


@dataclass(frozen=True)
class Part:
    """One ConfigMap: where it comes from, and how pods see it."""

    suffix: str
    source: Object  # {namespace, name}
    volume: str
    path: str

    def name(self, plan: Object) -> str:
        """Of the copy."""
        return f"{plan['metadata']['name']}-{self.suffix}"


def of(run: Run) -> list[Part]:
    """Those that the plan of `run` has."""
    found = []
    scripts = run.spec.get("customizationScripts") or {}
    if scripts.get("name"):
        source = {"namespace": scripts.get("namespace") or run.plan["metadata"]["namespace"], "name": scripts["name"]}
        found.append(Part(SCRIPTS, source, "scripts-volume-mount", "/mnt/dynamic_scripts"))
    if run.settings.extra_conf_config_map:
        source = {"namespace": run.settings.namespace, "name": run.settings.extra_conf_config_map}
        found.append(Part(EXTRA, source, EXTRA, "/mnt/extra-v2v-conf"))
    return found


def missing(run: Run) -> str:
    """What is wrong with them; "" when they are all there."""
    for part in of(run):
        if run.api.find("ConfigMap", part.source["namespace"], part.source["name"]) is None:
            return f"ConfigMap {part.source['namespace']}/{part.source['name']} not found."
    return ""


def copy(run: Run) -> None:
    """Bring the copies up to date."""
    there = run.target.objects
    for part in of(run):
        source = run.api.find("ConfigMap", part.source["namespace"], part.source["name"])
        if source is None:
            continue  # each VM will say so
        name = part.name(run.plan)
        content = {field: source[field] for field in ("data", "binaryData") if source.get(field)}
        old = there.find("ConfigMap", run.target_namespace, name)
        if old and all(old.get(field) == content.get(field) for field in ("data", "binaryData")):
            continue
        if old:
            there.delete("ConfigMap", run.target_namespace, name)
        meta = {"name": name, "namespace": run.target_namespace, "labels": _labels(run.plan)}
        there.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **content})


def remove(there: Objects, plan: Object) -> None:
    """Delete the copies of a plan."""
    there.delete_all("ConfigMap", None, _labels(plan))
    there.delete_all("ConfigMap", None, labels.of_library(plan))


def _labels(plan: Object) -> dict[str, str]:
    """Forklift's copies have none; without them a copy could not be told from a ConfigMap of the user's that has its name."""
    return {**labels.of_plan(plan), labels.RESOURCE: "plan-config"}
