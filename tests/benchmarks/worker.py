"""One peer on one network, in a process of its own: `python -m tests.benchmarks.worker PEER NET`.

It makes the step, warms it up and says so; then, for each line with a number of seconds, it takes
steps for about so long and prints the seconds of one step. A peer that isn't installed says that.
"""

import json
import resource
import sys
import time

from . import hessians
from .nets import NETS
from .peers import PEERS, Step

LONG = 0.2  # seconds of a step, from which on one is measured at a time


def main() -> None:
    """Answer each line of the input with the seconds of a step."""
    peer, name = sys.argv[1:]
    begun = time.perf_counter()
    try:
        step = PEERS[peer](NETS[name]) if name in NETS else hessian(peer, name)
    except ImportError as error:
        say(missing=str(error))
        return
    losses = [step() for _ in range(3)]
    built = time.perf_counter() - begun
    begun = time.perf_counter()
    step()
    each = time.perf_counter() - begun
    say(losses=losses, build=built)
    for line in sys.stdin:
        count = max(1, min(10_000, int(float(line) / each)))
        if each < LONG:
            count = max(3, count)
            step()  # caches, and threads, as they are in the middle of training
        begun = time.perf_counter()
        for _ in range(count):
            step()
        each = (time.perf_counter() - begun) / count
        say(seconds=each, peak=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def hessian(peer: str, name: str) -> Step:
    """Return the step that makes a whole Hessian."""
    problem = next(each for each in hessians.HESSIANS if each.name == name)
    return hessians.PEERS[peer](problem)


def say(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
