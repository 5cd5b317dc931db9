"""The examples in the modules' documentation are tasks that the modules accept."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.vmshift.mtv.plugins.modules import provider

PACKAGE = "ansible_collections.vmshift.mtv.plugins.modules"
MODULES = sorted(path.stem for path in Path(provider.__file__).parent.glob("*.py"))
RULES = ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")


class Asked(Exception):
    """What a module gives AnsibleModule."""

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.given = given


def given_to_ansible(name: str) -> dict[str, Any]:
    module = importlib.import_module(f"{PACKAGE}.{name}")
    with pytest.MonkeyPatch.context() as patch:

        def ask(**given: Any) -> None:
            raise Asked(**given)

        patch.setattr(module, "AnsibleModule", ask)
        with pytest.raises(Asked) as caught:
            module.main()
    return caught.value.given


def examples() -> list[Any]:
    found = []
    for name in MODULES:
        for task in yaml.safe_load(importlib.import_module(f"{PACKAGE}.{name}").EXAMPLES):
            for key, arguments in task.items():
                if key.startswith("vmshift.mtv."):
                    found.append(pytest.param(key.removeprefix("vmshift.mtv."), arguments or {}, id=f"{name}-{task['name']}"))
    return found


@pytest.mark.parametrize(("name", "arguments"), examples())
def test_an_example_is_accepted(name: str, arguments: dict[str, Any]) -> None:
    given = given_to_ansible(name)
    files = FILE_COMMON_ARGUMENTS if given.get("add_file_common_args") else {}
    validator = ArgumentSpecValidator({**files, **given["argument_spec"]}, **{rule: given[rule] for rule in RULES if rule in given})
    assert validator.validate(arguments).error_messages == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_examples_with_names(name: str) -> None:
    tasks = yaml.safe_load(importlib.import_module(f"{PACKAGE}.{name}").EXAMPLES)
    assert tasks
    assert all(task["name"][0].isupper() for task in tasks)
