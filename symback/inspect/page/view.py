"""Story → View: the strings and marked-up pieces that the page's template lays out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from sympy import Expr

from symback import __version__, emit, targets
from symback.inspect import arrays, latex, messages, work
from symback.inspect.messages import Language, Maths, Said, said
from symback.inspect.page.code import marked
from symback.inspect.page.drawing import Drawing, drawn
from symback.inspect.setting import maths
from symback.inspect.story import Formula, Part, Story
from symback.inspect.whole import Form, Whole, wholes
from symback.inspect.words import title
from symback.program import Dim, Role, Tensor

TITLES = {"numpy": "NumPy", "python": "Python", "c": "C"}


@dataclass(frozen=True, slots=True)
class Target:
    """A language that the network is written in, and its whole module."""

    name: str
    title: str
    about: str
    text: Markup


@dataclass(frozen=True, slots=True)
class Code:
    """The lines that compute one formula, for one target."""

    target: str
    title: str
    text: Markup


@dataclass(frozen=True, slots=True)
class Pair:
    """A formula and the code that computes it."""

    name: str  # what it computes: dW1
    layer: str
    href: str
    maths: Markup
    code: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of a derivation: its title, the formula then, what happened in words."""

    title: str
    maths: Markup
    words: tuple[Markup, ...]


@dataclass(frozen=True, slots=True)
class Ladder:
    """How one term was found; `through` says which way it takes, where there are several."""

    through: str
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True)
class Gradient:
    """One derivative: its ladders, one for each way, what they come to, and its code."""

    name: str
    symbol: Markup
    about: str
    ladders: tuple[Ladder, ...]
    last: tuple[Rung, ...]
    turns: tuple[Markup, ...]  # in which order a recurrence's steps are computed
    code: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: what it computes, what it is handed, and the derivatives found there."""

    name: str
    title: str
    forward: tuple[Markup, ...]
    given: Markup
    gradients: tuple[Gradient, ...]


@dataclass(frozen=True, slots=True)
class OneFormula:
    """A gradient as one formula, with its letters' ranges; `opened` is "" where too large."""

    key: str
    maths: Markup
    ranges: Markup
    opened: Markup
    opened_ranges: Markup


@dataclass(frozen=True, slots=True)
class View:
    """All that the template sees. `say` holds the fixed words: say["section.forward"]."""

    language: str
    say: Mapping[str, str]
    title: str
    model: str
    source: str
    facts: tuple[str, ...]
    made: str
    style: Markup
    script: Markup
    script_digest: str
    font: str
    targets: tuple[Target, ...]
    reading: tuple[Markup, ...]
    graph: Drawing
    goes: Mapping[str, str]  # layer → what a link to it says
    forward: tuple[Pair, ...]
    backward: tuple[Pair, ...]
    renewal: tuple[Pair, ...]
    layers: tuple[Layer, ...]
    wholes: tuple[OneFormula, ...]
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]
    tensors: tuple[tuple[str, ...], ...]
    tensor_total: tuple[str, ...]
    work_title: str
    work: tuple[tuple[str, ...], ...]
    work_total: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def viewed(
    story: Story,
    language: Language,
    *,
    style: Markup,
    script: Markup,
    script_digest: str,
    font: str,
) -> View:
    """Return all that is on a story's page."""
    make = _Making(story, language)
    program = story.program
    parameters = program.with_role(Role.PARAMETER)
    count = sum(work.numbers(tensor, 1) for tensor in parameters)
    layers = dict.fromkeys(formula.layer for formula in story.forward)
    return View(
        language=str(language),
        say=make.fixed(),
        title=make.say(said("page.title", model=program.model)),
        model=program.model,
        source=program.source,
        facts=(
            make.say(said("page.layers", count=str(len(layers)))),
            make.say(said("page.examples", count=f"{count:,}")),
        ),
        made=make.say(said("page.made", version=__version__, digest=program.digest[:16])),
        style=style,
        script=script,
        script_digest=script_digest,
        font=font,
        targets=tuple(make.targets()),
        reading=tuple(make.reading()),
        graph=drawn(story),
        goes={
            layer: make.say(said("graph.goes", layer=layer))
            for layer in (*layers, *(formula.layer for formula in story.loss))
        },
        forward=tuple(make.pair(f, f"#layer-{f.layer}") for f in (*story.forward, *story.loss)),
        backward=tuple(make.pair(f, f"#step-{f.name}") for f in story.backward),
        renewal=tuple(make.pair(f, f"#layer-{f.layer}") for f in story.renewal),
        layers=tuple(make.layers()),
        wholes=tuple(make.whole(each) for each in wholes(story)),
        assumptions=tuple(make.assumptions()),
        notes=tuple(messages.phrase(note, language) for note in program.notes),
        tensors=tuple(make.tensors()),
        tensor_total=(f"{count:,}", f"{count * work.item_bytes(program):,}"),
        work_title=make.say(said("sizes.work", batch=f"{work.batch(program):,}")),
        work=tuple(make.work()),
        work_total=make.work_total(),
        lines=tuple(make.lines()),
    )


