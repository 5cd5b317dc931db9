"""ResourceQuotas, as kube-apiserver keeps them: what a write would add to a namespace is counted, and refused when it is too much.

A write that is let in adds to `status.used` in its own transaction, so that two never share the last room. What goes away is counted
by whoever calls `counted` afterwards (cluster/quotas.py); before anything is refused, what is there is counted anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.controlplane.apiserver import refusals
from ansible_collections.vmshift.mtv.controlplane.quantity import Amount

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store

Object = dict[str, Any]
Usage = dict[str, Amount]  # by the name that a quota calls it

QUOTAS = "resourcequotas"
_PODS, _CLAIMS = "pods", "persistentvolumeclaims"
_ENDED = ("Succeeded", "Failed")
_ONE, _NOTHING = Amount.of(1), Amount.of(0)
_CLASS = ".storageclass.storage.k8s.io/"
#: Counted under their own names, too; anything else only as count/….
_PLAIN = ("configmaps", "secrets", "services", QUOTAS)
_COUNT = re.compile(r"count/(?P<resource>.+)")
_COMPUTE = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
_ALIASES = {"cpu": "requests.cpu", "memory": "requests.memory"}


class Quotas:
    def __init__(self, store: Store) -> None:
        self._store = store

    def admit(self, kind: Kind, new: Object, old: Object | None) -> None:
        """Count what a write adds. Raises ApiError 403 when a quota of the namespace does not have that much left."""
        namespace = new["metadata"].get("namespace", "")
        records = self._store.records(QUOTAS, namespace) if namespace else []
        if not records:
            return
        added = _added(kind.resource, new, old)
        for record in records if added else ():
            quota = record.object()
            hard = _amounts(limits(quota))
            wanted = {name: amount for name, amount in added.items() if name in hard}
            if kind.resource == _PODS and old is None and (missing := _unsaid(new, hard)):
                why = f"failed quota: {record.name}: must specify {missing}"
                raise refusals.forbidden(kind, new["metadata"].get("name", ""), why)
            if wanted:
                self._take(kind, new, quota, hard, wanted)

    def _take(self, kind: Kind, new: Object, quota: Object, hard: Usage, wanted: Usage) -> None:
        used = _amounts((quota.get("status") or {}).get("used") or {})
        if (quota.get("status") or {}).get("hard") != limits(quota) or _exceeded(hard, used, wanted):
            used = self.counted(quota)
        over = _exceeded(hard, used, wanted)
        if over:
            requested, has, limit = (_shown(amounts, over) for amounts in (wanted, used, hard))
            why = f"exceeded quota: {quota['metadata']['name']}, requested: {requested}, used: {has}, limited: {limit}"
            raise refusals.forbidden(kind, new["metadata"].get("name", ""), why)
        used.update({name: used.get(name, _NOTHING).plus(amount) for name, amount in wanted.items()})
        self._store.put(QUOTAS, {**quota, "status": status(quota, used)})

    def counted(self, quota: Object) -> Usage:
        """What the namespace of a quota has of all that it limits."""
        hard, namespace = limits(quota), quota["metadata"]["namespace"]
        total: Usage = dict.fromkeys(hard, _NOTHING)
        for resource in {resource for name in hard for resource in _counts(name)}:
            for record in self._store.records(resource, namespace):
                for name, amount in _usage(resource, record.object()).items():
                    if name in total:
                        total[name] = total[name].plus(amount)
        return total


def limits(quota: Object) -> Object:
    return (quota.get("spec") or {}).get("hard") or {}


def status(quota: Object, used: Usage) -> Object:
    hard = limits(quota)
    return {"hard": dict(hard), "used": {name: str(used.get(name, _NOTHING)) for name in hard}}


def _amounts(quantities: Mapping[str, Any]) -> Usage:
    return {name: _amount(text) for name, text in quantities.items()}


def _amount(text: Any) -> Amount:
    """What cannot be counted counts nothing; validation of its kind has let it pass."""
    try:
        return Amount.of(text)
    except ValueError:
        return _NOTHING


def _exceeded(hard: Usage, used: Usage, wanted: Usage) -> list[str]:
    return sorted(name for name, amount in wanted.items() if used.get(name, _NOTHING).plus(amount).value > hard[name].value)


def _shown(amounts: Usage, names: Iterable[str]) -> str:
    return ",".join(f"{name}={amounts.get(name, _NOTHING)}" for name in names)


def _added(resource: str, new: Object, old: Object | None) -> Usage:
    """What `new` has more of than `old`."""
    before = _usage(resource, old) if old else {}
    after = {name: amount.less(before.get(name, _NOTHING)) for name, amount in _usage(resource, new).items()}
    return {name: amount for name, amount in after.items() if amount.value}


def _counts(name: str) -> list[str]:
    """The resources whose objects count towards what a quota calls `name`."""
    counted = _COUNT.fullmatch(name)
    if counted:
        return [counted["resource"]]
    if name in (_CLAIMS, "requests.storage") or _CLASS in name:
        return [_CLAIMS]
    if name == _PODS or name in _COMPUTE or name in _ALIASES:
        return [_PODS]
    return [name] if name in _PLAIN else []


# What one object takes


def _usage(resource: str, obj: Object) -> Usage:
    taken: Usage = {f"count/{resource}": _ONE}
    if resource in _PLAIN:
        taken[resource] = _ONE
    elif resource == _CLAIMS:
        taken.update(_of_claim(obj["spec"]))
    elif resource == _PODS and (obj.get("status") or {}).get("phase") not in _ENDED:
        taken.update(_of_pod(obj["spec"]))
    return taken


def _of_claim(spec: Object) -> Usage:
    size = _amount(((spec.get("resources") or {}).get("requests") or {}).get("storage", "0"))
    taken = {_CLAIMS: _ONE, "requests.storage": size}
    if spec.get("storageClassName"):
        taken.update({f"{spec['storageClassName']}{_CLASS}{name}": amount for name, amount in tuple(taken.items())})
    return taken


def _of_pod(spec: Object) -> Usage:
    """The larger of what the containers take together and of what each init container takes while it runs."""
    taken = {_PODS: _ONE}
    for name in _COMPUTE:
        beside, most = _NOTHING, _NOTHING
        for container in spec.get("initContainers") or ():
            own = _compute(container).get(name, _NOTHING)
            if container.get("restartPolicy") == "Always":  # a sidecar stays
                beside = beside.plus(own)
                own = _NOTHING
            most = max(most, beside.plus(own), key=lambda amount: amount.value)
        together = beside
        for container in spec.get("containers") or ():
            together = together.plus(_compute(container).get(name, _NOTHING))
        overhead = (spec.get("overhead") or {}).get(name.partition(".")[2], "0")
        taken[name] = max(together, most, key=lambda amount: amount.value).plus(_amount(overhead))
    return {**taken, **{alias: taken[name] for alias, name in _ALIASES.items()}}


def _compute(container: Object) -> Usage:
    """Requests that are not said are the limits."""
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    requests = {**limits, **(resources.get("requests") or {})}
    said = {"requests": requests, "limits": limits}
    return {f"{kind}.{name}": _amount(text) for kind, amounts in said.items() for name, text in amounts.items()}


def _unsaid(pod: Object, hard: Usage) -> str:
    """What a quota limits and containers do not tell, in the words of kube-apiserver; "" when they tell it all."""
    limited = sorted({name for name in hard if name in _COMPUTE or name in _ALIASES})
    containers = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    silent = {
        name: sorted(container["name"] for container in containers if _ALIASES.get(name, name) not in _compute(container))
        for name in limited
    }
    return "; ".join(f"{name} for: {','.join(names)}" for name, names in silent.items() if names)
