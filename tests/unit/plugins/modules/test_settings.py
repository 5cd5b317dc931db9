from __future__ import annotations

import importlib

import pytest
import yaml

from ansible_collections.vmshift.mtv.plugins.module_utils.authentication import AUTH_ARGUMENT_SPEC

CONTROLLER = "ForkliftController"
PLUGINS = "ansible_collections.vmshift.mtv.plugins"


def documented_options(module):
    """The options as ansible-doc puts them together."""
    documentation = yaml.safe_load(module.DOCUMENTATION)
    options = dict(documentation["options"])
    for name in documentation["extends_documentation_fragment"]:
        file, attribute, *_none = [*name.removeprefix("vmshift.mtv.").split("."), "documentation"]
        fragment = importlib.import_module(f"{PLUGINS}.doc_fragments.{file}").ModuleDocFragment
        options.update(yaml.safe_load(getattr(fragment, attribute.upper()))["options"])
    return options


@pytest.mark.parametrize("name", ["settings", "hook"])
def test_documentation_and_argument_spec_agree(name):
    module = importlib.import_module(f"{PLUGINS}.modules.{name}")
    documented = documented_options(module)
    assert set(documented) == set(module.ARGUMENT_SPEC)
    for option in set(documented) - set(AUTH_ARGUMENT_SPEC):
        agrees(option, documented[option], module.ARGUMENT_SPEC[option])


def agrees(option, documented, specified):
    for key in ("type", "choices", "elements", "required", "default"):
        assert documented.get(key) == specified.get(key), (option, key)
    assert documented["description"], option
    assert set(documented.get("suboptions", ())) == set(specified.get("options", ())), option
    for name, suboption in documented.get("suboptions", {}).items():
        agrees(f"{option}.{name}", suboption, specified["options"][name])


@pytest.fixture
def controller(plane):
    return plane.make(CONTROLLER, "forklift-controller", "konveyor-forklift", spec={})


@pytest.fixture
def settings(run, controller):
    return lambda **given: run("settings", namespace="konveyor-forklift", **given)


def stored(plane):
    return plane.do("get", CONTROLLER, "konveyor-forklift", "forklift-controller")["spec"]


def test_given_settings_are_written_as_the_resource_wants_them(plane, settings):
    given = {
        "controller_max_vm_inflight": 7,
        "feature_copy_offload": False,
        "controller_retain_precopy_importer_pods": True,
        "virt_v2v_container_limits_cpu": 6,
        "virt_v2v_extra_args": ["--machine-readable", "--block-driver=virtio-scsi"],
        "controller_pvc_name_template": "{{.PlanName}}-{{.DiskIndex}}",
    }
    before = stored(plane)
    predicted = settings(check_mode=True, **given)
    assert stored(plane) == before
    made = settings(**given)
    assert made["changed"]
    assert made["diff"] == predicted["diff"]
    assert made["diff"]["before"]["spec"]["controller_max_vm_inflight"] == 20
    written = {
        "controller_max_vm_inflight": 7,
        "feature_copy_offload": "false",
        "controller_retain_precopy_importer_pods": "true",
        "virt_v2v_container_limits_cpu": "6",
        "virt_v2v_extra_args": '["--machine-readable", "--block-driver=virtio-scsi"]',
        "controller_pvc_name_template": r"\{\{.PlanName\}\}-\{\{.DiskIndex\}\}",
    }
    assert stored(plane) == {**before, **written}
    assert {name: made["settings"][name] for name in given} == {**given, "virt_v2v_container_limits_cpu": "6"}
    assert not settings(**given)["changed"]


def test_null_brings_the_default_back_and_what_is_not_given_stays(plane, settings):
    settings(controller_max_vm_inflight=7, controller_log_level=0, vddk_image="quay.io/a/vddk:8")
    taken = settings(controller_max_vm_inflight=None, vddk_image=None)
    assert taken["changed"]
    assert taken["settings"]["controller_max_vm_inflight"] == 20
    assert taken["settings"]["vddk_image"] is None
    assert taken["settings"]["controller_log_level"] == 0
    assert "vddk_image" not in stored(plane)
    assert not settings(controller_max_vm_inflight=None, vddk_image=None)["changed"]


def test_nothing_given_only_reads(settings):
    read = settings()
    assert not read["changed"]
    assert read["settings"]["feature_ui_plugin"] is True
    assert read["settings"]["controller_precopy_interval"] == 60
    assert read["settings"]["virt_v2v_smp"] is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"controller_max_vm_inflight": 0}, "controller_max_vm_inflight: 0 is too small; the least is 1 (VMs)."),
        ({"controller_log_level": "loud"}, "controller_log_level"),
        ({"metric_interval": "often"}, "metric_interval: 'often' is not a duration such as 30s, 5m or 1h."),
        ({"api_container_limits_cpu": "1 core"}, "api_container_limits_cpu: '1 core' is not a quantity"),
        ({"virt_v2v_extra_args": '["--x"]'}, "virt_v2v_extra_args: give a list of arguments, not JSON."),
        ({"image_pull_policy": "Sometimes"}, "image_pull_policy"),
        ({"controller_max_vms": 3}, "controller_max_vms"),
        ({"name": "other", "controller_log_level": 1}, "there is no ForkliftController konveyor-forklift/other"),
    ],
)
def test_nothing_is_written_of_bad_values(plane, settings, given, said):
    before = stored(plane)
    result = settings(**{"controller_cleanup_retries": 3, **given})
    assert result["failed"]
    assert said in result["msg"]
    assert stored(plane) == before


def test_the_controller_must_be_clear(plane, run, controller):
    assert "mig has 0 ForkliftControllers; is MTV installed" in run("settings", namespace="mig")["msg"]
    plane.make(CONTROLLER, "second", "konveyor-forklift", spec={})
    assert "(forklift-controller, second): give name" in run("settings", namespace="konveyor-forklift")["msg"]
    assert not run("settings", namespace="konveyor-forklift", name="second")["changed"]


@pytest.mark.mtv("2.11.5")
def test_a_setting_of_a_newer_release_is_refused(plane, settings):
    before = stored(plane)
    result = settings(controller_windows_reboot_timeout=60, controller_log_level=1)
    expected = "controller_windows_reboot_timeout: the MTV of this cluster does not know this option; MTV 2.12.0 and newer do."
    assert result["msg"] == expected
    assert stored(plane) == before
    known = settings(feature_windows_registry_network_config=True, controller_windows_reboot_timeout=None)["settings"]
    assert known["feature_windows_registry_network_config"] is True
    assert "controller_windows_reboot_timeout" not in known
