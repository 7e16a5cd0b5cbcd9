"""The page of a derivation: what it holds, and what a browser makes of it.

The tests with a browser drive Chromium through playwright, and are skipped, saying so, where one
of them is missing.
"""

import html
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from html.parser import HTMLParser
from itertools import combinations, product
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sympy import Add, Expr, Indexed, Mul, Pow, Rational, Symbol
from sympy.core.parameters import distribute

from symback import functions as fn
from symback import pipeline, stable
from symback.__main__ import cli
from symback.graph.network import OF_ONE
from symback.inspect import Language, Story, arrays, messages, show, story, whole, work
from symback.inspect.page.drawing import drawn
from symback.targets import names

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("linear", "chain", "xor", "moons", "iris", "digits", "own_formula")
BRANCHED: dict[str, Any] = {  # a skip connection, a penalty, a branch, a root
    "model": "branched",
    "inputs": {"x": ["n", 3], "t": ["n", 3]},
    "functions": {"bent": {"args": ["u"], "formula": "where(u > 0, sqrt(1 + u**2), abs(u) / 3)"}},
    "layers": [
        {"first": {"dense": 3, "activation": "bent"}},
        {"second": {"dense": 3, "activation": "softmax"}},
        {"both": {"add": {}, "from": ["first", "second"]}},
    ],
    "loss": {"formula": "mean((y[n, k] - t[n, k])**4, n, k)", "l2": 0.01},
    "optimizer": {"sgd": {"lr": 0.1}},
}

WINDOWED: dict[str, Any] = {  # a convolution, a gather, what both come to
    "model": "windowed",
    "inputs": {
        "x": ["n", 2, 9],
        "tok": {"shape": ["n", 4], "classes": 5},
        "t": {"shape": ["n"], "classes": 3},
    },
    "layers": [
        {
            "conv": {
                "formula": "z[n, d, i] = sum(K[d, c, p] * x[n, c, 2*i + p - 1], c, p) + b[d]",
                "parameters": {
                    "K": {"shape": [3, 2, 3], "init": "uniform(-1, 1)"},
                    "b": {"shape": [3], "init": "zeros"},
                },
                "from": ["x"],
            }
        },
        {
            "embed": {
                "formula": "e[n, k] = sum(E[tok[n, i], k], i)",
                "parameters": {"E": {"shape": [5, 6], "init": "uniform(-1, 1)"}},
                "from": ["tok"],
            }
        },
        {"flat": {"flatten": {}, "from": ["conv"]}},
        {"f1": {"dense": 6}},
        {"both": {"add": {}, "from": ["f1", "embed"]}},
        {"f2": {"dense": 3}},
    ],
    "loss": {"cross_entropy": "t"},
    "optimizer": {"sgd": {"lr": 0.1}},
}
RECURRENCE = "h[n, s, k] = tanh(sum(U[k, j]*h[n, s-1, j], j) + sum(W[k, i]*x[n, s, i], i))"
RECURRENT: dict[str, Any] = {  # a formula that reads its own output at the step before
    "model": "recurrent",
    "inputs": {"x": ["n", 5, 3], "t": ["n", 4]},
    "layers": [
        {
            "rnn": {
                "formula": RECURRENCE,
                "parameters": {
                    "U": {"shape": [4, 4], "init": "uniform(-1, 1)"},
                    "W": {"shape": [4, 3], "init": "uniform(-1, 1)"},
                },
            }
        },
        {"last": {"formula": "y[n, k] = rnn[n, 4, k]"}},
    ],
    "loss": {"mse": "t"},
    "optimizer": {"sgd": {"lr": 0.1}},
}
SPECS = {"branched": BRANCHED, "windowed": WINDOWED, "recurrent": RECURRENT}


@cache
def told(name: str) -> Story:
    return story(pipeline.derive(SPECS.get(name) or EXAMPLES / f"{name}.yaml"))


@cache
def page(name: str, language: Language = Language.ENGLISH) -> str:
    return show(told(name), "html", language=language)


