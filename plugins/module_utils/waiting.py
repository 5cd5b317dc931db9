# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for any number of objects of any kinds: one list and one watch per kind and namespace, ended by the first decisive state."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError, EventStream, TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.forklift import (
    caught_up,
    conditions_of,
    describe_conditions,
)
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import path_of, tidy

#: After this long without any status about the present spec a controller is not slow but silent (some mistakes get no status at all).
SILENCE_SECONDS = 60.0
#: Within this long MTV looks again at a plan that it refused, because what was wrong with it may be mended elsewhere.
VERDICT_SECONDS = 5.0
#: A cluster that cannot be reached for this long on end is not only restarting; it may be gone for good.
OUTAGE_SECONDS = 900.0
_WATCH_SECONDS = 60
#: Seconds until the cluster is looked at again that could not be read; doubled each time up to the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_HINT = "the objects it refers to (do they exist?) and the log of the forklift-controller pod"
#: Answers that asking again does not change.
_FINAL_STATUSES = (400, 401, 403, 404, 405)


class Target(NamedTuple):
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "{} {}".format(self.kind, "/".join(p for p in (self.namespace, self.name) if p))


class WaitError(TalkError):
    """A target failed, vanished or did not get there in time. The text holds the conditions seen.

    `target`: the one the text is about; `objects`: the last state seen of every target; `timed_out`: no failure, just not in time.
    """

    def __init__(self, message: str, target: Target, objects: Mapping[Target, dict[str, Any]], timed_out: bool = False) -> None:
        super().__init__(message, conditions=conditions_of(objects.get(target, {})), timed_out=timed_out)
        self.target = target
        self.objects = objects
        self.timed_out = timed_out


def wait_for(
    cluster: Cluster,
    targets: Iterable[Target],
    success: Callable[[dict[str, Any]], bool],
    failure: Callable[[dict[str, Any]], str | None] = lambda obj: None,
    *,
    timeout: float,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    goal: str = "ready",
    hint: str = "",
    silence: float = SILENCE_SECONDS,
    patience: float = 0,
    by_metadata: Sequence[str] = (),
) -> dict[Target, dict[str, Any]]:
    """Wait until `success` holds for every target; end at the first `failure` (its text says why), deletion or the deadline.

    Both predicates see an object only when its status speaks about its present spec (`observedGeneration`). `on_event` sees every state
    of every target, in order. `goal` completes "did not become …"; `hint` says what to look at when there is no status at all.
    `timeout`, `silence` and `patience` are seconds; silence 0 waits in silence up to the timeout; a failure has to outlast the patience.
    `by_metadata`: kinds of whose changes only the metadata is asked for; whatever else their objects have is what it was in the beginning.
    Raises WaitError, ClusterError.
    """
    wanted = list(dict.fromkeys(targets))
    seen: dict[Target, dict[str, Any]] = {}
    waiting = set(wanted)
    doubted: set[Target] = set()  # failed, but within the patience

    def look(target: Target, obj: dict[str, Any] | None) -> None:
        if obj is None:
            text = "was deleted while it was waited for" if target in seen else "does not exist"
            raise WaitError(f"{target} {text}.", target, seen)
        if target in seen and seen[target]["metadata"].get("uid") != obj["metadata"].get("uid"):
            raise WaitError(f"{target} was deleted and created anew while it was waited for.", target, seen)
        seen[target] = obj
        if on_event:
            on_event(obj)
        doubted.discard(target)
        if target not in waiting or not (target.kind in by_metadata or caught_up(obj)):
            return
        if success(obj):
            waiting.discard(target)
        elif failure(obj) and time.monotonic() - begin < patience:
            doubted.add(target)
        else:
            refuse(target)

    def refuse(target: Target) -> None:
        reason = failure(seen[target])
        if reason:
            raise WaitError(f"{target} did not become {goal}: {reason}", target, seen)

    begin = time.monotonic()

    def next_limit() -> float:
        # A cluster out of reach is not silent: what it would say is not known.
        quiet = silence and not observer.trouble and all(t in seen and not caught_up(seen[t]) for t in waiting)
        limit = min(timeout, silence) if quiet else timeout
        return min(limit, patience) if doubted else limit

    with _Observer(cluster, wanted, by_metadata) as observer:
        while waiting:
            remaining = begin + next_limit() - time.monotonic()
            if remaining <= 0 or not observer.next(look, remaining):
                if time.monotonic() - begin < next_limit():
                    continue
                for target in doubted:
                    refuse(target)
                target = next(t for t in wanted if t in waiting)
                text = _late(target, seen, next_limit(), timeout, goal, hint) + _contact(observer)
                raise WaitError(text, target, seen, timed_out=True)
    return seen


