"""Kubernetes' own kinds, as far as a migration and its clients touch them."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.kinds import Kind

_METADATA = {"metadata.finalizers": "", "metadata.ownerReferences": "uid"}


def _kind(group: str, version: str, plural: str, kind: str, *short_names: str, **more) -> Kind:
    more.setdefault("merge_keys", _METADATA)
    return Kind(group, version, plural, kind.lower(), kind, short_names=short_names, **more)


KINDS = (
    _kind("", "v1", "namespaces", "Namespace", "ns", namespaced=False, status=True),
    _kind("", "v1", "secrets", "Secret"),
    _kind("", "v1", "configmaps", "ConfigMap", "cm"),
    _kind("", "v1", "pods", "Pod", "po", status=True, categories=("all",)),
    _kind("", "v1", "events", "Event", "ev"),
    _kind("", "v1", "persistentvolumes", "PersistentVolume", "pv", namespaced=False, status=True),
    _kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", status=True),
    _kind("", "v1", "services", "Service", "svc", status=True, categories=("all",)),
    _kind("", "v1", "serviceaccounts", "ServiceAccount", "sa"),
    _kind("", "v1", "nodes", "Node", "no", namespaced=False, status=True),
    _kind("batch", "v1", "jobs", "Job", status=True, categories=("all",)),
    _kind("apps", "v1", "deployments", "Deployment", "deploy", status=True, categories=("all",)),
    _kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", "sc", namespaced=False),
    _kind("storage.k8s.io", "v1", "csidrivers", "CSIDriver", namespaced=False),
    _kind("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    _kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    _kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False),
    _kind("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _kind(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        "crd",
        "crds",
        namespaced=False,
        status=True,
        categories=("api-extensions",),
    ),
    _kind("coordination.k8s.io", "v1", "leases", "Lease"),
    _kind("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False, virtual=True),
    _kind("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False, virtual=True),
    _kind("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False, virtual=True),
)
