# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way a request document is carried out, and why: cold or warm, who copies disks, who converts guests (facts 3.3, 3.15). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.vmshift.mtv.plugins.module_utils.cutover import NOW, TOLERANCE, instant, text_of
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import CONVERSION_ONLY

COLD, WARM, LIVE = "cold", "warm", "live"
POPULATOR = "populator"  # a kind of cold
#: What `cutover` of a request says for: not yet.
WAIT = "wait"
#: Sources that can be copied while their VMs run.
WARM_SOURCES = {"vsphere": "VMware vSphere", "ovirt": "oVirt"}
#: Sources whose guests are changed to run on KubeVirt.
CONVERTED = frozenset({"vsphere", "ova", "hyperv", "ec2"})
#: Sources whose disks nothing but virt-v2v can read.
VIRT_V2V_ONLY = frozenset({"ova", "hyperv"})
RAW = "no guest is converted, because plan.skip_guest_conversion is true"


class Subject(NamedTuple):
    """What decides. `plan`: options of the plan, those that the request gives over those that an existing plan has."""

    request: Mapping[str, Any]
    plan: Mapping[str, Any]
    given: frozenset[str]  # options of the plan that the request gives
    source: str  # type of the provider, "" if nothing tells it
    local: bool  # the target is the cluster that MTV runs on

    def says(self, option: str, default: bool = False) -> bool:
        value = self.plan.get(option)
        return default if value is None else boolean(value, strict=False)

    @property
    def only_converts(self) -> bool:
        """Somebody else has copied the disks."""
        return self.plan.get("type") == CONVERSION_ONLY

    @property
    def way(self) -> str:
        return WARM if self.plan.get("type") == WARM or self.says("warm") else COLD

    @property
    def is_live(self) -> bool:
        """Between OpenShift clusters; carried out like a cold one: the plan is run, and that is all."""
        return self.plan.get("type") == LIVE

    @property
    def raw(self) -> bool:
        return self.says("skip_guest_conversion")

    @property
    def populated(self) -> bool:
        """Volume populators fetch the disks."""
        return self.way == COLD and self.local and self.source in ("openstack", "ovirt")

    @property
    def role(self) -> str:
        return f"{POPULATOR if self.populated else self.way}_migration"

    @property
    def where(self) -> str:
        return "because the target is the local cluster" if self.local else "because the target is another cluster"