def target_of(obj: Mapping[str, Any]) -> Target:
    return Target(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def wait_gone(cluster: Cluster, targets: Iterable[Target], *, timeout: float) -> None:
    """Wait until none of the targets exists any more. Raises WaitError naming the finalizers that hold one back, ClusterError."""
    waiting = set(targets)
    wanted = list(waiting)
    seen: dict[Target, dict[str, Any]] = {}

    def look(target: Target, obj: dict[str, Any] | None) -> None:
        recreated = obj is not None and target in seen and seen[target]["metadata"].get("uid") != obj["metadata"].get("uid")
        if obj is None or recreated:
            waiting.discard(target)
        else:
            seen[target] = obj

    deadline = time.monotonic() + timeout
    with _Observer(cluster, wanted) as observer:
        while waiting:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not observer.next(look, remaining):
                target = next(t for t in wanted if t in waiting)
                finalizers = (seen.get(target, {}).get("metadata") or {}).get("finalizers") or []
                held = " It is held by the finalizers {}.".format(", ".join(finalizers)) if finalizers else ""
                text = f"{target} still exists {timeout:g} s after its deletion was asked for.{held}{_contact(observer)}"
                raise WaitError(text, target, seen, timed_out=True)


class _Observer:
    """Follows the targets in one daemon thread per (kind, namespace) and hands their states to the waiting thread."""

    def __init__(self, cluster: Cluster, targets: Iterable[Target], by_metadata: Sequence[str] = ()) -> None:
        self.trouble: ClusterError | None = None
        self._cluster = cluster
        self._by_metadata = by_metadata
        self._listed: dict[Target, dict[str, Any]] = {}
        self._states: queue.Queue[tuple[Target, dict[str, Any] | None] | ClusterError] = queue.Queue()
        self._stop = threading.Event()
        self._streams: dict[tuple[str, str], EventStream] = {}
        self._groups: dict[tuple[str, str], set[Target]] = {}
        for target in targets:
            self._groups.setdefault((target.kind, target.namespace), set()).add(target)

    def __enter__(self) -> _Observer:
        for group in self._groups:
            threading.Thread(target=self._follow, args=(group,), daemon=True, name=f"watch-{group[0]}").start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stop.set()
        for stream in list(self._streams.values()):
            stream.close()

    def next(self, look: Callable[[Target, dict[str, Any] | None], None], seconds: float) -> bool:
        """Hand the next state to `look`; False when none came within `seconds`. Raises the ClusterError that ended a watch for good."""
        try:
            state = self._states.get(timeout=max(seconds, 0.001))
        except queue.Empty:
            return False
        if isinstance(state, ClusterError):
            raise state
        look(*state)
        return True

    def _follow(self, group: tuple[str, str]) -> None:
        pause, lost = _FIRST_PAUSE, 0.0  # lost: since when the cluster cannot be read
        while not self._stop.is_set():
            try:
                version = self._list(group)
                self.trouble, pause, lost = None, _FIRST_PAUSE, 0.0
                while not self._stop.is_set():
                    version = self._watch(group, version)
                    self._stop.wait(0.1)  # a server that ends watches at once must not be hammered
            except ClusterError as error:
                lost = lost or time.monotonic()
                if error.status in _FINAL_STATUSES or time.monotonic() - lost > OUTAGE_SECONDS:
                    self._states.put(error)
                    return
                self.trouble = error
            except Exception as error:
                # A thread that died silently would let the wait hang until its deadline.
                self._states.put(ClusterError(0, "WatchFailed", f"The watch of {group[0]} failed: {error!r}"))
                return
            # Also after 410 Gone: the next round lists anew.
            self._stop.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _query(self, group: tuple[str, str]) -> dict[str, Any]:
        targets = self._groups[group]
        return {"fieldSelector": "metadata.name=" + next(iter(targets)).name} if len(targets) == 1 else {}

    def _list(self, group: tuple[str, str]) -> str:
        kind, namespace = group
        reply = self._cluster.request("GET", path_of(kind, namespace), query=self._query(group))
        found = {item["metadata"]["name"]: item for item in reply.get("items") or []}
        for target in self._groups[group]:
            obj = found.get(target.name)
            if obj:
                self._listed[target] = tidy(obj, kind)
            self._states.put((target, self._listed[target] if obj else None))
        return reply["metadata"]["resourceVersion"]

    def _watch(self, group: tuple[str, str], version: str) -> str:
        """One watch until the server ends it; the version to go on from."""
        kind, namespace = group
        query = {**self._query(group), "resourceVersion": version, "allowWatchBookmarks": "true"}
        bare = kind in self._by_metadata
        stream = self._cluster.stream(path_of(kind, namespace), query, seconds=_WATCH_SECONDS, metadata_only=bare)
        self._streams[group] = stream
        for event in stream:
            obj = event.get("object") or {}
            if event.get("type") == "ERROR":
                # 0: list again, whatever the code (410 Gone above all) says.
                raise ClusterError(0, obj.get("reason") or "WatchError", obj.get("message") or "the watch reported an error")
            version = obj["metadata"].get("resourceVersion", version)
            target = Target(kind, namespace, obj["metadata"].get("name", ""))
            if target in self._groups[group] and event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                self._states.put((target, None if event["type"] == "DELETED" else self._changed(target, obj)))
        return version

    def _changed(self, target: Target, obj: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of an object when a watch has told of it."""
        if target.kind not in self._by_metadata:
            return tidy(obj, target.kind)
        return {**self._listed.get(target, {}), **tidy({"metadata": obj["metadata"]}, target.kind)}


def _contact(observer: _Observer) -> str:
    """What is to be said of a cluster that cannot be reached."""
    return f" The last contact with the cluster failed: {observer.trouble}" if observer.trouble else ""


def _late(target: Target, seen: Mapping[Target, dict[str, Any]], waited: float, timeout: float, goal: str, hint: str) -> str:
    """The sentence for a wait that ended without a decision."""
    text = f"{target} did not become {goal} within {waited:g} s"
    obj = seen.get(target)
    if obj is None:
        text += ": it was never seen."
    elif caught_up(obj):
        phase = (obj.get("status") or {}).get("phase")
        text += "{}: {}.".format(f" (phase {phase})" if phase else "", describe_conditions(conditions_of(obj)).rstrip("."))
    else:
        about = "no status at all" if not obj.get("status") else "no status about its present spec"
        text += f": it has {about}, so its controller is not running or gives up on it silently."
        text += " Look at: {}.".format(
            (hint or "the objects it refers to (do they exist?) and the log of the forklift-controller pod").rstrip(".")
        )
        if waited < timeout:
            text += f" (The wait ended before its {timeout:g} s because nothing has happened.)"
    return text
