from __future__ import annotations

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.references import (
    ReferenceProblem,
    destination_provider,
    exists,
    parse,
    source_provider,
)


def test_a_name_lies_in_the_namespace_of_the_task(plane, there):
    plane.provider("vc", namespace="mig")
    plane.provider("vc", namespace="konveyor-forklift")
    assert source_provider(there, "vc", "mig")["metadata"]["namespace"] == "mig"
    given = {"name": "vc", "namespace": "konveyor-forklift"}
    assert source_provider(there, given, "mig")["metadata"]["namespace"] == "konveyor-forklift"


def test_an_unknown_provider_is_named_with_those_that_exist(plane, there):
    plane.provider("vc", type="vsphere")
    with pytest.raises(ReferenceProblem, match=r"source: the provider mig/vcenter does not exist; .* there are vc \(vsphere\)"):
        source_provider(there, "vcenter", "mig")
    with pytest.raises(ReferenceProblem, match="there is no provider in the namespace konveyor-forklift"):
        source_provider(there, "vcenter", "konveyor-forklift")


def test_check_mode_predicts_an_unknown_provider_with_a_warning(there):
    predicted = source_provider(there, "later", "mig", check_mode=True)
    assert not exists(predicted)
    assert predicted["metadata"] == {"name": "later", "namespace": "mig"}
    assert "mig/later does not exist" in there.warnings[0]


@pytest.mark.parametrize("given", [None, "host", {"name": "host"}])
def test_the_host_provider_is_found_where_mtv_is_installed(plane, there, given):
    plane.provider("host", type="openshift", namespace="konveyor-forklift")
    assert destination_provider(there, given, "mig")["metadata"]["namespace"] == "konveyor-forklift"
    plane.provider("host", type="openshift", namespace="mig")
    assert destination_provider(there, given, "mig")["metadata"]["namespace"] == "mig"


def test_the_host_provider_of_another_name(plane, there):
    plane.make("Namespace", "custom", "", "v1")
    plane.provider("remote", type="openshift", url="https://other", namespace="custom")
    plane.provider("here", type="openshift", namespace="custom")
    assert destination_provider(there, None, "mig")["metadata"]["name"] == "here"
    plane.provider("here-too", type="openshift", namespace="custom")
    with pytest.raises(ReferenceProblem, match="custom/here, custom/here-too"):
        destination_provider(there, None, "mig")


def test_no_destination(there):
    with pytest.raises(ReferenceProblem, match="destination: the provider mig/host does not exist"):
        destination_provider(there, None, "mig")


@pytest.mark.parametrize("given", [None, "", 5, [], {}, {"name": ""}, {"name": "a", "uid": "b"}])
def test_what_is_no_reference(given):
    with pytest.raises(ReferenceProblem, match="source: give the name of a provider"):
        parse(given, "source")
