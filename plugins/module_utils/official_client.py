# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few modules of the official client that a task needs, imported without the many they name.

`import kubernetes` takes half a CPU second to a whole one (hundreds of models, OAuth, requests, websockets), several times as much as
what a task then does. Nearly nothing of that is used to read a kubeconfig and to open a connection pool. So while one of those modules
is imported, stand-ins take the place of what is only used on rare ways (a refresh by OpenID Connect or Google, a proxy). A stand-in that
is used after all imports what it stands for. Afterwards `sys.modules` is as before: others get the whole client when they import it.

What cannot be had this way (a future version may be built differently) is imported in the ordinary way.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import ClusterError

#: Packages of the client, whose own code imports all of it. The modules in them are found as ever.
_PACKAGES = ("kubernetes", "kubernetes.client", "kubernetes.config", "kubernetes.utils")
#: Libraries that the client uses in some of its functions, but not while its modules are imported.
_LIBRARIES = ("adal", "google.auth", "oauthlib", "requests", "requests_oauthlib")
#: What modules take from a package by name and need at once: attribute -> the module that has it.
_NEEDED = {"kubernetes.client": {"Configuration": "kubernetes.client.configuration"}}

_lock = threading.RLock()
_kept: dict[str, ModuleType] = {}


def part(name: str) -> ModuleType:
    """A module of the official client, such as `config.kube_config`. Raises ClusterError when a library is missing."""
    name = "kubernetes." + name
    with _lock:
        # What is there already costs nothing; and another thread could come upon a stand-in.
        if "kubernetes" not in sys.modules and threading.active_count() == 1:
            # Whatever goes wrong here, the ordinary import tells whether it is an error.
            with contextlib.suppress(Exception), _StandIns():
                return importlib.import_module(name)
        try:
            return _kept.get(name) or importlib.import_module(name)
        except ImportError as error:
            missing = (error.name or "kubernetes").partition(".")[0]
            raise ClusterError(0, "MissingLibrary", missing_required_lib(missing)) from error


class _StandIn(ModuleType):
    """In sys.modules in place of a module while parts of the client are imported; afterwards a way to the module."""

    standing_in = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not self.standing_in:
            return getattr(importlib.import_module(self.__name__), name)
        if name in _NEEDED.get(self.__name__, {}):
            return getattr(importlib.import_module(_NEEDED[self.__name__][name]), name)
        if PathFinder.find_spec(f"{self.__name__}.{name}", getattr(self, "__path__", [])):
            raise AttributeError(name)  # a module, which Python imports then
        return _Later(self, name)


class _Later:
    """A class or function of a module that is not imported yet."""

    def __init__(self, module: _StandIn, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._module, self._name)(*args, **kwargs)


class _StandIns:
    """While this context lasts, an import of one of the packages and libraries (if it is installed) gives a stand-in."""

    def __init__(self) -> None:
        self._placed: dict[str, _StandIn] = {}

    def __enter__(self) -> None:
        sys.modules.update(_kept)
        sys.meta_path.insert(0, self)

    def __exit__(self, kind: Any, *_rest: Any) -> None:
        sys.meta_path.remove(self)
        own = {n: m for n, m in sys.modules.items() if n.startswith("kubernetes.") and n not in self._placed}
        for name in {*own, *self._placed}:
            sys.modules.pop(name, None)
        for module in self._placed.values():
            module.standing_in = False
        if kind is None:
            _kept.update(own)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _PACKAGES and not any(f"{name}.".startswith(library + ".") for library in _LIBRARIES):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = self  # type: ignore[assignment]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = self._placed[spec.name] = _StandIn(spec.name)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: that is the point."""
