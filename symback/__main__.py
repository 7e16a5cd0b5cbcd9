"""The commands. Nothing heavy is imported before a command that needs it runs."""

import sys
from pathlib import Path
from typing import Any

import click

from symback import __version__
from symback.errors import UserError
from symback.targets import names

INTERRUPTED = 130  # what a shell calls a program that Ctrl-C has ended
TARGETS = click.Choice(names())
spec_argument = click.argument("spec", type=click.Path(path_type=Path))


class Told(click.ClickException):
    """A person's mistake, in plain words on standard error; exit code 1."""

    def __init__(self, error: UserError) -> None:
        super().__init__(str(error))

    def show(self, file: Any = None) -> None:
        """Print every mistake."""
        click.echo(self.message, err=True)


class Commands(click.Group):
    """The group of all commands: turns mistakes into words, and Ctrl-C into its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise Told(error) from None
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; a misspelt one gets the near miss."""
        from symback.errors import near_miss

        if args and self.get_command(ctx, args[0]) is None:
            hint = near_miss(args[0], self.commands)
            ctx.fail(f"there is no command `{args[0]}`. {hint}".strip())
        return super().resolve_command(ctx, args)


def _extras(ctx: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    """Return what --with lists, each name checked."""
    from symback.errors import near_miss
    from symback.making import EXTRAS

    found = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in found:
        if name not in EXTRAS:
            hint = near_miss(name, EXTRAS) or f"there are {', '.join(EXTRAS)}"
            raise click.BadParameter(f"there is nothing called `{name}`. {hint}", ctx, parameter)
    return found


target_option = click.option("--target", type=TARGETS, default="numpy", show_default=True)
dtype_option = click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
    help="The type of the numbers (NumPy).",
)
readable_option = click.option(
    "--readable", is_flag=True, help="No buffers, no in-place updates (NumPy)."
)
stages_option = click.option(
    "--show-stages", is_flag=True, help="Print what each stage made, on standard error."
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="symback")
@click.pass_context
def cli(context: click.Context) -> None:
    """From a model spec to a trained network.

    SymPy derives every gradient by the chain rule; symback shows and checks it, and writes the
    network and its training as a module of its own: in NumPy, in plain Python or in C.
    """
    if context.invoked_subcommand in {"generate", "check"}:
        _keep_to_one_thread()  # before anything imports NumPy


@cli.command()
@spec_argument
@click.option("-o", "--output", metavar="FILE", help="Where to write; - is standard output.")
@target_option
@dtype_option
@readable_option
@click.option(
    "--with",
    "extras",
    metavar="LIST",
    default="",
    callback=_extras,
    help="Gradients by the inputs too, and functions: inputs,hvp,jacobian,hessian,per_example.",
)
@click.option(
    "--standalone",
    is_flag=True,
    help="A library that needs no Python, NAME.c and NAME.h; -o is their folder (c).",
)
@stages_option
def generate(
    spec: Path,
    output: str | None,
    target: str,
    dtype: str,
    readable: bool,
    extras: tuple[str, ...],
    standalone: bool,
    show_stages: bool,
) -> None:
    """Write the model's module once its gradients are checked."""
    from symback import making

    _require_type(target, dtype)
    if standalone:
        _require_standalone(target)
        for written in making.write_standalone(spec, target, dtype, Path(output or ".")):
            click.echo(written)
        return
    plan = making.plan(spec, target, dtype, readable=readable, extras=extras)
    if show_stages:
        _show_stages(plan)
    if output == "-":
        making.check(plan)
        click.echo(plan.module.text.encode(), nl=False)
        return
    path = Path(output or f"{plan.module.name}.py")
    report = making.write(plan, path)
    click.echo(making.told(plan, path, report))


