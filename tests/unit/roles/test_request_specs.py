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
# Said elsewhere in the request, or of no use for a migration that is to run.
NOT_IN_A_REQUEST = {"target_namespace", "archived", "disk_bus"}
# A live migration moves a VM between clusters.
OTHER_TYPES = {"live"}


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
    types = [choice for choice in expected["type"]["choices"] if choice not in OTHER_TYPES]
    expected["type"] = {**expected["type"], "choices": types}
    assert shape(REQUEST["plan"]["options"]) == shape(expected)


def test_words_for_failures_are_those_of_the_roles_that_obey_them():
    def choices(role):
        specs = yaml.safe_load((ROLE.parent / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
        return specs[f"{role}_on_failure"]["choices"]

    assert REQUEST["on_failure"]["choices"] == choices("warm_migration")
    assert [word for word in REQUEST["on_failure"]["choices"] if word != "retry"] == choices("cutover")


def test_defaults_of_roles_are_those_that_are_documented():
    for folder in ROLE.parent.iterdir():
        specs = yaml.safe_load((folder / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
        documented = {name: option["default"] for name, option in specs.items() if "default" in option}
        defaults = folder / "defaults/main.yml"
        assert (yaml.safe_load(defaults.read_text()) if defaults.exists() else {}) == documented, folder.name


def test_credentials_are_those_of_the_provider_module_and_hidden_alike():
    for role in ("source_provider", "target_provider"):
        assert shape(REQUEST[role]["options"]["secret"]["options"]) == shape(provider.secret_spec())
