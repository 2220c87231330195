"""The node's part of a pod: what only the cluster knows is resolved, the rest is podman's."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from docker.models.containers import Container

from tests.kubernetes.cluster.documents import Document, RefusedError, containers
from tests.kubernetes.cluster.podman import Podman
from tests.kubernetes.cluster.store import Store
from tests.kubernetes.cluster.volumes import TOKEN_PATH, Volumes
from tests.stack.environment import CERTIFICATES

FIELD = re.compile(r"metadata\.(?P<plain>name|namespace|uid)|metadata\.(?P<map>labels|annotations)\['(?P<key>.+)'\]")
PASSED_ON = ("name", "image", "command", "args", "workingDir", "resources", "securityContext")


class ConfigurationError(Exception):
    """A container cannot be created as its pod describes it; the kubelet tries again."""


@dataclass(frozen=True)
class Node:
    """The machine that runs the pods; every container gets its variables and its certificates."""

    podman: Podman
    store: Store
    volumes: Volumes
    environment: Mapping[str, str]

    def missing_image(self, pod: Document) -> str | None:
        """The first of the pod's images that is nowhere to be had."""
        images = [container["image"] for container in containers(pod["spec"])]
        images += [volume["image"]["reference"] for volume in pod["spec"].get("volumes", []) if "image" in volume]
        return next((image for image in images if not self.podman.has(image)), None)

    def create(self, pod: Document) -> None:
        """Create the pod's containers.

        Raises:
            ConfigurationError: a secret or a claim is missing, or a container would run as root.
        """
        spec, metadata = pod["spec"], pod["metadata"]
        self._require_claims(pod)
        for container in containers(spec):
            self._require_user(spec, container)
        variables = {container["name"]: self._variables(pod, container) for container in containers(spec)}
        volumes = self.volumes.prepare(metadata["namespace"], metadata["uid"], spec, self.podman.mount_image)
        images = {volume["name"] for volume in spec.get("volumes", []) if "image" in volume}
        mounts = []
        if spec["automountServiceAccountToken"]:
            volumes.append(self.volumes.token(metadata["uid"]))
            mounts.append({"name": volumes[-1]["name"], "mountPath": TOKEN_PATH, "readOnly": True})
        if bundle := os.environ.get("SSL_CERT_FILE"):
            volumes.append({"name": "certificates", "hostPath": {"path": bundle, "type": "File"}})
            mounts.append({"name": "certificates", "mountPath": CERTIFICATES, "readOnly": True})

        def played(container: Document) -> Document:
            passed = {name: container[name] for name in PASSED_ON if name in container}
            own = {"env": variables[container["name"]], "imagePullPolicy": "Never"}
            given = container.get("volumeMounts", [])
            read_only = [mount | {"readOnly": True} if mount["name"] in images else mount for mount in given]
            return passed | own | {"volumeMounts": [*read_only, *mounts]}

        security = dict(spec.get("securityContext") or {})
        if "fsGroup" in security:
            security["supplementalGroups"] = [*security.get("supplementalGroups", []), security["fsGroup"]]
        lists = {name: [played(item) for item in spec.get(name, [])] for name in ("initContainers", "containers")}
        played_spec = {"hostNetwork": True, "restartPolicy": "Never", "securityContext": security, "volumes": volumes}
        head = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": metadata["name"]}}
        self.podman.create_pod({**head, "spec": played_spec | lists})

    def container(self, pod: str, name: str) -> Container:
        """A container of a pod that was created."""
        return self.podman.client.containers.get(f"{pod}-{name}")

    def _require_claims(self, pod: Document) -> None:
        for volume in pod["spec"].get("volumes", []):
            if claim := volume.get("persistentVolumeClaim"):
                self._read("persistentvolumeclaims", pod, claim["claimName"])

    def _require_user(self, spec: Document, container: Document) -> None:
        """The kubelet's check of runAsNonRoot, which only understands numbers."""
        security = {**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
        if not security.get("runAsNonRoot"):
            return
        image = self.podman.client.images.get(container["image"])
        user = str(security.get("runAsUser", image.attrs["Config"].get("User") or "0")).partition(":")[0]
        if not user.isdecimal():
            raise ConfigurationError(f"container has runAsNonRoot and image has non-numeric user ({user})")
        if int(user) == 0:
            raise ConfigurationError("container has runAsNonRoot and image will run as root")

    def _variables(self, pod: Document, container: Document) -> list[Document]:
        resolved = dict(self.environment)
        for variable in container.get("env", []):
            for value in self._values(pod, variable):
                resolved[variable["name"]] = value
        return [{"name": name, "value": value} for name, value in resolved.items()]

    def _values(self, pod: Document, variable: Document) -> Iterator[str]:
        """The value of a variable; nothing if it comes from a secret that is optional and missing."""
        source = variable.get("valueFrom") or {}
        if field := source.get("fieldRef"):
            yield _field(pod["metadata"], field["fieldPath"])
        elif reference := source.get("secretKeyRef"):
            try:
                data = self._read("secrets", pod, reference["name"]).get("data", {})
                yield base64.b64decode(data[reference["key"]]).decode()
            except (ConfigurationError, KeyError) as error:
                if not reference.get("optional"):
                    raise ConfigurationError(f"secret {reference['name']}: {error}") from None
        else:
            yield variable.get("value") or ""

    def _read(self, plural: str, pod: Document, name: str) -> Document:
        try:
            return self.store.read(plural, pod["metadata"]["namespace"], name)
        except RefusedError as error:
            raise ConfigurationError(str(error)) from None


def _field(metadata: Document, path: str) -> str:
    match = FIELD.fullmatch(path)
    if not match:
        raise ConfigurationError(f"fieldPath {path} is not supported")
    value = metadata[match["plain"]] if match["plain"] else metadata.get(match["map"], {}).get(match["key"], "")
    return str(value)
