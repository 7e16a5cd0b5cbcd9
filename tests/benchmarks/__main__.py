"""How long a training step takes, beside others; and making a module: `python -m tests.benchmarks`.

Every peer runs in a process of its own; rounds are interleaved; medians are printed with the middle
half, the ratio to the best peer and to the floor. Nothing is asserted: machines are noisy. Writes
`benchmarks.md` and `benchmarks.png`. Needs `pip install -e ".[bench,oracle]"`; who isn't installed
is left out, and said to be.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import hessians, making, report
from .hessians import HESSIANS, Hessian
from .nets import DEEP, DENSE, PLAIN, Net
from .peers import EVERY, IN_PYTHON, PEERS
from .rounds import Run, measured

SLOW = {
    "torch.compile",
    "symback numpy readable",
    "autograd",
    "scikit-learn",
}  # left out of a quick run
QUICK = {"net2_8_1", "net64_128_10", "lenet", "lstm", "logistic100", PLAIN.model}


def main() -> None:
    """Measure, print, and write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", action="store_true", help="some networks, fewer rounds")
    parser.add_argument("--only", nargs="+", metavar="NET", help="networks, as 2-8-1 or lenet")
    parser.add_argument("--output", type=Path, default=Path(), help="folder of the report")
    args = parser.parse_args()
    rounds, each = (5, 0.05) if args.quick else (11, 0.2)
    title = f"# Benchmarks\n\n{report.machine()}."
    title += f" {rounds} interleaved rounds of {each} s a peer."
    found: dict[str, list[Run]] = {}
    every: tuple[Net | Hessian, ...] = (*DENSE, *DEEP, PLAIN, *HESSIANS)
    wanted = {*args.only} if args.only else QUICK if args.quick else set()
    chosen = [net for net in every if not wanted or {net.model, net.name.split()[0]} & wanted]
    for net in chosen:
        found[net.name] = measured(net, who(net, args.quick), rounds, each)
        agree(net, found[net.name])
        print(report.steps({net.name: found[net.name]}), flush=True)
    parts = [title, "## One training step\n\n" + report.steps(found)]
    if not args.only:
        parts += made(2 if args.quick else 9)
    text = "\n\n".join(parts) + "\n"
    print(text)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "benchmarks.md").write_text(text, encoding="utf-8")
    report.plot(found, args.output / "benchmarks.png")


def who(net: Net | Hessian, quick: bool) -> Sequence[str]:
    """Return who is measured on a network, in the order of PEERS."""
    if isinstance(net, Hessian):
        return list(hessians.PEERS)
    if net is PLAIN:
        return IN_PYTHON
    peers = [p for p in PEERS if p not in IN_PYTHON and (net.sizes or p in EVERY)]
    return [p for p in peers if not (quick and p in SLOW)]


def made(count: int) -> list[str]:
    """Return the tables of what it costs to make a module."""
    parts = []
    times, sizes = making.importing(count)
    for title, figures in (
        ("symback generate, the whole process", making.generating(count)),
        ("Deriving equal dense layers", making.deriving(count)),
        ("Generating three layers of this width", making.widening(count)),
        ("Importing the module, NumPy being there", times),
    ):
        parts.append(f"## {title}\n\n{report.seconds(figures)}")
    rows = [(name, f"{size:,}") for name, size in sizes.items()]
    parts.append("## The module's size\n\n" + report.table(("net", "bytes"), rows))
    return parts


def agree(net: Net | Hessian, runs: list[Run]) -> None:
    """Say whose first losses aren't ours: it would measure something else."""
    ours = next(run for run in runs if run.peer.startswith("symback"))
    halved = (
        {"scikit-learn"} if isinstance(net, Net) and net.loss == "mse" else set()
    )  # its squared loss is half of ours
    for run in runs:
        if run.peer == "floor" or run.missing or run.peer in halved:
            continue
        pairs = list(zip(run.losses, ours.losses, strict=True))[: SAME.get(run.peer, 3)]
        if any(not abs(a - b) <= 1e-4 * abs(b) for a, b in pairs):
            print(f"{net.name}: {run.peer} has the losses {run.losses}, not {ours.losses}")


SAME = {"micrograd": 1, "scikit-learn": 1}  # first losses: gradient descent; eps at another place


if __name__ == "__main__":
    main()
