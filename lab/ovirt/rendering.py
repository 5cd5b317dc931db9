"""Objects as the engine sends them: XML made by the SDK's own writers, with links; and the JSON that the engine makes of the same."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any
from xml.etree import ElementTree

from ovirtsdk4 import List, types, xml
from ovirtsdk4.writer import Writer

from ansible_collections.vmshift.mtv.lab.ovirt.model import BELOW, PATHS, ROOT, TAGS, Fault, World

_START = re.compile(r"^<[^>]*?(/?)>")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")
#: Elements whose lists are called otherwise than by a plural of their own.
_LISTS = {("vlans", "vlan"), ("ips", "ip"), ("entries", "entry")}


def followed(world: World, obj: Any, follow: Iterable[str]) -> Any:
    """A copy of an object that has in place what `follow` names ("disk_attachments.disk", "nics")."""
    wanted: dict[str, list[str]] = {}
    for path in follow:
        attribute, _unused, beyond = path.strip().partition(".")
        if attribute:
            wanted.setdefault(attribute, []).append(beyond)
    if not wanted:
        return obj
    found = copy.copy(obj)
    for attribute, rest in wanted.items():
        if not hasattr(found, attribute):
            raise Fault(400, f"Cannot follow '{attribute}'.", "Request syntactically incorrect.")
        setattr(found, attribute, _target(world, obj, attribute, [path for path in rest if path]))
    return found


def _target(world: World, obj: Any, attribute: str, rest: list[str]) -> Any:
    path = obj.href.removeprefix(f"{ROOT}/")
    below = {attribute: name for name, attribute in BELOW.get(path.split("/")[-2], {}).items()}
    if attribute in below:
        children = List(f"{obj.href}/{below[attribute]}")
        children.extend(followed(world, child, rest) for child in world.all(f"{path}/{below[attribute]}"))
        return children
    value = getattr(obj, attribute)
    if isinstance(value, list):
        return [followed(world, world.get(child.href.removeprefix(f"{ROOT}/")), rest) for child in value]
    if value is None or not value.href:
        return value
    return followed(world, world.get(value.href.removeprefix(f"{ROOT}/")), rest)


def one(obj: Any) -> str:
    return _document(obj, _tag(obj))


def many(collection: str, objs: Sequence[Any]) -> str:
    tag = TAGS[collection][1]
    if collection == "nics" and any(isinstance(obj, types.HostNic) for obj in objs):
        tag = "host_nics"
    return f"<{tag}>{''.join(one(obj) for obj in objs)}</{tag}>"


def fault(error: Fault) -> str:
    return _written(types.Fault(detail=f"[{error.detail}]", reason=error.reason), "fault")


def action(status: str = "complete") -> str:
    return _written(types.Action(status=status), "action")


def _tag(obj: Any) -> str:
    if isinstance(obj, types.HostNic):
        return "host_nic"
    return TAGS[_collection(obj)][0]


def _collection(obj: Any) -> str:
    return PATHS.get(type(obj)) or obj.href.split("/")[-2]


def _document(obj: Any, tag: str) -> str:
    text = _written(obj, tag)
    inside = {ElementTree.QName(child.tag).text for child in ElementTree.fromstring(text)}
    links = "".join(
        f'<link href="{obj.href}/{name}" rel="{name}"/>'
        for name, attribute in BELOW.get(_collection(obj), {}).items()
        if attribute not in inside
    )
    if not links:
        return text
    return _START.sub(
        lambda start: f"{start[0].removesuffix('/>') if start[1] else start[0][:-1]}>{links}{f'</{tag}>' if start[1] else ''}", text
    )


def _written(obj: Any, tag: str) -> str:
    writer = xml.XmlWriter(None, indent=False)
    try:
        Writer.write(obj, writer, root=tag)
        return str(writer.string())
    finally:
        writer.close()


def as_json(document: str) -> Any:
    """The same as JSON: all values are strings, dates milliseconds; a list is an object with the name of its elements."""
    return _value(ElementTree.fromstring(document))


def _value(element: ElementTree.Element) -> Any:
    children = list(element)
    if not children and not element.attrib:
        text = element.text or ""
        return _milliseconds(text) if _DATE.fullmatch(text) else text
    found: dict[str, Any] = dict(element.attrib)
    for child in children:
        value = _value(child)
        if child.tag in ("link",) or _is_list(element.tag, child.tag):
            found.setdefault(child.tag, []).append(value)
        else:
            found[child.tag] = value
    return found


def _is_list(outer: str, inner: str) -> bool:
    plurals = {f"{inner}s", f"{inner}es", f"{inner.removesuffix('y')}ies"}
    return outer in plurals or (outer, inner) in _LISTS


def _milliseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp() * 1000)