class Reader(HTMLParser):
    """Collects what a page holds; asserts that its elements are nested as they must be."""

    VOID = frozenset({"meta", "input", "path", "rect", "circle", "mspace"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        assert not {name for name in found if name.startswith("on")}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.words.append(data)


# ---------------------------------------------------------------- what it holds


@pytest.mark.parametrize("name", [*NAMES, *SPECS])
def test_a_page_is_whole(name: str) -> None:
    """Every element is closed, every id stands once, every link has its place on the page."""
    text = page(name)
    read = Reader(text)
    assert len(set(read.ids)) == len(read.ids)
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    assert all(link.startswith("#") for link in read.links)
    assert len(text.encode()) < 500_000


@pytest.mark.parametrize("name", NAMES)
def test_every_equation_and_every_line_is_there(name: str) -> None:
    text = page(name)
    plain = html.unescape(re.sub(r"<[^>]+>", "", text))
    joined = "".join(plain.split())  # a long line is folded
    shown = told(name)
    for formula in (*shown.forward, *shown.loss, *shown.backward):
        assert "".join(formula.code.split()) in joined
        assert html.escape(formula.text, quote=False) in text
    for formula in shown.backward:
        assert f'id="step-{formula.name}"' in text
    for target in names():
        module = pipeline.generate(EXAMPLES / f"{name}.yaml", target, readable=True).text
        assert module in plain


def test_every_step_has_its_title_and_words() -> None:
    text = page("digits")
    for kind in ("chain", "raw", "contracted", "assumed", "reused", "array", "code"):
        assert html.escape(messages.text(f"step.{kind}.title"), quote=False) in html.unescape(text)
    rungs = re.findall(r'<li class="rung">.*?</li>', text, re.DOTALL)
    assert len(rungs) > 30
    assert all("<p>" in rung or "codes" in rung or "equation" in rung for rung in rungs)


def test_a_recurrence_says_in_which_order_it_is_computed() -> None:
    words = " ".join("".join(Reader(page("recurrent")).words).split())
    assert "Computed for s = 4 … 0 in turn, each step from the one after it." in words
    assert "for s in reversed(range(5)):" in words
    assert "one term, or none" in words


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = page("digits")
    assert "default-src 'none'" in text
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", text)
    assert not re.search(r"url\((?!data:|#)", text)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/1998/Math/MathML"}


def test_a_hostile_name_stays_text(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>&'\".yaml"
    spec = tmp_path / name
    spec.write_bytes((EXAMPLES / "chain.yaml").read_bytes())
    text = show(story(pipeline.derive(spec)), "html")
    assert "<img" not in text
    assert name in "".join(Reader(text).words)


def test_the_command_writes_a_page(tmp_path: Path) -> None:
    output = tmp_path / "net.html"
    spec = str(EXAMPLES / "chain.yaml")
    words = ["inspect", spec, "--format", "html", "--lang", "zh-TW", "-o", str(output)]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert output.read_text(encoding="utf-8") == page("chain", Language.CHINESE)


def test_only_what_is_asked_for() -> None:
    chain = story(pipeline.derive(EXAMPLES / "chain.yaml"), "f2.weight")
    text = show(chain, "html")
    assert 'id="step-dW2"' in text
    assert 'id="step-dW1"' not in text
    Reader(text)


# ---------------------------------------------------------------- the graph


@pytest.mark.parametrize("name", [*NAMES, *SPECS])
def test_no_box_of_the_graph_covers_another(name: str) -> None:
    drawing = drawn(told(name))
    for a, b in combinations(drawing.boxes, 2):
        apart = a.left + a.width <= b.left or b.left + b.width <= a.left
        assert apart or a.top + a.height <= b.top or b.top + b.height <= a.top, (a.name, b.name)
    for box in drawing.boxes:
        assert box.left >= 0
        assert box.left + box.width <= drawing.width
        assert box.top + box.height <= drawing.height


def test_the_graph_has_every_tensor_and_derivatives_flow_back() -> None:
    shown = told("windowed")
    boxes = {box.name: box for box in drawn(shown).boxes}
    read = {
        name for f in (*shown.forward, *shown.loss) for p in f.parts for name in p.names.values()
    }
    assert read <= set(boxes)
    assert boxes["E2"].adjoint == "∂L/∂E2"
    assert boxes["z1"].adjoint == "∂L/∂z1"
    assert not boxes["x"].adjoint
    assert not boxes["T"].adjoint
    kinds = [arrow.kind for arrow in drawn(shown).arrows]
    into_labels = 4  # x, tok, t and T: nothing is learned on their way
    assert kinds.count("forward") - kinds.count("backward") == into_labels + 1  # [t = k] → T


# ---------------------------------------------------------------- words


def spoken(table: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    for key, value in table.items():
        if key in tuple(Language):
            yield at, table
            return
        if isinstance(value, Mapping) and key != "phrases":
            yield from spoken(value, f"{at}.{key}")


def places(form: str) -> set[str]:
    return {place for _, place, _, _ in Formatter().parse(form) if place}


def test_every_message_is_in_every_language_with_the_same_places() -> None:
    found = dict(spoken(messages.catalogue()))
    assert len(found) > 90
    for name, forms in found.items():
        wanted = places(forms[Language.ENGLISH])
        for language in Language:
            assert forms[language].strip(), name
            assert places(forms[language]) == wanted, name


def test_what_the_engine_says_is_known_in_every_language() -> None:
    said = {rule.why for rule in stable.RULES}
    said |= {kind.kink for kind in fn.ELEMENTWISE.values() if kind.kink}
    said |= {kind.kink for kind in fn.REDUCTIONS.values() if kind.kink}
    said |= {OF_ONE}
    for english in said:
        assert messages.phrase(english, Language.CHINESE) != english, english


def test_a_page_in_traditional_chinese() -> None:
    text = page("digits", Language.CHINESE)
    assert '<html lang="zh-TW">' in text
    for word in ("前向傳遞", "反向傳遞", "梯度", "鏈式法則", "偏導數", "損失函數"):
        assert word in text
    words = " ".join(Reader(text).words)
    for name, forms in spoken(messages.catalogue()):
        english = forms[Language.ENGLISH]
        if len(english) > 20 and english != forms[Language.CHINESE]:
            assert english not in words, name
    assert messages.phrase("relu at 0: slope 0", Language.CHINESE) in words


def test_a_message_that_is_missing_is_its_own_words() -> None:
    assert messages.text("nothing of that name") == "nothing of that name"


# ---------------------------------------------------------------- one formula


def evaluated(expr: Expr, tensors: Mapping[str, Any], at: Mapping[str, int], n: int) -> float:
    """Return an expression's value, worked out by the book: sums term by term."""

    def value(part: Expr) -> float:
        return evaluated(part, tensors, at, n)

    match expr:
        case Rational():
            return float(expr)
        case Indexed():
            place = tuple(int(value(index)) for index in expr.indices)
            return float(tensors[str(expr.base.label)][place])
        case Symbol() if expr.name in at:
            return at[expr.name]
        case Symbol():
            return float(n) if expr.name == "N" else float(tensors[expr.name])
        case Add():
            return sum(value(arg) for arg in expr.args)
        case Mul():
            return float(np.prod([value(arg) for arg in expr.args]))
        case Pow():
            return float(value(expr.base) ** value(expr.exp))
        case fn.SumOver() | fn.MaxOver():
            sizes = [tensors["sizes"][letter.name] for letter in expr.bound]
            names = [letter.name for letter in expr.bound]
            terms = (
                evaluated(expr.body, tensors, {**at, **dict(zip(names, place, strict=True))}, n)
                for place in product(*map(range, sizes))
            )
            return sum(terms) if isinstance(expr, fn.SumOver) else max(terms)
        case fn.Elementwise():
            return float(type(expr).number(*map(value, expr.args)))
    raise AssertionError(type(expr))


@pytest.mark.parametrize("name", ["linear", "chain", "xor"])
def test_a_whole_gradient_is_the_gradient(name: str) -> None:
    """Put together by substitution alone, and worked out by the book."""
    spec = EXAMPLES / f"{name}.yaml"
    module = pipeline.compile(spec, readable=True)
    params, data = module.init(3), module.sample(2, 3)
    y, cache = module.forward(params, data[0])
    del y
    _, grads = module.value_and_grad(params, *data)
    shown = told(name)
    tensors: dict[str, Any] = dict(zip(("x", "t"), data, strict=True))
    tensors |= {t.name: params[t.key] for t in shown.program.tensors if t.key in params}
    tensors |= {field: getattr(cache, field) for field in cache._fields}
    shapes = {tensor.name: tensor.shape for tensor in shown.program.tensors}
    with distribute(False):
        found = whole.wholes(shown)
    assert found
    for each in found:
        assert each.formula.of is not None
        grad = grads[each.formula.of.key]
        corner = tuple(int(size) - 1 for size in shapes[each.formula.name])
        for form in (each.form, each.opened):
            if form is None:
                continue
            sizes = {letter: 2 if size == "N" else int(size) for letter, size in form.ranges}
            at = dict(zip((str(i) for i in each.target.indices), corner, strict=True))
            value = evaluated(form.rhs, tensors | {"sizes": sizes}, at, 2)
            assert value == pytest.approx(grad[corner], rel=1e-12, abs=1e-15)


def test_letters_of_a_whole_gradient_stand_for_one_range_each() -> None:
    with distribute(False):
        [first] = [w for w in whole.wholes(told("chain")) if w.formula.name == "dW1"]
    assert first.opened is not None
    bound = [letter.name for part in first.opened.rhs.atoms(fn.SumOver) for letter in part.bound]
    assert len(set(bound)) == len(bound)
    letters = {letter for letter, _ in first.opened.ranges}
    assert set(bound) | {str(i) for i in first.target.indices} == letters


# ---------------------------------------------------------------- arrays, work


def slope(by: str) -> str:
    return rf"\frac{{\partial L}}{{\partial {by}}}"


@pytest.mark.parametrize(
    ("name", "tensor", "form"),
    [
        ("chain", "z1", r"z_{1} = x \, W_{1}^{\top} + \mathbf{1} b_{1}^{\top}"),
        ("chain", "dz3", r"\frac{\partial L}{\partial z_{3}} = \frac{2}{N} \, (z_{3} - t)"),
        (
            "chain",
            "dW2",
            rf"{slope('W_{2}')} = \left({slope('z_{2}')}\right)^{{\top}} \, a_{{1}}",
        ),
        (
            "chain",
            "da2",
            r"\frac{\partial L}{\partial a_{2}} = \frac{\partial L}{\partial z_{3}} \, W_{3}",
        ),
        (
            "chain",
            "db1",
            rf"{slope('b_{1}')} = \left({slope('z_{1}')}\right)^{{\top}} \, \mathbf{{1}}",
        ),
        ("digits", "m", ""),  # a maximum along an axis has no sign of its own
        ("digits", "s", r"s = z_{2} - m \mathbf{1}^{\top}"),
    ],
)
def test_the_array_form(name: str, tensor: str, form: str) -> None:
    shown = told(name)
    formulas = (*shown.forward, *shown.loss, *shown.backward)
    [formula] = [formula for formula in formulas if formula.name == tensor]
    assert arrays.form(formula.statement, shown.adjoints) == form


def test_the_work_of_digits() -> None:
    shown = told("digits")
    first, second, loss = work.layers(shown)
    assert (first.layer, second.layer, loss.layer) == ("f1", "f2", "loss")
    assert first.parameters == 64 * 64 + 64
    assert first.forward == 32 * (2 * 64 * 64 + 64 + 64)  # x Wᵀ, + b, relu
    assert second.forward == 32 * (2 * 64 * 10 + 10)
    product = work.of(shown.backward[2], shown.program)  # ∂L/∂W2 = (∂L/∂z2)ᵀ a1
    assert product.operations == 2 * 32 * 64 * 10
    assert product.bytes == 10 * 64 * 8
    assert loss.parameters == 0


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=path, args=sandbox)
        yield opened
        opened.close()


class Opened:
    """A page in a browser, with all it complained of and asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.tab = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.tab.on("console", lambda message: self.errors.append(message.text))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.address = path.as_uri()
        self.tab.goto(self.address)

    def run(self, script: str) -> Any:
        return self.tab.evaluate(script)

    def done(self) -> None:
        """Assert that nothing went wrong and nothing left the page."""
        assert not self.errors
        away = [url for url in self.requests if not url.startswith(("data:", self.address))]
        assert not away
        self.context.close()


def opened(
    browser: Any, tmp_path: Path, name: str, language: str = "en", width: int = 1280, **options: Any
) -> Opened:
    path = tmp_path / f"{name}.html"
    path.write_text(page(name, Language(language)), encoding="utf-8")
    return Opened(browser, path, viewport={"width": width, "height": 900}, **options)


# What reaches past the window without standing in a box that scrolls.
OVERFLOWING = """() => {
  const wide = document.documentElement.clientWidth;
  const scrolls = e => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
  return [...document.querySelectorAll("main *, .bar *, footer *")].filter(e => {
    const box = e.getBoundingClientRect();
    if (box.width === 0 || box.right <= wide + 0.5) return false;
    for (let up = e.parentElement; up; up = up.parentElement) if (scrolls(up)) return false;
    return !scrolls(e) || box.right > wide + 0.5;
  }).map(e => e.tagName + "." + e.className);
}"""
# Text too pale for its ground: WCAG's contrast below 4.5.
PALE = """() => {
  const numbers = c => c.match(/[\\d.]+/g).map(Number);
  const lum = c => { const [r, g, b] = numbers(c).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor, n = numbers(c);
      if (n.length < 4 || n[3] > 0) return c;
    }
    return "rgb(255, 255, 255)";
  };
  const pale = [];
  for (const e of document.querySelectorAll("main *, .bar *, nav *, footer *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest("svg")) continue;
    const [a, b] = [lum(getComputedStyle(e).color), lum(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) pale.push(e.tagName + "." + e.className);
  }
  return [...new Set(pale)];
}"""
NAMELESS = """() => [...document.querySelectorAll("a, button, input, summary")].filter(e =>
  !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length)).length"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["digits", "own_formula", "windowed"])
def test_nothing_overflows(browser: Any, tmp_path: Path, name: str, width: int) -> None:
    shown = opened(browser, tmp_path, name, width=width)
    shown.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert shown.run("document.documentElement.scrollWidth") <= width
    assert shown.run(OVERFLOWING) == []
    cut = "[...document.querySelectorAll('.math')].filter(e => e.scrollHeight > e.clientHeight + 1)"
    assert shown.run(f"{cut}.length") == 0
    shown.done()


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "zh-TW")])
def test_it_is_legible(browser: Any, tmp_path: Path, scheme: str, language: str) -> None:
    shown = opened(browser, tmp_path, "digits", language, color_scheme=scheme)
    assert shown.run("document.documentElement.lang") == language
    assert shown.run(PALE) == []
    assert shown.run(NAMELESS) == 0
    assert shown.run("document.fonts.check('16px \"STIX Two Math subset\"')")
    assert shown.run("[...document.fonts].every(font => font.status === 'loaded')")
    tall = "Math.max(...[...document.querySelectorAll('mfrac')].map(e => e.clientHeight))"
    assert shown.run(tall) > 30
    shown.done()


