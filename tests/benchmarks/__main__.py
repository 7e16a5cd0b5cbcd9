"""How long a training step takes, beside others; and making a module: `python -m tests.benchmarks`.

Every peer runs in a process of its own; rounds are interleaved; medians are printed with the middle
half, the ratio to the best peer and to the floor. Nothing is asserted: machines are noisy. Writes
`benchmarks.md` and `benchmarks.png`. Needs `pip install -e ".[bench,oracle]"`; who isn't installed
is left out, and said to be.
"""

import argparse
from pathlib import Path

from symback import catalog
from symback.catalog.entry import Kind

from . import making, report
from .nets import DENSE, PLAIN, Net
from .peers import PEERS
from .rounds import Run, measured

PYTHON = ("symback python", "micrograd")
WANTED = {  # what is to be measured once symback has the layer
    "LeNet on 28×28": "conv2d",
    "LSTM, 28 steps, 128 units": "lstm",
    "transformer block, 64 tokens, width 128": "attention",
}


def main() -> None:
    """Measure, print, and write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under two minutes")
    parser.add_argument("--only", nargs="+", metavar="NET", help="networks, as 2-8-1 or 784-128-10")
    parser.add_argument("--output", type=Path, default=Path(), help="folder of the report")
    args = parser.parse_args()
    rounds, each = (5, 0.05) if args.quick else (21, 0.3)
    peers = [p for p in PEERS if p not in PYTHON and not (args.quick and p == "torch.compile")]
    parts = [f"# Benchmarks\n\n{report.machine()}."]
    parts[0] += f" {rounds} interleaved rounds of {each} s a peer."
    found: dict[str, list[Run]] = {}
    chosen = [n for n in (*DENSE, PLAIN) if not args.only or n.name.split()[0] in args.only]
    for net in [net for net in chosen if net is not PLAIN]:
        found[net.name] = measured(net, peers, rounds, each)
        agree(net, found[net.name])
        print(report.steps({net.name: found[net.name]}), flush=True)
    if PLAIN in chosen:
        found[PLAIN.name] = measured(PLAIN, PYTHON, 3 if args.quick else rounds, each)
        print(report.steps({PLAIN.name: found[PLAIN.name]}), flush=True)
    parts.append("## One training step\n\n" + report.steps(found) + "\n\n" + missing())
    if not args.only:
        parts += made(3 if args.quick else 9)
    text = "\n\n".join(parts) + "\n"
    print(text)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "benchmarks.md").write_text(text, encoding="utf-8")
    report.plot(found, DENSE, args.output / "benchmarks.png")


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


def agree(net: Net, runs: list[Run]) -> None:
    """Say whose first losses aren't ours: it would measure something else."""
    ours = next(run.losses for run in runs if run.peer == "symback numpy")
    halved = {"scikit-learn"} if net.loss == "mse" else set()  # its squared loss is half of ours
    for run in runs:
        if run.peer == "floor" or run.missing or run.peer in halved:
            continue
        if any(abs(a - b) > 1e-4 * abs(b) for a, b in zip(run.losses, ours, strict=True)):
            print(f"{net.name}: {run.peer} has the losses {run.losses}, not {ours}")


def missing() -> str:
    """Return what can't be measured yet, and why."""
    have = catalog.names(Kind.LAYER)
    lines = [
        f"- {title}: "
        + ("not measured yet." if layer in have else f"symback has no layer `{layer}` yet.")
        for title, layer in WANTED.items()
    ]
    lines.append("- Hessians: symback has no second derivatives yet.")
    return "Not in the table:\n\n" + "\n".join(lines)


if __name__ == "__main__":
    main()
