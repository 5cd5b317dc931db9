"""The request document of the roles speaks the language of the modules."""

from __future__ import annotations

from pathlib import Path

import yaml

from ansible_collections.vmshift.mtv.plugins.module_utils import plan_spec
from ansible_collections.vmshift.mtv.plugins.modules import provider

ROLE = Path(__file__).resolve().parents[3] / "roles/migration_plan"
REQUEST = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]["migration_plan_request"][
    "options"
]
# Said elsewhere in the request, or of no use for a migration that is to run, cold.
NOT_IN_A_REQUEST = {"target_namespace", "archived", "type", "warm", "disk_bus"}


def shape(options):
    """Names, types, choices and secrecy of options, without texts."""
    keys = ("type", "choices", "elements", "no_log", "required")
    return {
        name: {
            **{key: option[key] for key in keys if option.get(key)},
            **({"options": shape(option["options"])} if option.get("options") else {}),
        }
        for name, option in options.items()
    }


def test_options_of_a_vm_are_those_of_the_plan_module():
    assert shape(REQUEST["vms"]["options"]) == shape({**plan_spec.SELECTOR_OPTIONS, **plan_spec.VM_OPTIONS})
    assert shape(REQUEST["exclude"]["options"]) == shape(plan_spec.SELECTOR_OPTIONS)
    assert REQUEST["vms"]["required_one_of"] == REQUEST["exclude"]["required_one_of"] == [list(plan_spec.SELECTOR_OPTIONS)]


def test_options_of_the_plan_are_those_of_the_plan_module():
    expected = {name: option for name, option in plan_spec.PLAN_OPTIONS.items() if name not in NOT_IN_A_REQUEST}
    assert shape(REQUEST["plan"]["options"]) == shape(expected)


def test_credentials_are_those_of_the_provider_module_and_hidden_alike():
    for role in ("source_provider", "target_provider"):
        assert shape(REQUEST[role]["options"]["secret"]["options"]) == shape(provider.secret_spec())