def test_links_lead_where_they_say(browser: Any, tmp_path: Path) -> None:
    shown = opened(browser, tmp_path, "chain")
    shown.tab.click("nav a[href='#whole']")
    assert shown.run("Math.abs(document.querySelector('#whole').getBoundingClientRect().top)") < 90
    shown.tab.click("svg a[aria-label^='f2.weight']")
    assert shown.run("location.hash") == "#layer-f2"
    shown.run("document.querySelector('#step-dW1').open = false")
    shown.tab.click(".pair[data-of=dW1] a")
    assert shown.run("document.querySelector('#step-dW1').open")
    shown.done()


@pytest.mark.parametrize("script", [True, False])
def test_tabs_choose_the_language_of_the_code(browser: Any, tmp_path: Path, script: bool) -> None:
    shown = opened(browser, tmp_path, "chain", java_script_enabled=script)

    def visible(target: str) -> int:
        count: int = shown.tab.locator(f"pre[data-target={target}]:visible").count()
        return count

    assert visible("numpy") > 20
    assert visible("python") == 0
    shown.tab.focus("#in-numpy")
    shown.tab.keyboard.press("ArrowRight")
    for target in names():
        assert (visible(target) > 20) is (target == names()[1])
    shown.done()


def test_without_script_all_of_it_is_there(browser: Any, tmp_path: Path) -> None:
    shown = opened(browser, tmp_path, "chain", java_script_enabled=False)
    assert shown.tab.locator(".rung:visible").count() == shown.tab.locator(".rung").count() > 50
    assert shown.tab.locator("button:visible").count() == 0  # what only a script can do
    shown.done()


