"""Modules run in this process, as Ansible runs them: arguments in, the JSON that they print out. A start of Python each would cost more."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from typing import Any

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

MODULES = "ansible_collections.vmshift.mtv.plugins.modules"


def run_module(name: str, params: dict[str, Any], *, check_mode: bool = False) -> dict[str, Any]:
    """The result of one task; `warnings` as texts, `stderr` what was written there."""
    module = importlib.import_module(f"{MODULES}.{name}")
    given = {"_ansible_check_mode": check_mode, "_ansible_diff": True, **params}
    warnings._global_warnings.clear()  # Ansible keeps them per process, one process being one task
    out, err = io.StringIO(), io.StringIO()
    # Tests of action plugins make this process a controller, where warnings go elsewhere.
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(_internal, "is_controller", False)
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
    result = json.loads(out.getvalue())
    result["warnings"] = [w["event"]["msg"] if isinstance(w, dict) else w for w in result.get("warnings", [])]
    result["stderr"] = err.getvalue()
    return result