@cli.command()
@spec_argument
@target_option
@dtype_option
@readable_option
@click.option("--epochs", type=click.IntRange(min=1), help="How many; the spec's by default.")
@click.option("--seed", type=click.IntRange(min=0), help="Start and order; the spec's by default.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(), help="Where to save.")
@click.option("--plot", metavar="FILE", help="Where to draw the loss: .png, .svg or .pdf.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON.")
@stages_option
def train(
    spec: Path,
    target: str,
    dtype: str,
    readable: bool,
    epochs: int | None,
    seed: int | None,
    folder: Path,
    plot: str | None,
    quiet: bool,
    as_json: bool,
    show_stages: bool,
) -> None:
    """Derive, generate, check, train and evaluate.

    Saves the module, the weights, the history and a plot of the loss. Ctrl-C ends the training
    and saves what was learnt.
    """
    from symback import making, session

    _require_type(target, dtype)
    plan = making.plan(spec, target, dtype, readable=readable)
    if show_stages:
        _show_stages(plan)
    voice = session.Voice("quiet" if quiet else "json" if as_json else "text")
    places = session.places(folder, plan.module.name, plot)
    if session.run(plan, places, epochs, seed, voice) == "interrupted":
        sys.exit(INTERRUPTED)


@cli.command()
@spec_argument
@click.option("--wrt", metavar="NAME", default="", help="Only the chain down to f1.weight, say.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "pretty", "latex", "json", "html"]),
    help="pretty, with drawn formulas, in a terminal; else text.",
)
@click.option(
    "--lang",
    type=click.Choice(["en", "zh-TW"]),
    default="en",
    show_default=True,
    help="The page's language (html).",
)
@click.option("--steps", is_flag=True, help="How each gradient was found, step by step.")
@click.option(
    "--stability",
    is_flag=True,
    help="Where each formula as written overflows or loses its digits, and what replaces it.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to write; else standard output.")
@stages_option
def inspect(
    spec: Path,
    wrt: str,
    form: str | None,
    lang: str,
    steps: bool,
    stability: bool,
    output: str | None,
    show_stages: bool,
) -> None:
    """Show the network's equations, and how each gradient was found."""
    if lang != "en" and form != "html":
        raise click.UsageError("--lang goes with --format html")
    from symback import inspect as inspection
    from symback import making, pipeline
    from symback.files import write

    if show_stages:
        _show_stages(making.plan(spec))
    loaded = pipeline.load(spec)
    if stability:
        shown = _stability(loaded, form or "text", wrt)
    else:
        named = [item.name for item in loaded.inputs]
        derivation = pipeline.derive(loaded, [wrt] if wrt in named else [])
        shown = inspection.show(
            inspection.story(derivation, wrt),
            form or ("pretty" if _in_terminal(output) else "text"),
            steps=steps,
            width=_width(output),
            language=inspection.Language(lang),
        )
    if output and output != "-":
        write(Path(output), shown)
    else:
        click.echo(shown, nl=False)


@cli.command()
@spec_argument
def summary(spec: Path) -> None:
    """Show layers, shapes, parameters, and the work of a step."""
    from symback import pipeline
    from symback.inspect import story
    from symback.inspect.summary import summary as table

    styled = _in_terminal(None)
    click.echo(table(story(pipeline.derive(spec)), _width(None), styled=styled), nl=False)


@cli.command()
@click.argument("spec_or_module", type=click.Path(path_type=Path))
@click.option("--target", type=TARGETS, help="One target only.")
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True)
def check(spec_or_module: Path, target: str | None, seeds: int) -> None:
    """Hold gradients against differences of the loss.

    Takes a spec, or a module that was generated from one.
    """
    from symback import checking

    reports = checking.reports(spec_or_module, target, tuple(range(seeds)))
    for title, report in reports:
        click.echo(f"{title}: {report}", err=not report.right)
    if not all(report.right for _, report in reports):
        sys.exit(1)


@cli.command("plot")
@click.argument("history", type=click.Path(path_type=Path))
@click.option("--spec", type=click.Path(path_type=Path), help="Draw the network's answers, too.")
@click.option("--weights", type=click.Path(path_type=Path), help="NAME.weights.npz by default.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where to draw: .png, .svg or .pdf."
)
def draw(history: Path, spec: Path | None, weights: Path | None, output: Path | None) -> None:
    """Draw NAME.history.csv, what `train` saved of every epoch.

    With --spec also the decision boundary, the confusion matrix and the worst mistakes.
    """
    from symback import session

    click.echo(f"wrote {session.redraw(history, spec, weights, output)}")


