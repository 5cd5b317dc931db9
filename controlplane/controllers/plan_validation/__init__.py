"""Is a plan fit to run? The conditions of facts 8 that can occur for the sources served here, in Forklift's order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.controllers import references
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation import (
    destination,
    populated,
    prerequisites,
    templates,
    vddk,
    vms,
    workflow,
)
from ansible_collections.vmshift.mtv.controlplane.controllers.plan_validation.subject import Subject

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.context import Context
    from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import Conditions

Object = dict[str, Any]

RULES = (
    destination.user_defined_networks,
    workflow.migration_type,
    populated.destination,
    vms.check,
    destination.transfer_network,
    destination.service_account,
    workflow.hooks,
    workflow.conversion_image,
    vddk.check,
    workflow.tools,
    templates.check,
    destination.conversion_storage,
    destination.pod_security,
)


def validate(context: Context, plan: Object, conditions: Conditions) -> None:
    """Stage all that is wrong with `plan` or worth a warning; nothing blocking staged means that it can run.

    `conditions` must carry what is durable (Executing). Raises Conflict while the inventory of a provider that is Ready is not
    loaded again after a start of the control plane: nothing can be said then, try again soon.
    """
    source, target = references.provider_pair(context.api, plan["spec"]["provider"], conditions)
    if conditions.has("SourceProviderNotReady"):
        return
    prerequisites.target_namespace(plan, conditions)
    network_map = prerequisites.network_map(context.api, plan, conditions)
    if network_map:
        prerequisites.addresses_on_pod_network(context.api, plan, source, network_map, conditions)
    storage_map = prerequisites.storage_map(context.api, plan, conditions)
    if conditions.blocked or source is None or target is None or network_map is None:
        return
    inventories = references.loaded(context, source), references.loaded(context, target)
    subject = Subject(context, plan, conditions, source, target, network_map, storage_map, *inventories)
    for rule in RULES:
        rule(subject)
