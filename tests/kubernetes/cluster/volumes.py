"""The volumes of a pod as directories of the node, with the owner that the kubelet gives them.

https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.cluster.documents import Document

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 (a path)
GROUP_MODE = stat.S_ISGID | stat.S_IRWXU | stat.S_IRWXG

FILE_MODE = stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IWGRP


@dataclass(frozen=True)
class Volumes:
    """The node's directories: one for each claim, one for each emptyDir of each pod."""

    folder: Path

    def claim(self, namespace: str, name: str) -> Path:
        """The directory of a claim, which belongs to root like the root of a new file system."""
        path = self.folder / "claims" / namespace / name
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        return path

    def prepare(self, namespace: str, uid: str, pod: Document, mount_image: Callable[[str], Path]) -> list[Document]:
        """Prepare the directories of a pod, and return its volumes as those directories."""
        group = (pod.get("securityContext") or {}).get("fsGroup")
        volumes = []
        for volume in pod.get("volumes", []):
            name = volume["name"]
            if host := volume.get("hostPath"):
                path = Path(host["path"])
                path.mkdir(mode=0o755, parents=True, exist_ok=True)
            elif claim := volume.get("persistentVolumeClaim"):
                path = self.claim(namespace, claim["claimName"])
            elif image := volume.get("image"):
                path = mount_image(image["reference"])
            else:
                path = self.of_pod(uid) / name
                path.mkdir(parents=True)
                path.chmod(0o777)
            if group is not None and not host and "image" not in volume:
                _give_to(path, group)
            volumes.append({"name": name, "hostPath": {"path": str(path), "type": "Directory"}})
        return volumes

    @property
    def logs(self) -> Path:
        """The directory of what containers have printed."""
        path = self.folder / "logs"
        path.mkdir(exist_ok=True)
        return path

    def of_pod(self, uid: str) -> Path:
        """The directory of what ends with a pod."""
        return self.folder / "pods" / uid

    def token(self, uid: str) -> Document:
        """The volume with the token of the pod's service account."""
        path = self.of_pod(uid) / "token"
        path.mkdir(parents=True)
        (path / "token").write_text("a token of the stand-in")
        return {"name": "kube-api-access", "hostPath": {"path": str(path), "type": "Directory"}}


def _give_to(path: Path, group: int) -> None:
    """Give a directory to fsGroup, as the policy OnRootMismatch does: all of it, unless its root is as it should be."""
    root = path.stat()
    if root.st_gid == group and stat.S_IMODE(root.st_mode) & GROUP_MODE == GROUP_MODE:
        return
    for entry in (path, *path.rglob("*")):
        os.chown(entry, -1, group, follow_symlinks=False)
        if not entry.is_symlink():
            entry.chmod(stat.S_IMODE(entry.stat().st_mode) | (GROUP_MODE if entry.is_dir() else FILE_MODE))
