"""What every reconciler works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.api import Api
    from ansible_collections.vmshift.mtv.controlplane.apiserver.auth import Tokens
    from ansible_collections.vmshift.mtv.controlplane.inventory.cache import Inventory
    from ansible_collections.vmshift.mtv.controlplane.state import State

CONTROLLER_NAMESPACE = "konveyor-forklift"


GUEST_NETWORKS = (ISOLATED, NAT) = ("isolated", "nat")


@dataclass(frozen=True)
class Guests:
    """Whether VirtualMachines are started in QEMU, and where to their guests have a route: nowhere, or through this machine."""

    run: bool = False
    network: str = ISOLATED


NO_GUESTS = Guests()


@dataclass(frozen=True)
class Context:
    """The API's objects, the state folder and the inventory of one control plane."""

    api: Api
    state: State
    inventory: Inventory
    namespace: str = CONTROLLER_NAMESPACE
    guests: Guests = NO_GUESTS
    tokens: Tokens | None = None  # None: pods get none