@cli.command()
@spec_argument
@click.argument("function", metavar="FILE.py:FUNCTION")
@click.option("--points", type=click.IntRange(2, 20), default=3, show_default=True)
@click.option(
    "--arrays",
    type=click.Choice(["numpy", "list", "torch"]),
    default="numpy",
    show_default=True,
    help="What the function is given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(spec: Path, function: str, points: int, arrays: str, as_json: bool) -> None:
    """Hold a backward pass of your own against the derived one.

    Says which gradient differs, and which factor, sign, sum or index is wrong. The function takes
    (params, x, t), or any of the network's arrays by name, and returns the gradients: a dict, a
    tuple in the parameters' order, or (loss, gradients). The file is imported and run.
    """
    from symback.verify import verify as compared
    from symback.verify import words

    verdict = compared(spec, function, points, arrays)
    click.echo(words.document(verdict) if as_json else words.page(verdict), nl=False)
    if not verdict.ok:
        sys.exit(1)


@cli.command()
@spec_argument
@click.option(
    "--data",
    "table",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Examples, a .csv or .npz with the spec's columns; the spec's own data by default.",
)
@click.option(
    "--weights",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="An .npz of parameters; those training starts from by default.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(spec: Path, table: Path | None, weights: Path | None, seed: int, as_json: bool) -> None:
    """Show where a gradient vanishes or explodes.

    The norm of each factor along the chain from the loss to every parameter, at a point, how much
    of each activation is saturated or dead, and what stands out in words.
    """
    from symback.explain import explain as explained
    from symback.explain import words
    from symback.progress import in_terminal

    told = explained(spec, table, weights, seed)
    if as_json or not in_terminal():
        click.echo(words.document(told) if as_json else words.page(told), nl=False)
    else:
        words.draw(told)


@cli.command()
@click.argument("name", required=False)
def catalog(name: str | None) -> None:
    """List what a spec can name, or show one entry in full."""
    if name is None:
        from symback.catalog import listing

        click.echo(listing.overview(_width(None)), nl=False)
    else:
        from symback.inspect import catalog as page

        click.echo(page.named(name, _width(None)), nl=False)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors."""
    import json

    from symback import spec

    click.echo(json.dumps(spec.schema(), indent=2, ensure_ascii=False))


@cli.command()
@click.argument("name")
def new(name: str) -> None:
    """Write NAME.yaml and NAME.csv, a spec with data to start from."""
    from symback import starter

    model, table = starter.create(name, Path())
    click.echo(f"wrote {model} and {table}; try: symback train {model}")


def _stability(spec: Any, form: str, wrt: str) -> str:
    import json

    from symback import graph, stability

    if form not in {"text", "json"} or wrt:
        raise click.UsageError("--stability is text or json, of the whole network")
    found = stability.sites(graph.build(spec))
    if form == "json":
        return json.dumps(stability.document(found), ensure_ascii=False, indent=2) + "\n"
    return stability.page(found)


def _require_type(target: str, dtype: str) -> None:
    from symback.emit.target import printer

    known = printer(target).ABOUT.float_types
    if dtype not in known:
        told = f"the target {target} counts in {', '.join(known)}: leave --dtype out"
        raise click.UsageError(told)


def _require_standalone(target: str) -> None:
    from symback.emit.target import printer

    if printer(target).ABOUT.standalone is None:
        able = [name for name in names() if printer(name).ABOUT.standalone]
        told = (
            f"the target {target} has no library without Python; --target {' or '.join(able)} has"
        )
        raise click.UsageError(told)


def _keep_to_one_thread() -> None:
    """Have NumPy's products taken on one core: those of a check are small, and threads that wait
    for each other take several times as long where other work keeps the cores busy.
    """
    import os

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _show_stages(plan: Any) -> None:
    from symback.inspect import stages

    click.echo(stages.page(plan.spec, plan.module, plan.wrt), err=True, nl=False)


def _width(output: str | None) -> int:
    """Return how many columns there are: the terminal's, 100 where it is a file or a pipe."""
    import shutil

    return shutil.get_terminal_size((100, 24)).columns if _in_terminal(output) else 100


def _in_terminal(output: str | None) -> bool:
    """Say whether what is printed is seen in a terminal."""
    return output is None and sys.stdout.isatty()


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal without a sign shows ? instead
    cli(prog_name="symback")


if __name__ == "__main__":
    main()
