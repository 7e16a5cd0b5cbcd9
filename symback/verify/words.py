"""A verdict as text, and as JSON."""

import json
import textwrap
from collections.abc import Sequence

from symback.verify import Finding, Verdict

WIDTH = 100


def page(verdict: Verdict) -> str:
    """Return what is right, then each mistake with the right formula and the emitted line."""
    counts = ", ".join(map(str, verdict.examples))
    points = f"{len(verdict.examples)} random points ({counts} examples)"
    lines = [f"{verdict.title} against {verdict.model}, at {points}, to {verdict.tolerance:g}", ""]
    for title, names in (("right  ", verdict.right), ("differs", verdict.wrong)):
        if names:
            lines += _wrapped(f"  {title}   ", names)
    for finding in verdict.findings:
        lines += ["", *_finding(finding)]
    return "\n".join(lines) + "\n"


def _finding(finding: Finding) -> list[str]:
    lines = [finding.words]
    rows = (("yours", finding.yours), ("right", finding.right), ("NumPy", finding.code))
    lines += [f"    {title}   {text}" for title, text in rows if text]
    if len(finding.names) > 1:
        lines += _wrapped("    this alone explains ", finding.names)
    return lines


def _wrapped(title: str, names: Sequence[str]) -> list[str]:
    """Return names in lines that fit, behind a title."""
    indent = " " * len(title)
    return textwrap.wrap(", ".join(names), WIDTH, initial_indent=title, subsequent_indent=indent)


def document(verdict: Verdict) -> str:
    """Return the verdict as a JSON object."""
    content = {
        "function": verdict.title,
        "model": verdict.model,
        "examples": list(verdict.examples),
        "tolerance": verdict.tolerance,
        "ok": verdict.ok,
        "right": list(verdict.right),
        "differs": list(verdict.wrong),
        "findings": [
            {
                "gradients": list(finding.names),
                "what": finding.words,
                "yours": finding.yours,
                "right": finding.right,
                "numpy": finding.code,
            }
            for finding in verdict.findings
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
