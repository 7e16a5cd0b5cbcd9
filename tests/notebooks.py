"""Runs a notebook's cells and keeps what they show: `python tests/notebooks.py` renews the files.

What a cell ends with is shown as Jupyter would show it, by _repr_html_ and _repr_latex_.
"""

import ast
import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parent.parent / "examples"


def notebooks() -> tuple[Path, ...]:
    """Return the example notebooks."""
    return tuple(sorted(EXAMPLES.glob("*.ipynb")))


def run(path: Path) -> dict[str, Any]:
    """Return the notebook as it is once its cells have run, in order, in its folder."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    with contextlib.chdir(path.parent):
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                count += 1
                cell["execution_count"] = count
                cell["outputs"] = list(_outputs("".join(cell["source"]), names, count))
    return notebook


def _outputs(source: str, names: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    tree = ast.parse(source)
    last = tree.body[-1]
    ending = ast.Expression(last.value) if isinstance(last, ast.Expr) else None
    body = ast.Module(tree.body[:-1] if ending else tree.body, [])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(body, "<cell>", "exec"), names)
        value = eval(compile(ending, "<cell>", "eval"), names) if ending else None  # noqa: S307
    if text := printed.getvalue():
        yield {"name": "stdout", "output_type": "stream", "text": _lines(text)}
    if value is not None:
        yield {
            "data": dict(_shown(value)),
            "execution_count": count,
            "metadata": {},
            "output_type": "execute_result",
        }


def _shown(value: Any) -> Iterator[tuple[str, list[str]]]:
    drawn = hasattr(value, "_repr_html_")
    if drawn:
        yield "text/html", _lines(value._repr_html_())
        yield "text/latex", _lines(value._repr_latex_())
    yield "text/plain", _lines(f"<{type(value).__name__}>" if drawn else repr(value))


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def written(notebook: dict[str, Any]) -> str:
    """Return a notebook as the text of its file."""
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    for each in notebooks():
        each.write_text(written(run(each)), encoding="utf-8")
        print(each.name)