def workflow(
    request: Mapping[str, Any],
    source: Mapping[str, Any] | None = None,
    target: Mapping[str, Any] | None = None,
    plan: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> dict[str, str]:
    """`way` (cold or warm), `role` that carries it out, `why` in one line, `refusal` (what keeps it from being carried out, or "").

    source, target, plan: the objects of those names that the cluster has already, for what the request leaves to them.
    """
    subject = _subject(request, source, target, plan)
    kind = "conversion without a copy" if subject.only_converts else f"{LIVE if subject.is_live else subject.way} migration"
    why = f"{kind}: {_asked(subject)}; {'; '.join(_copies(subject))}"
    refusal = _refusal(subject, fresh=plan is None, now=now or datetime.now(timezone.utc))
    return {"way": subject.way, "role": subject.role, "why": why, "refusal": refusal}


def _subject(
    request: Mapping[str, Any], source: Mapping[str, Any] | None, target: Mapping[str, Any] | None, plan: Mapping[str, Any] | None
) -> Subject:
    spec = (plan or {}).get("spec") or {}
    existing = {
        "type": spec.get("type"),
        "warm": spec.get("warm"),
        "skip_guest_conversion": spec.get("skipGuestConversion"),
        "migrate_shared_disks": spec.get("migrateSharedDisks"),
    }
    given = {key: value for key, value in (request.get("plan") or {}).items() if value is not None}
    if given.keys() & {"type", "warm"}:
        existing.update(type=None, warm=None)
    return Subject(
        request,
        {**existing, **given},
        frozenset(given),
        request["source_provider"].get("type") or _spec(source).get("type") or "",
        _is_local(request.get("target_provider"), target),
    )


def _spec(provider: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return (provider or {}).get("spec") or {}


def _is_local(wanted: Mapping[str, Any] | None, found: Mapping[str, Any] | None) -> bool:
    if not wanted:
        return True
    return not (wanted.get("url") if wanted.get("type") else _spec(found).get("url"))


def _asked(subject: Subject) -> str:
    """Where it is said that the migration is cold or warm."""
    plan = subject.plan
    if "type" in subject.given:
        return f"plan.type is {plan['type']}"
    if "warm" in subject.given:
        return f"plan.warm is {str(subject.says('warm')).lower()}"
    if plan.get("type") or plan.get("warm"):
        return f"the plan {subject.request['name']} is there and is {'of type conversion' if subject.only_converts else subject.way}"
    return "plan.type is not given, and MTV takes cold"


def _copies(subject: Subject) -> Iterator[str]:
    """Who copies the disks and who converts the guests."""
    source = subject.source
    if subject.only_converts:
        yield "somebody else has copied the disks"
        yield RAW if subject.raw else "virt-v2v converts the guests in them"
    elif subject.is_live:
        yield "KubeVirt hands the running guests over to the other cluster"
    elif subject.way == WARM:
        yield "CDI copies the disks while the VMs run, and then what changes, until the cutover"
        if source in CONVERTED:
            yield RAW if subject.raw else "virt-v2v converts the guests after it"
        elif source:
            yield _kvm_already(source)
    elif source in VIRT_V2V_ONLY:
        yield f"the disks are copied and converted by virt-v2v, because the source is of type {source}"
    elif source == "vsphere":
        yield from _cold_vsphere(subject)
    elif source == "ovirt":
        how = "volume populators (OvirtVolumePopulator) copy the disks" if subject.local else "CDI copies the disks"
        yield f"{how}, {subject.where}"
        yield _kvm_already(source)
    elif source == "openstack":
        yield "volume populators (OpenstackVolumePopulator) copy the disks out of images, because the source is of type openstack"
        yield _kvm_already(source)
    elif source == "openshift":
        yield "CDI copies the disks that the source exports, because the source is of type openshift"
        yield _kvm_already(source)
    elif source == "ec2":
        yield "volumes are made of snapshots of the disks, because the source is of type ec2"
        yield RAW if subject.raw else "virt-v2v converts the guests in them"
    else:
        yield f"who copies the disks is not known, because there is no provider {subject.request['source_provider']['name']} yet"


def _kvm_already(source: str) -> str:
    return f"no guest is converted, because those of type {source} run on KVM already"


def _cold_vsphere(subject: Subject) -> Iterator[str]:
    pairs = (subject.request.get("storage_map") or {}).get("pairs") or ()
    if any(pair.get("offload_plugin") for pair in pairs):
        yield "a storage array copies the disks, because the storage map has an offload_plugin"
    elif subject.raw:
        yield "CDI copies the disks as they are"
    elif not subject.local:
        yield f"CDI copies the disks, {subject.where}"
    elif not subject.says("migrate_shared_disks", default=True):
        yield "CDI copies the disks, because plan.migrate_shared_disks is false"
    else:
        yield f"the disks are copied and converted by virt-v2v, {subject.where}"
        return
    yield RAW if subject.raw else "virt-v2v converts the guests after it"


def _refusal(subject: Subject, fresh: bool, now: datetime) -> str:
    """Why the request cannot be carried out. fresh: there is no plan yet, so that no migration can have a time that is over."""
    plan, cutover = subject.plan, subject.request.get("cutover")
    if plan.get("type") and plan.get("warm") is not None and (plan["type"] == WARM) != subject.says("warm"):
        return f"plan.type is {plan['type']} and plan.warm is {str(subject.says('warm')).lower()}; give one of them."
    if subject.way == WARM and subject.source and subject.source not in WARM_SOURCES:
        can = " and ".join(WARM_SOURCES.values())
        return f"plan: MTV copies VMs of {can} while they run, and the source is of type {subject.source}; give plan.type cold."
    if subject.only_converts and subject.source not in ("", "vsphere"):
        return (
            f"plan: MTV converts disks that others have copied of VMs of VMware vSphere only, and the source is of type {subject.source}."
        )
    if not subject.only_converts and fresh and not subject.request.get("storage_map"):
        return "storage_map: there is none; only plans of type conversion, which copy nothing, go without."
    text = WAIT if cutover is None else str(cutover).strip()
    if text.lower() == WAIT:
        return ""
    if subject.way == COLD:
        return f"cutover: this goes with plan.type {WARM} only; the migration is {COLD}."
    if text.lower() == NOW:
        return ""
    try:
        time = instant(text, "cutover")
    except TalkError as error:
        return f"{str(error).rstrip('.')}, or {WAIT}."
    over = fresh and time < now - TOLERANCE
    return f"cutover: {text_of(time)} is over, it is {text_of(now)}; give a time to come, or {NOW}, or {WAIT}." if over else ""
