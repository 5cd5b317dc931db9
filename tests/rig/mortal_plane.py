"""A control plane that dies by SIGKILL where a test wants it: `python mortal_plane.py serve --state FOLDER`.

MORTAL in its environment is JSON. Death comes, `when` "before" or "after":

    {"phase": "CreateVM", "when": …}     the write that brings the first VM of a plan into that phase
    {"made": "Migration", "when": …}     the write that makes an object of that kind; "gone": one that takes one away
    {"rebound": true, "when": …}         the write that gives a volume to another claim
    {"commit": 7, "when": …}             the seventh write of this life
    {"side": "allocate", "when": …}      making a volume; "launch": starting a pod's process; "remove": removing a volume

`delay` seconds later when given, or when the first VM of a plan is to get into another phase: who is to die in a phase never outlives it.
With `ledger`, a folder outside of the state folder, it is kept there what a loss of power would leave:
each file of the store as it was at its last fsync (taken where SQLite syncs), and the revision of the last write that was acknowledged.
"""

from __future__ import annotations

import ctypes
import json
import os
import runpy
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGE = "ansible_collections.vmshift.mtv.controlplane"
ACKNOWLEDGED = "acknowledged"


class Fate:
    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self._commits = 0
        self._doomed = False  # it dies soon
        self._ledger = Path(told["ledger"]) if told.get("ledger") else None

    def around(self, what: dict[str, Any], act: Callable[[], Any]) -> Any:
        self.meet(what, "before")
        result = act()
        self.meet(what, "after")
        return result

    def meet(self, what: dict[str, Any], when: str) -> None:
        if self._told.get("when") == when and any(key in self._told and self._told[key] == value for key, value in what.items()):
            self._die()

    def persist(self, store: Any, original: Callable[..., None], changes: Any) -> None:
        self._commits += 1
        made = next((event.record.kind for event, _obj in changes if event.type == "ADDED"), "")
        gone = next((event.record.kind for event, _obj in changes if event.type == "DELETED"), "")
        rebound = any(map(_is_rebound, changes))
        phase = self._phase_reached(changes)
        if self._doomed and phase:
            os.kill(os.getpid(), signal.SIGKILL)
        what = {"commit": self._commits, "phase": phase, "made": made, "gone": gone, "rebound": rebound}
        self.around(what, lambda: self._acknowledged(store, original, changes))

    def _acknowledged(self, store: Any, original: Callable[..., None], changes: Any) -> None:
        original(store, changes)
        if self._ledger:
            with (self._ledger / ACKNOWLEDGED).open("ab", 0) as file:
                file.write(b"%d\n" % store.revision)  # in one write: it is there whole or not at all

    @staticmethod
    def _phase_reached(changes: Any) -> str:
        """The phase that the VM of a plan gets into by these changes, "" for none."""
        for event, obj in changes:
            if event.record.kind == "Plan" and event.type == "MODIFIED":
                before, now = _phase_of(event.previous.object()), _phase_of(obj)
                if before != now:
                    return now
        return ""

    def _die(self) -> None:
        if self._told.get("delay"):
            threading.Timer(self._told["delay"], os.kill, (os.getpid(), signal.SIGKILL)).start()
            self._told, self._doomed = {}, True
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def _is_rebound(change: Any) -> bool:
    event, obj = change
    if event.record.kind != "PersistentVolume" or event.type != "MODIFIED":
        return False
    before = event.previous.object()["spec"].get("claimRef") or {}
    return bool(before.get("uid")) and before["uid"] != (obj["spec"].get("claimRef") or {}).get("uid")


def _phase_of(plan: Any) -> str:
    vms = (plan.get("status") or {}).get("migration", {}).get("vms") or ()
    return vms[0]["phase"] if vms else ""


def keep_what_is_synced(ledger: Path, prefix: str) -> None:
    """From now on each file below `prefix` that SQLite syncs is copied to `ledger` as it is then."""
    import _sqlite3

    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    library.sqlite3_vfs_find.restype = ctypes.c_void_p
    vfs = library.sqlite3_vfs_find(None)
    # SQLite keeps the very pointer to the name, which a c_char_p would replace by one to a copy that soon goes.
    opens = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    syncs = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    methods_type = ctypes.c_void_p * 19  # the version, then 18 functions
    open_at = ctypes.c_void_p.from_address(vfs + 40)  # iVersion, szOsFile, mxPathname, pNext, zName, pAppData, xOpen
    original_open, kept = opens(open_at.value or 0), _kept

    def opened(which: int, name: int | None, file: int, flags: int, out: int) -> int:
        code = original_open(which, name, file, flags, out)
        path = os.fsdecode(ctypes.string_at(name)) if name else ""
        if code == 0 and path.startswith(prefix):
            methods = ctypes.c_void_p.from_address(file)
            own = methods_type.from_buffer_copy(methods_type.from_address(methods.value or 0))
            original_sync = syncs(own[5] or 0)

            def synced(synced_file: int, sync_flags: int) -> int:
                code = original_sync(synced_file, sync_flags)
                if code == 0:
                    target = ledger / Path(path).name
                    shutil.copyfile(path, target.with_suffix(".partial"))
                    target.with_suffix(".partial").replace(target)
                return code

            callback = syncs(synced)
            own[5] = ctypes.cast(callback, ctypes.c_void_p).value
            methods.value = ctypes.addressof(own)
            kept.extend((own, callback, original_sync))
        return code

    callback = opens(opened)
    open_at.value = ctypes.cast(callback, ctypes.c_void_p).value
    kept.extend((callback, original_open))


_kept: list[Any] = []  # what SQLite points to must not be collected


def main() -> None:
    from ansible_collections.vmshift.mtv.controlplane.apiserver.store import Store
    from ansible_collections.vmshift.mtv.controlplane.cluster import processes, volumes

    told = json.loads(os.environ.pop("MORTAL", "{}"))
    fate = Fate(told)
    if told.get("ledger"):
        keep_what_is_synced(Path(told["ledger"]), sys.argv[sys.argv.index("--state") + 1])
    persist = Store._persist
    Store._persist = lambda self, changes: fate.persist(self, persist, changes)  # type: ignore[method-assign]
    for module, name in ((volumes, "allocate"), (volumes, "remove")):
        original = getattr(module, name)
        setattr(module, name, lambda *args, _o=original, _n=name: fate.around({"side": _n}, lambda: _o(*args)))
    launch = processes.launch

    async def launched(*args: Any) -> None:
        fate.meet({"side": "launch"}, "before")
        await launch(*args)
        fate.meet({"side": "launch"}, "after")

    processes.launch = launched
    runpy.run_module(f"{PACKAGE}.__main__", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
