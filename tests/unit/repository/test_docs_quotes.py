"""The errors and log lines that pages quote are those that the program writes."""

from __future__ import annotations

from images.family import ROOT

QUOTED = (
    ("README.md", "ready in "),
    ("docs/explanation/environments.md", " is new; changes from "),
    ("docs/explanation/start.md", " is not used"),
    ("docs/explanation/start.md", "building environment "),
    ("docs/explanation/start.md", " downloads done ("),
    ("docs/how-to/bake.md", " does not fit: "),
    ("docs/how-to/bake.md", "building environment "),
    ("docs/how-to/bake.md", "image version "),
    ("docs/how-to/choose-a-python.md", " asks for Python "),
    ("docs/how-to/choose-a-python.md", ", which is not available here."),
    ("docs/how-to/choose-a-python.md", "Nothing was downloaded: "),
    ("docs/how-to/indexes.md", "used for uv:"),
    ("docs/how-to/offline.md", "offline: restored, as it was on "),
    ("examples/baked/README.md", " does not fit: "),
    ("examples/baked/README.md", "no groups or extras are set: using those that the image was baked with ("),
    ("examples/sealed/README.md", "image version "),
    ("examples/workspace/README.md", " is new; changes from "),
)
"""Words of the program that a page quotes outside of generated blocks."""


def test_quoted_words_are_those_of_the_program() -> None:
    """If an error or a log line changes, the pages that quote it change, too."""
    program = "\n".join(path.read_text() for path in sorted((ROOT / "entrypoint/src").rglob("*.py")))
    wrong = [(page, words) for page, words in QUOTED if words not in (ROOT / page).read_text() or words not in program]
    assert wrong == []
