"""Which pod explains why a VM failed."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.plugins.module_utils.pod_logs import pod_that_explains


def pod(name, app, phase, created):
    return {"metadata": {"name": name, "labels": {"forklift.app": app}, "creationTimestamp": created}, "status": {"phase": phase}}


def test_the_failed_pod_speaks_then_the_newest_never_the_consumer():
    pods = [pod("a", "virt-v2v", "Failed", "1"), pod("b", "virt-v2v", "Running", "2"), pod("c", "consumer", "Failed", "3")]
    assert pod_that_explains(pods)["metadata"]["name"] == "a"
    assert pod_that_explains(pods[1:])["metadata"]["name"] == "b"
    assert pod_that_explains(pods[2:]) is None
