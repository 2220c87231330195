"""A stand-in for a Kubernetes cluster of one node: its pods are real, its control plane is this package.

`podman kube play` creates the pods. The API server, the job controller, the admission and the kubelet here do what a
cluster does where a flow run meets it. Not here: scheduling, networks (pods use the node's), roles, quotas, probes,
services, schedules of CronJobs, and restarts of containers.

Kubernetes 1.37: https://kubernetes.io/docs/reference/kubernetes-api/
"""

from tests.kubernetes.cluster.cluster import Cluster
from tests.kubernetes.cluster.documents import Document, RefusedError
from tests.kubernetes.cluster.store import FINAL

__all__ = ["FINAL", "Cluster", "Document", "RefusedError"]
