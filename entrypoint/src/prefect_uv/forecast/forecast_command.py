"""`prefect-uv doctor`: what this container has; with `--project` or `--deployment`, what a start would do."""

from __future__ import annotations

import json
from typing import Any

from prefect_uv.commands.doctor import doctor, show_facts
from prefect_uv.forecast.start_forecast import StartForecast
from prefect_uv.read_only_root import with_writable_directories
from prefect_uv.session import Session


def examine(session: Session) -> int:
    """Print on stdout what was found out.

    Returns:
        0 if a start would work, as far as that can be known; else the exit code that the start would have. Without
        a project or a deployment, what `doctor` returns.
    """
    options, log = session.options, session.log
    if options.project is None and not options.deployment:
        return doctor(session)
    session.settings = with_writable_directories(session.settings, log, session.cleanup)
    forecast = StartForecast()
    forecast.look_ahead(session)
    facts, error = forecast.facts, forecast.error
    facts["result"] = _result(forecast)
    if options.json:
        problem = error and {"slug": error.slug, "headline": error.headline, "found": error.found, "hint": error.hint}
        log.show(json.dumps({**facts, "error": problem}, indent=2, ensure_ascii=False))
    else:
        show_facts(log, _in_words(facts))
        if error:
            log.show(f"\n{error.render()}")
    return error.exit_code if error else 0


def _result(forecast: StartForecast) -> str:
    if forecast.error:
        return f"a start would fail: {forecast.error.slug}"
    if forecast.unknown:
        return f"not known: {forecast.unknown}"
    if forecast.facts["environment"] == "hit":
        return "a start would find the environment"
    unreached = [one["index"] for one in forecast.facts["indexes"] if not one["reached"]]
    return f"a start would build the environment{', but cannot reach ' if unreached else ''}{', '.join(unreached)}"


def _in_words(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts for people: without those that there are not, and with a line for each index."""
    indexes = [f"{one['index']} {one['answer']}" for one in facts.get("indexes", [])]
    known = {name.replace("_", " "): value for name, value in facts.items() if value not in (None, [], "")}
    return {**known, **({"indexes": indexes} if indexes else {})}
