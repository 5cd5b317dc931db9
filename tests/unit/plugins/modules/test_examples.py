"""The examples in the modules' documentation, and in documents for readers, are tasks that the modules and roles accept."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.vmshift.mtv.plugins.modules import provider

PACKAGE = "ansible_collections.vmshift.mtv.plugins.modules"
MODULES = sorted(path.stem for path in Path(provider.__file__).parent.glob("*.py"))
ROOT = Path(provider.__file__).parents[2]
DOCUMENTS = [path for pattern in ("README.md", "docs/*.md", "roles/*/README.md") for path in sorted(ROOT.glob(pattern))]
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
    accept(name, arguments)


def accept(name: str, arguments: dict[str, Any]) -> None:
    given = given_to_ansible(name)
    files = FILE_COMMON_ARGUMENTS if given.get("add_file_common_args") else {}
    validator = ArgumentSpecValidator({**files, **given["argument_spec"]}, **{rule: given[rule] for rule in RULES if rule in given})
    assert validator.validate(arguments).error_messages == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_examples_with_names(name: str) -> None:
    tasks = yaml.safe_load(importlib.import_module(f"{PACKAGE}.{name}").EXAMPLES)
    assert tasks
    assert all(task["name"][0].isupper() for task in tasks)


def within(value: Any) -> Iterator[tuple[str, Any]]:
    """All keys with their values, at any depth."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield str(key), inner
        yield from within(inner)
    for inner in value if isinstance(value, list) else ():
        yield from within(inner)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_in_a_document_are_accepted(path: Path) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
        found = list(within(yaml.safe_load(block)))
        for key, arguments in found:
            if key.startswith("vmshift.mtv."):
                accept(key.removeprefix("vmshift.mtv."), arguments or {})
        for role in [value["name"].removeprefix("vmshift.mtv.") for key, value in found if key.endswith(("import_role", "include_role"))]:
            specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())
            given = {key for key, _value in found if key.startswith(f"{role}_")}
            assert given <= set(specs["argument_specs"]["main"]["options"])