class _Making:
    """Makes the pieces of one story's page, in one language."""

    def __init__(self, story: Story, language: Language) -> None:
        self.story = story
        self.program = story.program
        self.language = language
        self.adjoints = story.adjoints
        self.modules = {name: emit.emit(story.program, name) for name in targets.names()}

    # ------------------------------------------------------------ words and mathematics

    def say(self, message: Said | str) -> str:
        return messages.text(message, self.language)

    def fixed(self) -> dict[str, str]:
        """Return every message that has no places."""
        return {name: form[self.language] for name, form in messages.fixed()}

    def sentence(self, message: Said) -> Markup:
        """Return a sentence, its mathematics set as such."""
        parts = (
            maths(piece.latex, display=False) if isinstance(piece, Maths) else Markup.escape(piece)
            for piece in messages.pieces(message, self.language)
        )
        return Markup("").join(parts)

    def symbol(self, name: str) -> Maths:
        """Return a tensor's name within a sentence, ∂L/∂W1 where it is an adjoint."""
        if by := self.adjoints.get(name):
            loss = self.program.objective
            return Maths(f"∂{loss}/∂{by}", rf"\partial {loss} / \partial {latex.named(by, {})}")
        return Maths(name, latex.named(name, {}))

    def equation(self, formula: Formula) -> Markup:
        left, right = formula.sides(latex.Writer, self.adjoints)
        return maths(f"{left} {latex.RELATIONS[formula.sign]} {right}")

    # ------------------------------------------------------------ code

    def targets(self) -> Iterator[Target]:
        for name, module in self.modules.items():
            shown = TITLES.get(name, name)
            lines = f"{len(module.text.splitlines()):,}"
            about = said("module.lines", name=module.name, target=shown, count=lines)
            yield Target(name, shown, self.say(about), marked(module.text, name))

    def code(self, formula: Formula) -> tuple[Code, ...]:
        return tuple(
            Code(name, TITLES.get(name, name), marked(text, name))
            for name, text in emit.codes(formula.statement, self.program).items()
        )

    def pair(self, formula: Formula, href: str) -> Pair:
        return Pair(formula.name, formula.layer, href, self.equation(formula), self.code(formula))

    # ------------------------------------------------------------ how to read it

    def reading(self) -> Iterator[Markup]:
        """Yield the words that a stranger needs, told of this network's own names."""
        story, program = self.story, self.program
        first = story.forward[0]
        inputs = program.with_role(Role.INPUT)
        layers = ", ".join(dict.fromkeys(formula.layer for formula in story.forward))
        output, loss = self.symbol(program.output), self.symbol(program.objective)
        source = self.symbol(inputs[0].name if inputs else first.name)
        yield self.sentence(said("reading.network", input=source, layers=layers, output=output))
        yield self.sentence(said("reading.loss", loss=loss))
        if not story.gradients:
            return
        key = dict(story.gradients)
        weight = self.symbol(self.adjoints[next(iter(key.values()))])
        slope = self.symbol(next(iter(key.values())))
        yield self.sentence(said("reading.gradient", slope=slope, loss=loss, weight=weight))
        inner, outer = weight, self.symbol(first.name)
        yield self.sentence(said("reading.chain", inner=inner, outer=outer))
        part = first.parts[0]
        writer = part.writer(latex.Writer, self.adjoints)
        element = Maths(first.text.partition(" = ")[0], writer.write(part.target))
        examples = part.target.indices[0] if hasattr(part.target, "indices") else "n"
        yield self.sentence(
            said(
                "reading.indices",
                element=element,
                tensor=self.symbol(first.name),
                examples=Maths(str(examples), str(examples)),
            )
        )

    # ------------------------------------------------------------ layer by layer

    def layers(self) -> Iterator[Layer]:
        story = self.story
        formulas = (*story.forward, *story.loss)
        for name in reversed(dict.fromkeys(formula.layer for formula in formulas)):
            own = [formula for formula in formulas if formula.layer == name]
            found = [formula for formula in story.backward if formula.layer == name]
            yield self.layer(name, own, found)

    def layer(self, name: str, own: Sequence[Formula], found: Sequence[Formula]) -> Layer:
        is_loss = own[0] in self.story.loss
        heading = "section.loss" if is_loss else said("section.layer", layer=name)
        return Layer(
            name,
            self.say(heading),
            tuple(self.equation(formula) for formula in own),
            self.given(own, found),
            tuple(self.gradient(formula) for formula in found),
        )

    def given(self, own: Sequence[Formula], found: Sequence[Formula]) -> Markup:
        """Return what a layer is handed, and whether it finds anything from it."""
        inside = {formula.name for formula in found}
        parts = (part for formula in found for part in formula.parts)
        read = dict.fromkeys(name for part in parts for name in part.names.values())
        handed = [name for name in read if name in self.adjoints and name not in inside]
        if handed:
            symbols = [self.symbol(name) for name in handed]
            shown = Maths(
                ", ".join(symbol.text for symbol in symbols),
                r",\; ".join(symbol.latex for symbol in symbols),
            )
            return self.sentence(said("steps.given", slope=shown))
        if found:
            return self.sentence(said("steps.start"))
        computed = {formula.name for formula in self.story.backward}
        passed = [a for a, by in self.adjoints.items() if by == own[-1].name and a in computed]
        if not passed:
            return Markup("")
        return self.sentence(said("steps.passed", slope=self.symbol(passed[0])))

    def gradient(self, formula: Formula) -> Gradient:
        ladders = tuple(
            Ladder(
                self.say(said("steps.through", layer=part.layer)) if len(formula.steps) > 1 else "",
                tuple(self.rungs(part)),
            )
            for part in formula.steps
        )
        return Gradient(
            formula.name,
            maths(latex.named(formula.name, self.adjoints)),
            self.about(formula),
            ladders,
            tuple(self.last(formula)),
            tuple(self.turns(formula)),
            self.code(formula),
        )

    def turns(self, formula: Formula) -> Iterator[Markup]:
        """Yield in which order a recurrence's steps are computed."""
        if loop := formula.statement.loop:
            name = "step.upwards" if loop.step > 0 else "step.downwards"
            yield self.sentence(said(name, letter=loop.letter, last=str(loop.size - 1)))

    def about(self, formula: Formula) -> str:
        """Return what a derivative is taken by, and for whom."""
        if formula.of is None:
            return self.say("steps.value")
        if formula.of.role is Role.PARAMETER:
            return self.say(said("steps.by", key=formula.of.key))
        if formula.of.role is Role.INPUT:
            return self.say("steps.input")
        owner = next((f.layer for f in self.story.forward if f.name == formula.of.name), "")
        if owner == formula.layer or not owner:
            return self.say("steps.within")
        return self.say(said("steps.on", layer=owner))

    def rungs(self, part: Part) -> Iterator[Rung]:
        writer = part.writer(latex.Writer, self.adjoints)
        target = writer.write(part.target)
        for rung in part.ladder:
            yield Rung(
                self.say(title(rung.kind)),
                maths(f"{target} = {writer.write(rung.rhs)}"),
                tuple(self.sentence(words) for words in rung.words),
            )

    def last(self, formula: Formula) -> Iterator[Rung]:
        """Yield what the ladders come to, and the array form."""
        if not formula.is_told:
            several = len(formula.steps) > 1
            told = [said("step.sum", by=self.by(formula))] if several else []
            kind = title("sum" if several else "equation")
            yield Rung(self.say(kind), self.equation(formula), tuple(map(self.sentence, told)))
        if form := arrays.form(formula.statement, self.adjoints):
            words = tuple(self.sentence(each) for each in arrays.told(form))
            yield Rung(self.say(title("array")), maths(form), words)

    def by(self, formula: Formula) -> Maths:
        return self.symbol(formula.name if formula.of is None else formula.of.name)

    # ------------------------------------------------------------ whole formulas

    def whole(self, each: Whole) -> OneFormula:
        key = "" if each.formula.of is None else each.formula.of.key
        opened = each.opened
        return OneFormula(
            key,
            self.whole_maths(each.target, each.form),
            self.ranges(each.form),
            Markup("") if opened is None else self.whole_maths(each.target, opened),
            Markup("") if opened is None else self.ranges(opened),
        )

    def whole_maths(self, target: Expr, form: Form) -> Markup:
        writer = latex.Writer({}, {}, self.adjoints)
        return maths(f"{writer.write(target)} = {writer.write(form.rhs)}")

    def ranges(self, form: Form) -> Markup:
        """Return which letters run over how many values."""
        sizes: dict[str, list[str]] = {}
        for letter, size in form.ranges:
            sizes.setdefault(size, []).append(letter)
        told = "; ".join(
            f"{', '.join(letters)} = 1 … {size}" for size, letters in sizes.items() if size
        )
        return self.sentence(said("whole.ranges", ranges=told))

    # ------------------------------------------------------------ tables

    def assumptions(self) -> Iterator[str]:
        for each in self.program.assumptions:
            tensor = self.program.tensor(each.tensor)
            places = {"tensor": each.tensor}
            if each.kind == "classes":
                places["last"] = str((tensor.classes or 1) - 1)
            name = f"assumption.{each.kind}"
            yield self.say(said(name, **places)) if messages.found(name) else each.because

    def tensors(self) -> Iterator[tuple[str, ...]]:
        held = self.program.with_role(Role.INPUT, Role.TARGET, Role.PARAMETER, Role.STATE)
        for tensor in held:
            fixed = tensor.role in (Role.PARAMETER, Role.STATE)
            count = work.numbers(tensor, 1)
            per = "" if fixed or "n" not in tensor.shape else " N"
            size = count * work.item_bytes(self.program)
            yield (
                tensor.name,
                tensor.key,
                self.kind(tensor),
                self.shape(tensor.shape),
                f"{count:,}{per}",
                f"{size:,}{per}",
            )

    def kind(self, tensor: Tensor) -> str:
        if tensor.classes is not None:
            return self.say(said("role.labels", last=str(tensor.classes - 1)))
        return self.say(f"role.{tensor.role}")

    def shape(self, shape: Sequence[Dim]) -> str:
        shown = " × ".join(str(dim).upper() if isinstance(dim, str) else str(dim) for dim in shape)
        return shown or self.say("role.number")

    def work(self) -> Iterator[tuple[str, ...]]:
        for layer in work.layers(self.story):
            counts = (layer.parameters, layer.forward, layer.backward, layer.bytes)
            yield (layer.layer, self.shape(layer.output), *(f"{count:,}" for count in counts))

    def work_total(self) -> tuple[str, ...]:
        rows = work.layers(self.story)
        columns = (
            (row.parameters for row in rows),
            (row.forward for row in rows),
            (row.backward for row in rows),
            (row.bytes for row in rows),
        )
        return tuple(f"{sum(column):,}" for column in columns)

    def lines(self) -> Iterator[tuple[str, ...]]:
        story = self.story
        for formula in (*story.forward, *story.loss, *story.backward, *story.renewal):
            done = work.of(formula, self.program)
            yield (
                formula.text,
                self.shape(done.shape),
                f"{done.operations:,}",
                f"{done.bytes:,}",
            )
