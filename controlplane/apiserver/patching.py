"""Merge patches, JSON patches and strategic merge patches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jsonpatch
import jsonpointer

from ansible_collections.vmshift.mtv.controlplane.apiserver.errors import ApiError
from ansible_collections.vmshift.mtv.controlplane.apiserver.refusals import bad_request
from ansible_collections.vmshift.mtv.controlplane.jsontext import encoded

if TYPE_CHECKING:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

# Every object has these; a Kind's own merge_keys come on top.
_METADATA_KEYS = {"metadata.finalizers": "", "metadata.ownerReferences": "uid"}


def copy(value: Any) -> Any:
    """A deep copy of JSON data (several times faster than copy.deepcopy)."""
    return json.loads(encoded(value))


def copy_sharing(value: Any, known: Any) -> Any:
    """A deep copy of JSON data, but for what equals its counterpart in `known`: that is taken from there.

    So a long status of which little is new costs little: everything after this sees by identity what is as it was.
    Python's equality must do, which takes 1 and True for the same: not for what clients send.
    """
    if value is known:
        return known
    if isinstance(value, dict):
        if not isinstance(known, dict):
            known = {}
        elif value == known:
            return known
        return {name: copy_sharing(item, known.get(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        if not isinstance(known, list):
            known = []
        elif value == known:
            return known
        return [copy_sharing(item, known[index] if index < len(known) else None) for index, item in enumerate(value)]
    return value


def patched(kind: Kind, obj: Object, patch: Any, content_type: str) -> Object:
    """`obj` (which may be changed) after the patch. Raises ApiError 400, 415, 422."""
    if content_type == JSON:
        return json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request(f"a patch of type {content_type} must be a JSON object")
    if content_type == MERGE:
        return merge(obj, patch)
    if content_type == STRATEGIC and kind.merge_keys is not None:
        return strategic_merge(obj, patch, {**_METADATA_KEYS, **kind.merge_keys})
    raise unsupported(kind)


def accepted(kind: Kind) -> tuple[str, ...]:
    """Content types of patches to this kind. Strategic merge patches need Go types, which custom resources have not."""
    return (JSON, MERGE, *((STRATEGIC,) if kind.merge_keys is not None else ()), APPLY)


def unsupported(kind: Kind) -> ApiError:
    told = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted(kind))}"
    return ApiError(415, "UnsupportedMediaType", told)


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396: null deletes, objects merge, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def json_patch(obj: Object, patch: Any) -> Object:
    """RFC 6902. A failing `test`, or a path that is not there, is 422."""
    try:
        operations = jsonpatch.JsonPatch(patch)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError, AttributeError) as error:
        raise bad_request(f"the JSON patch cannot be read: {error}") from None
    refused = "the server rejected our request due to an error in our request"
    try:
        result = operations.apply(obj)
    except jsonpatch.JsonPatchTestFailed as error:
        raise ApiError(422, "Invalid", f"{refused}: testing value failed: {error}") from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        raise ApiError(422, "Invalid", f"{refused}: {error}") from None
    if not isinstance(result, dict):
        raise bad_request("the JSON patch leaves no object")
    return result


def strategic_merge(target: Any, patch: Object, merge_keys: Mapping[str, str], path: str = "") -> Any:
    """Kubernetes' own merge: lists named in `merge_keys` merge by item; `$patch`, `$deleteFromPrimitiveList`, `$retainKeys`."""
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    merged = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        merged = {key: value for key, value in merged.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        inner = f"{path}.{key}" if path else key
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            merged[field] = [item for item in merged.get(field, []) if item not in value]
        elif key == "$retainKeys" or key.startswith("$setElementOrder/"):
            continue
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = strategic_merge(merged.get(key), value, merge_keys, inner)
        elif isinstance(value, list) and inner in merge_keys:
            merged[key] = _merged_list(merged.get(key) or [], value, merge_keys, inner)
        else:
            merged[key] = value
    for key, order in patch.items():
        if key.startswith("$setElementOrder/"):
            field = key.partition("/")[2]
            if field in merged:
                merged[field] = _in_order(merged[field], order, merge_keys.get(f"{path}.{field}" if path else field, ""))
    return merged


def _merged_list(items: list[Any], patch: list[Any], merge_keys: Mapping[str, str], path: str) -> list[Any]:
    key = merge_keys[path]
    if not key:
        return items + [item for item in patch if item not in items]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    merged = list(items)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {json.dumps(item)} does not contain declared merge key: {key}")
        at = next((index for index, known in enumerate(merged) if known.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del merged[at]
        elif at is None:
            merged.append(strategic_merge({}, item, merge_keys, path))
        else:
            merged[at] = strategic_merge(merged[at], item, merge_keys, path)
    return merged


def _in_order(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """Items in the order the client knows; those it does not know stay behind what they followed."""
    wanted = [item[key] if key else item for item in order]

    def identity(item: Any) -> Any:
        return item.get(key) if key else item

    ranked: list[tuple[int, Any]] = []
    rank = -1
    for item in items:
        if identity(item) in wanted:
            rank = wanted.index(identity(item))
        ranked.append((rank, item))
    return [item for _rank, item in sorted(ranked, key=lambda pair: pair[0])]
