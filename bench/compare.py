"""`make compare BEFORE=IMAGE`: warm starts of another image of ours and of the one just built, alternating.

For a change that must not make a start slower: build the image of the old commit, tag it, and compare. ROUNDS says how
often each of them starts (20), after one start each that fills its volume. Prints medians, quartiles and the ratio.
"""

from __future__ import annotations

import os
import statistics
import sys
from contextlib import ExitStack

from bench.measure import Measurement, measure_start
from bench.testbed import IMAGE, Testbed, Variant
from tests.stack import image_name

COLUMNS = (("Running, s", "running"), ("ended, s", "exited"), ("CPU, s", "cpu"))


def main() -> int:
    """Measure both images and print a line for each figure."""
    before = os.environ.get("BEFORE")
    if not before:
        sys.exit("compare: name the other image, as `make compare BEFORE=prefect-uv-before:py313`")
    rounds = int(os.environ.get("ROUNDS", "20"))
    images = {"before": before, "after": image_name(IMAGE)}
    found: dict[str, list[Measurement]] = {name: [] for name in images}
    with ExitStack() as stack:
        testbed = stack.enter_context(Testbed.open())
        deployment = testbed.deploy("main")
        variants = [
            Variant(name, image, (stack.enter_context(testbed.volume()), "/cache"), {})
            for name, image in images.items()
        ]
        for number in range(rounds + 1):
            for variant in variants if number % 2 else reversed(variants):
                measured = measure_start(testbed, variant, deployment)
                if number:
                    found[variant.name].append(measured)
    for title, attribute in COLUMNS:
        values = {name: [getattr(item, attribute) for item in items] for name, items in found.items()}
        middle = {name: statistics.median(numbers) for name, numbers in values.items()}
        parts = (f"{name} {middle[name]:.3f} ({_quartiles(numbers)})" for name, numbers in values.items())
        sys.stdout.write(f"{title}: {', '.join(parts)}, ratio {middle['after'] / middle['before']:.3f}\n")
    return 0


def _quartiles(numbers: list[float]) -> str:
    low, _, high = statistics.quantiles(numbers, n=4)
    return f"{low:.3f} to {high:.3f}"


if __name__ == "__main__":
    sys.exit(main())
