"""Annotations for the transfer network."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vmshift.mtv.controlplane.migration.transfer_network import pod_annotations

PLAN = {"spec": {"transferNetwork": {"namespace": "tgt", "name": "fast"}}}
NETWORKS = "k8s.v1.cni.cncf.io/networks"


class Nads:
    """An API with one NetworkAttachmentDefinition."""

    def __init__(self, route=None, config="{}"):
        marks = {"forklift.konveyor.io/route": route} if route else {}
        self.nad = {"metadata": {"namespace": "tgt", "name": "fast", "annotations": marks}, "spec": {"config": config}}

    def find(self, kind, namespace, name):
        return self.nad if (kind, namespace, name) == ("NetworkAttachmentDefinition", "tgt", "fast") else None


def test_the_route_of_the_annotation_is_the_default_route():
    found = pod_annotations(Nads("198.51.100.1"), PLAN)
    assert found == {NETWORKS: '[{"name":"fast","namespace":"tgt","default-route":["198.51.100.1"]}]'}


def test_no_route_on_purpose():
    assert pod_annotations(Nads("none"), PLAN) == {NETWORKS: '[{"name":"fast","namespace":"tgt"}]'}


def test_the_route_of_ipam_counts_without_annotation():
    config = json.dumps({"ipam": {"routes": [{"dst": "10.0.0.0/8", "gw": "10.0.0.1"}, {"dst": "0.0.0.0/0", "gw": "192.0.2.1"}]}})
    assert '"default-route":["192.0.2.1"]' in pod_annotations(Nads(config=config), PLAN)[NETWORKS]


@pytest.mark.parametrize("config", ["{}", "not json", '{"ipam": {"routes": null}}', '{"ipam": {"routes": [{"dst": "10.0.0.0/8"}]}}'])
def test_a_nad_without_route_is_named_the_old_way(config):
    assert pod_annotations(Nads(config=config), PLAN) == {"v1.multus-cni.io/default-network": "tgt/fast"}


@pytest.mark.parametrize("spec", [{}, {"transferNetwork": {"namespace": "tgt", "name": "gone"}}])
def test_no_transfer_network_no_annotation(spec):
    assert pod_annotations(Nads(), {"spec": spec}) == {}
