"""The step `pip_install_requirements`: the file is noted, and installed once the project's environment is there.

Prefect 3.8.8 installs into the environment that will run the flow. Ours is shared and never changed, so that the
packages go to an environment beside it, with the locked ones as constraints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from prefect_uv.errors import PullStepError
from prefect_uv.pull.workspace import Inputs, Tools, Workspace
from prefect_uv.store import Environment, Store
from prefect_uv.store.isolated import Wanted, isolated
from prefect_uv.store.verify import installed, site_packages


def pip_install_requirements(
    tools: Tools,
    workspace: Workspace,
    *,
    directory: str | None = None,
    requirements_file: str = "requirements.txt",
    stream_output: bool = True,  # noqa: ARG001 (uv is quiet)
) -> tuple[Inputs, Workspace]:
    """Note a requirements file for the flow's environment.

    Raises:
        PullStepError: it does not exist.
    """
    path = (workspace.base / (directory or ".") / requirements_file).resolve()
    if not path.is_file():
        message = f"There is no requirements file {path}."
        raise PullStepError(
            message, hint="Give the step the `directory` of the clone: {{ <id of the clone>.directory }}."
        )
    told = f"{path} is installed beside the project's environment"
    tools.log.info(told)
    noted = replace(workspace, requirements=(*workspace.requirements, path))
    return {"stdout": told, "stderr": ""}, noted


def with_requirements(store: Store, workspace: Workspace, environment: Environment) -> Mapping[str, str]:
    """The flow's environment variables, with the packages of the noted files importable beside the locked ones."""
    environ = workspace.environ
    if not workspace.requirements:
        return environ
    locked = [f"{name}=={version}" for name, version in sorted(installed(environment.path).items())]
    python = environment.path / "bin" / "python"
    texts = [resolved(path) for path in workspace.requirements]
    wanted = Wanted(files=workspace.requirements, texts=texts, constraints=locked, python=str(python))
    beside = isolated(store, wanted)
    return {
        **environ,
        "PATH": _joined(str(beside / "bin"), environ.get("PATH")),
        "PYTHONPATH": _joined(str(site_packages(beside)), environ.get("PYTHONPATH")),
    }


def _joined(first: str, rest: str | None) -> str:
    return f"{first}:{rest}" if rest else first


def resolved(path: Path) -> str:
    """A requirements file's text with the files that it includes, for an environment's key."""
    lines = path.read_text().splitlines()
    included = (line.split(maxsplit=1)[1] for line in lines if line.startswith(("-r ", "--requirement ", "-c ")))
    return "\n".join([*lines, *(resolved(path.parent / name.strip()) for name in included)])
