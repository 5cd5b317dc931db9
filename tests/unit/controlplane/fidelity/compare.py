"""What a client sees of a scenario, in a form that can be compared: conditions, phases, pipelines, child objects with labels and owners."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator

from ansible_collections.vmshift.mtv.tests.unit.controlplane.fidelity.recording import (
    Entry,
    Object,
    anonymous,
    conditions,
    of,
    plain_pipeline,
    stripped,
    without_repeats,
)

CHILDREN = (
    "Secret",
    "ConfigMap",
    "DataVolume",
    "PersistentVolumeClaim",
    "Conversion",
    "Pod",
    "Job",
    "VirtualMachine",
    "VirtualMachineExport",
)
LIFE = ("Ready", "Executing", "Running", "Succeeded", "Failed", "Canceled", "Archived")
_LINES = 4  # of what differs in one object


def differences(theirs: list[Entry], ours: list[Entry]) -> list[str]:
    """One line each, beginning with where it is."""
    return [
        *_conditions(theirs, ours),
        *_lives(theirs, ours),
        *_vms(theirs, ours),
        *_children(theirs, ours),
    ]


def _last(seen: list[Entry], kind: str) -> dict[str, Object]:
    return {entry[3]: entry[4] for entry in seen if entry[1] == kind}


def _conditions(theirs: list[Entry], ours: list[Entry]) -> Iterator[str]:
    for kind in ("Plan", "Migration"):
        there, here = _last(theirs, kind), _last(ours, kind)
        for name in sorted(there.keys() | here.keys()):
            if name not in there or name not in here:
                yield f"{kind} {name}: only {'here' if name in here else 'there'}"
                continue
            yield from _told(f"{kind} {name}", conditions(there[name]), conditions(here[name]))


def _told(where: str, there: dict[str, Object], here: dict[str, Object]) -> Iterator[str]:
    for type in sorted(there.keys() | here.keys()):
        if type not in there or type not in here:
            yield f"{where}: condition {type} only {'here' if type in here else 'there'}"
        elif (was := _plain(there[type])) != (is_ := _plain(here[type])):
            yield f"{where}: condition {type}: {_change(was, is_)}"


def _plain(value: Object) -> Object:
    return json.loads(anonymous(json.dumps(value)))


def _change(there: Object, here: Object) -> str:
    keys = [key for key in sorted(there.keys() | here.keys()) if there.get(key) != here.get(key)]
    return "; ".join(f"{key} {there.get(key)!r} there, {here.get(key)!r} here" for key in keys)


def _lives(theirs: list[Entry], ours: list[Entry]) -> Iterator[str]:
    """In which order a plan became ready, was carried out and ended."""
    for kind in ("Plan", "Migration"):
        for name in sorted(_last(theirs, kind).keys() & _last(ours, kind).keys()):
            there, here = _life(theirs, kind, name), _life(ours, kind, name)
            if there != here:
                yield f"{kind} {name}: life {there} there, {here} here"


def _life(seen: list[Entry], kind: str, name: str) -> list[list[str]]:
    states = [entry[4] for entry in seen if entry[1] == kind and entry[3] == name]
    return without_repeats([found for state in states if (found := [type for type in LIFE if type in conditions(state)])])


def _status(plan: Object) -> list[Object]:
    return ((plan.get("status") or {}).get("migration") or {}).get("vms") or []


def _vms(theirs: list[Entry], ours: list[Entry]) -> Iterator[str]:
    there, here = _runs(theirs), _runs(ours)
    for key in sorted(there.keys() | here.keys()):
        where = f"VM {key[1]} of plan {key[0]}"
        if key not in there or key not in here:
            yield f"{where}: only {'here' if key in here else 'there'}"
            continue
        phases = [without_repeats([vm["phase"] for vm in side[key]]) for side in (there, here)]
        if phases[0] != phases[1]:
            yield f"{where}: phases {_list_change(*phases)}"
        was, is_ = there[key][-1], here[key][-1]
        if plain_pipeline(was) != plain_pipeline(is_):
            yield f"{where}: pipeline {_lines(plain_pipeline(was), plain_pipeline(is_))}"
        yield from _told(where, conditions({"status": was}), conditions({"status": is_}))


def _list_change(there: list[str], here: list[str]) -> str:
    return " ".join(line for line in difflib.ndiff(there, here) if line[0] in "+-")


def _runs(seen: list[Entry]) -> dict[tuple[str, str], list[Object]]:
    found: dict[tuple[str, str], list[Object]] = {}
    for plan in of(seen, "Plan"):
        for vm in _status(plan):
            found.setdefault((plan["metadata"]["name"], anonymous(vm["id"])), []).append(vm)
    return found


def _children(theirs: list[Entry], ours: list[Entry]) -> Iterator[str]:
    for kind in CHILDREN:
        there, here = _made(theirs, kind), _made(ours, kind)
        for text in list(there):
            if text in here:
                there.remove(text)
                here.remove(text)
        for text in list(there):  # what is nearest belongs together
            near = difflib.get_close_matches(_title(text), [_title(other) for other in here], 1, 0.6)
            other = next((o for o in here if near and _title(o) == near[0]), None)
            if other is None:
                yield f"{kind} {_title(text)}: only there"
                continue
            here.remove(other)
            yield f"{kind} {_title(text)}: {_lines(json.loads(text), json.loads(other))}"
        for text in here:
            yield f"{kind} {_title(text)}: only here"


def _title(text: str) -> str:
    obj = json.loads(text)
    if obj["kind"] == "VirtualMachineExport":
        return obj["spec"]["source"]["name"]
    meta = obj["metadata"]
    labels = meta.get("labels") or {}
    own = [key for key in ("isDV", "isV2V", "isLUKS") if key in labels]
    number = (meta.get("annotations") or {}).get("forklift.konveyor.io/disk-index", "")
    return " ".join(filter(None, (meta.get("generateName") or meta.get("name", ""), labels.get("vmID", ""), *own, number)))


def _made(seen: list[Entry], kind: str) -> list[str]:
    """Each child of a kind as it was made, in a canonical form."""
    first: dict[tuple[str, str], Object] = {}
    for _time, found, namespace, name, obj in seen:
        labels = obj["metadata"].get("labels") or {}
        if found == kind and (kind == "VirtualMachineExport" or "plan" in labels or "vmID" in labels or "conversion" in labels):
            first.setdefault((namespace, obj["metadata"].get("uid") or name), obj)
    names = _random_names(seen)
    return sorted(_canonical(obj, names) for obj in first.values())


def _random_names(seen: list[Entry]) -> dict[str, str]:
    """Names with a random end, and what they are in every run."""
    found = {}
    for _time, _kind, _namespace, name, obj in seen:
        if begin := obj["metadata"].get("generateName"):
            found[name] = f"{begin}*"
    return found


def _canonical(obj: Object, names: dict[str, str]) -> str:
    owners = [{"kind": owner["kind"], "name": owner["name"]} for owner in obj["metadata"].get("ownerReferences") or ()]
    plain = stripped(obj)
    plain["metadata"]["owners"] = owners
    if plain["kind"] == "Secret":
        plain["data"] = sorted(plain.get("data") or ())  # their values were not recorded
    if "workload.yml" in (plain.get("data") or {}):
        plain["data"]["workload.yml"] = ""  # of a VM that is only like theirs
    if plain["kind"] == "Job":
        plain["spec"] = {}  # most of it is the API server's
        plain["metadata"]["labels"]["vddk"] = ""  # made from the name of an image, which was recorded with another registry
    text = anonymous(json.dumps(plain, sort_keys=True))
    text = re.sub(r"snapshot-\d+", "snapshot-N", text)
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(f'"{anonymous(name)}"', f'"{anonymous(names[name])}"')
    return text


def _lines(there: object, here: object) -> str:
    """The first lines that differ."""
    found = _flat(there), _flat(here)
    less = [f"-{path}={found[0][path]}" for path in found[0] if found[0][path] != found[1].get(path)]
    more = [f"+{path}={found[1][path]}" for path in found[1] if found[1][path] != found[0].get(path)]
    lines = [line for pair in zip(less, more, strict=False) for line in pair] if len(less) == len(more) else [*less, *more]
    return " ".join(lines[: 2 * _LINES]) + (f" … {len(lines)} in all" if len(lines) > 2 * _LINES else "")


def _flat(value: object, path: str = "") -> dict[str, str]:
    if isinstance(value, dict) and value:
        return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{path}.{re.sub('[. ]', '_', key)}".lstrip(".")).items()}
    if isinstance(value, list) and value:
        return {k: v for index, inner in enumerate(value) for k, v in _flat(inner, f"{path}[{index}]").items()}
    return {path: json.dumps(value)}
