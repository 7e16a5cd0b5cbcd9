"""How long things take: `python -m tests.benchmarks [--quick] [generation|depth|width|steps …]`.

Nothing is asserted: machines are noisy.
"""

import argparse
import os
import platform

from tests.benchmarks import making, steps

PARTS = {
    "generation": making.generation,
    "depth": making.depth,
    "width": making.width,
    "steps": steps.steps,
}


def main() -> None:
    """Run the parts asked for, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under a minute")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    for part in args.parts or PARTS:
        PARTS[part](3 if args.quick else 9)


if __name__ == "__main__":
    main()
