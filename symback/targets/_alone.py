"""A plain C library of a program: static arrays, no allocation, nothing but the C library."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from symback.program import Draw, Program, Role, Tensor
from symback.targets._whole import Held

GIVEN = (Role.INPUT, Role.TARGET)


@dataclass(frozen=True, slots=True)
class Alone:
    """What stands around the passes of a plain C library, as lines. What is absent is empty."""

    name: str
    capitals: str
    real: str
    single: str  # that `real` is float
    batch: str
    count: str  # parameters
    output_width: str
    output_said: str  # what the width counts
    outputs_said: str  # what predict returns
    parameters: tuple[str, ...]  # 'f1.weight (16, 4) from 0'
    buffers: tuple[str, ...]  # 'real z1[BATCH][16];'
    points: tuple[str, ...]  # '.z1 = held.z1,'
    states: tuple[str, ...]  # 'real m[COUNT];'
    starts: tuple[str, ...]
    inputs: str  # 'const digits_real *x'
    everything: str  # 'const digits_real *x, const ptrdiff_t *t'
    input_names: str
    names: str
    gives_inputs: tuple[str, ...]  # 'cache.x = (const real (*)[4])x;'
    gives: tuple[str, ...]
    values: tuple[str, ...]  # starts that are given: 'static const real start_W1[] = {…};'
    init: tuple[str, ...]
    ones: tuple[str, ...]  # the lines that set random arrays to what they are at rest
    draws: tuple[str, ...]  # the lines that draw them
    uniform: str  # that something is drawn
    normal: str
    reads: tuple[str, ...]  # main: 'x', kind and width of what an example holds
    rows: tuple[str, ...]  # main: 'static real all_x[MOST * 4];'
    batches: str  # main: 'all_x + i * 4, all_t + i'


def alone(
    program: Program, held: tuple[Tensor, ...], names: dict[str, str], more: Sequence[Held]
) -> Alone:
    """Return the lines around the passes. `held`: the cache's arrays; `names`: those in C.

    `more`: what the optimiser keeps of whole parameters.
    """
    batch = program.training.batch_size or 256
    random = program.with_role(Role.RANDOM)
    given = program.with_role(*GIVEN)
    inputs = program.with_role(Role.INPUT)
    learned = {key for key, _ in program.gradients}
    parameters = sorted(
        program.with_role(Role.PARAMETER, Role.STATE), key=lambda t: t.key not in learned
    )
    output = program.tensor(program.output)
    rows, shown = program.by_rows, shape(output)
    offsets = [sum(size(t) for t in parameters[:place]) for place in range(len(parameters))]
    prefix = program.model
    drawn = [t.draw for t in (*parameters, *random) if t.draw]
    once = {statement.target.name for statement in program.update.scalars}
    schedule = program.schedule.states if program.schedule else ()
    own = [state for state in program.update.states if state.name not in once]
    single = [state for state in program.update.states if state.name in once]
    rate = next((c.value for c in program.update.constants if c.name == "lr"), 0.0)
    return Alone(
        name=prefix,
        capitals=prefix.upper(),
        real="float" if program.float_type == "float32" else "double",
        single="single" if program.float_type == "float32" else "",
        batch=str(batch),
        count=str(sum(map(size, parameters))),
        output_width=str(prod(dim for dim in output.shape if isinstance(dim, int))),
        output_said="numbers of an example's output" if rows else f"of {shown}, without n",
        outputs_said="outputs of n examples, row by row" if rows else f"output {shown}",
        parameters=tuple(
            f"{t.key} {shape(t)} from {start}" for t, start in zip(parameters, offsets, strict=True)
        ),
        buffers=tuple(f"{kind(t)} {names[t.name]}{dims(t)};" for t in held if t.role not in GIVEN),
        points=tuple(
            f".{names[t.name]} = held.{names[t.name]}," for t in held if t.role not in GIVEN
        ),
        states=(
            *(f"real {names.get(s.name, s.name)}[COUNT];" for s in own),
            *(f"real {names.get(s.name, s.name)}[{s.size}];" for s in more),
        ),
        starts=(
            f"state.lr = {rate!r};",
            "state.step = 0;",
            *(("state.epoch = 0;", "state.metric = INFINITY;") if program.schedule else ()),
            *(f"state.{names.get(s.name, s.name)} = {s.start!r};" for s in (*single, *schedule)),
            *(
                line
                for s in own
                for line in (
                    f"state.{names.get(s.name, s.name)} = kept.{names.get(s.name, s.name)};",
                    "for (idx p = 0; p < COUNT; p++) {",
                    f"    kept.{names.get(s.name, s.name)}[p] = (real){s.start!r};",
                    "}",
                )
            ),
            *(line for s in more for line in kept(s, names.get(s.name, s.name))),
        ),
        inputs=", ".join(argument(t, prefix, names) for t in inputs),
        everything=", ".join(argument(t, prefix, names) for t in given),
        input_names=", ".join(names[t.name] for t in inputs),
        names=", ".join(names[t.name] for t in given),
        gives_inputs=tuple(give(t, names) for t in inputs),
        gives=tuple(give(t, names) for t in given),
        values=tuple(
            line
            for t in parameters
            if t.draw and t.draw.kind == "values"
            for line in listed(t, names)
        ),
        init=tuple(
            line
            for t, start in zip(parameters, offsets, strict=True)
            for line in begun(t, start, names)
        ),
        ones=tuple(line for t in random if t.draw for line in filled(t, f"{t.draw.rest:g}", names)),
        draws=tuple(line for t in random if t.draw for line in filled(t, draw_text(t.draw), names)),
        uniform="uniform" if any(d.kind in {"uniform", "normal", "keep"} for d in drawn) else "",
        normal="normal" if any(d.kind == "normal" for d in drawn) else "",
        reads=tuple(
            line
            for t in given
            for line in (
                f"for (idx k = 0; k < {size(t, 1)}; k++) {{",
                '    if (scanf("%lf%*1[,]", &number) < 1) {',
                "        return 0;",
                "    }",
                f"    all_{names[t.name]}[i * {size(t, 1)} + k] = ({kind(t)})number;",
                "}",
            )
        ),
        rows=tuple(f"static {kind(t)} all_{names[t.name]}[MOST * {size(t, 1)}];" for t in given),
        batches=", ".join(f"all_{names[t.name]} + i * {size(t, 1)}" for t in given),
    )


def kept(held: Held, name: str) -> tuple[str, ...]:
    """Return the lines that set an array of the optimiser's to its start."""
    given = f"state.{name} = kept.{name};"
    if held.start is None:
        return (given,)
    filled_line = f"    kept.{name}[p] = (real){held.start!r};"
    return (given, f"for (idx p = 0; p < {held.size}; p++) {{", filled_line, "}")