def test_pointing_at_a_formula_marks_its_code(browser: Any, tmp_path: Path) -> None:
    shown = opened(browser, tmp_path, "chain")
    shown.tab.hover(".pair[data-of=z2] .math")
    assert shown.run("document.querySelector('svg [data-of=z2]').classList.contains('marked')")
    ground = "getComputedStyle(document.querySelector('.pair[data-of={}]')).backgroundColor"
    assert shown.run(ground.format("z2")) != shown.run(ground.format("z1"))
    shown.tab.focus(".pair[data-of=z1] a")
    assert shown.run("document.querySelector('.pair[data-of=z1]').classList.contains('marked')")
    shown.done()


def test_the_keyboard_reaches_everything(browser: Any, tmp_path: Path) -> None:
    shown = opened(browser, tmp_path, "chain")
    shown.tab.keyboard.press("Tab")
    assert shown.run("document.activeElement.className") == "skip"
    shown.tab.keyboard.press("Enter")
    assert shown.run("document.activeElement.id") == "content"
    shown.tab.focus("#step-dW1 summary")
    shown.tab.keyboard.press("Enter")
    assert not shown.run("document.querySelector('#step-dW1').open")
    shown.tab.focus("#theme")
    shown.tab.keyboard.press("Enter")
    assert shown.run("document.documentElement.dataset.theme") == "dark"
    shown.done()


def test_a_hostile_name_does_nothing(browser: Any, tmp_path: Path) -> None:
    spec = tmp_path / "<img src=x onerror=alert(1)><script>alert(2)<!--.yaml"
    spec.write_bytes((EXAMPLES / "chain.yaml").read_bytes())
    path = tmp_path / "hostile.html"
    path.write_text(show(story(pipeline.derive(spec)), "html"), encoding="utf-8")
    shown = Opened(browser, path)
    assert shown.tab.locator("img").count() == 0
    assert shown.tab.locator("script").count() == 1
    assert spec.name in shown.tab.inner_text(".facts")
    shown.done()


def test_it_prints(browser: Any, tmp_path: Path) -> None:
    shown = opened(browser, tmp_path, "chain", color_scheme="dark")
    shown.tab.emulate_media(media="print")
    assert not shown.tab.locator("nav").is_visible()
    ground = shown.run("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    assert shown.tab.locator(".rung:visible").count() > 50
    shown.done()