def size(tensor: Tensor, first: int = 0) -> int:
    """Return how many numbers an array has, from an axis on."""
    return prod(int(dim) for dim in tensor.shape[first:])


def shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))}{',' if len(tensor.shape) == 1 else ''})"


def kind(tensor: Tensor) -> str:
    """Return the type of an array's values in C."""
    return "real" if tensor.classes is None else "idx"


def dims(tensor: Tensor) -> str:
    """Return an array's sizes, for as many examples as a batch may have."""
    known = all(isinstance(dim, int) for dim in tensor.shape[1:])
    parts = ["BATCH" if isinstance(dim, str) else str(dim) for dim in tensor.shape]
    if not parts:
        return "[1]"
    return "".join(f"[{part}]" for part in parts) if known else f"[{' * '.join(parts)}]"


def argument(tensor: Tensor, prefix: str, names: dict[str, str]) -> str:
    kind_shown = f"{prefix}_real" if tensor.classes is None else "ptrdiff_t"
    return f"const {kind_shown} *{names[tensor.name]}"


def give(tensor: Tensor, names: dict[str, str]) -> str:
    """Return the line that lets a pass read an input or a target."""
    name = names[tensor.name]
    rest = "".join(f"[{dim}]" for dim in tensor.shape[1:])
    cast = f"(const {kind(tensor)} (*){rest})" if rest else ""
    return f"cache.{name} = {cast}{name};"


def listed(tensor: Tensor, names: dict[str, str]) -> tuple[str, ...]:
    """Return the definition of a start that the spec gives number by number."""
    draw = tensor.draw
    numbers: list[float] = []

    def gather(part: object) -> None:
        if isinstance(part, tuple):
            for item in part:
                gather(item)
        else:
            numbers.append(float(str(part)))

    gather(draw.values if draw else ())
    rows = [numbers[at : at + 6] for at in range(0, len(numbers), 6)]
    return (
        f"static const real start_{names[tensor.name]}[] = {{",
        *(f"    {', '.join(f'(real){value!r}' for value in row)}," for row in rows),
        "};",
    )


def begun(tensor: Tensor, start: int, names: dict[str, str]) -> tuple[str, ...]:
    """Return the lines that draw a parameter's start."""
    draw = tensor.draw
    value = "0"
    if draw is not None:
        value = f"start_{names[tensor.name]}[p]" if draw.kind == "values" else draw_text(draw)
    because = f"  // {draw.because}" if draw and draw.because else ""
    place = f"{start} + p" if start else "p"
    return (
        f"for (idx p = 0; p < {size(tensor)}; p++) {{",
        f"    PARAMETERS[{place}] = {value};{because}",
        "}",
    )


def filled(tensor: Tensor, value: str, names: dict[str, str]) -> tuple[str, ...]:
    """Return the lines that set every number of a random array."""
    count = " * ".join("cache.n" if isinstance(d, str) else str(d) for d in tensor.shape) or "1"
    name = names[tensor.name]
    return (
        f"for (idx p = 0; p < {count}; p++) {{",
        f"    ((real *)cache.{name})[p] = {value};",
        "}",
    )


def draw_text(draw: Draw) -> str:
    """Return the expression that draws one number."""
    first, *more = (decimal(argument) for argument in draw.arguments)
    match draw.kind:
        case "constant":
            return f"(real){first}"
        case "keep":
            return f"(real)(uniform() < {first} ? 1 / {first} : 0)"
        case "uniform":
            return f"(real)({first} + ({more[0]} - {first}) * uniform())"
        case "normal":
            return f"(real)({first} + {more[0]} * normal())"
    raise ValueError(f"no start is drawn by {draw.kind}")


def decimal(value: float) -> str:
    """Return a number in C, in parentheses if it has a sign."""
    text = repr(float(value))
    return f"({text})" if text.startswith("-") else text
