"""What to write instead of what mathematics and other languages write."""

import ast
from collections.abc import Mapping

WHAT_THERE_IS = (
    "they have + - * / **, comparisons, x[n, i], sum(…, i), where(c, a, b) and functions"
)
INSTEAD: Mapping[type[ast.AST], str] = {
    ast.BitXor: "write a power as x**2",
    ast.MatMult: "write a matrix product as sum(W[o, i] * x[n, i], i)",
    ast.IfExp: "write a choice as where(c, a, b)",
    ast.BitAnd: "write `and`",
    ast.BitOr: "write `or`",
    ast.Mod: "write a - b*floor(a/b)",
    ast.FloorDiv: "write floor(a/b)",
}
IN_ASCII: Mapping[str, str] = {
    "\N{N-ARY SUMMATION}": "sum(…, i)",
    "\N{GREEK CAPITAL LETTER SIGMA}": "sum(…, i)",
    "\N{N-ARY PRODUCT}": "prod(…, i)",
    "\N{SQUARE ROOT}": "sqrt(…)",
    "\N{SUPERSCRIPT TWO}": "**2",
    "\N{SUPERSCRIPT THREE}": "**3",
    "\N{MIDDLE DOT}": "*",
    "\N{DOT OPERATOR}": "*",
    "\N{MULTIPLICATION SIGN}": "*",
    "\N{MINUS SIGN}": "-",
    "\N{GREEK SMALL LETTER PI}": "pi",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{NOT EQUAL TO}": "!=",
}
SYNONYMS: Mapping[str, str] = {
    "ln": "log(x)",
    "log2": "log(x) / log(2)",
    "log10": "log(x) / log(10)",
    "pow": "x**y",
    "square": "x**2",
    "exp2": "2**x",
    "arcsin": "asin(x)",
    "arccos": "acos(x)",
    "arctan": "atan(x)",
    "fabs": "abs(x)",
    "heaviside": "where(x > 0, 1, 0)",
    "clip": "minimum(maximum(x, low), high)",
    "clamp": "minimum(maximum(x, low), high)",
    "dot": "sum(a[i] * b[i], i)",
    "matmul": "sum(W[o, i] * x[n, i], i)",
    "norm": "sqrt(sum(x[n, i]**2, i))",
    "product": "prod(…, i)",
    "average": "mean(…, i)",
}

# What to say of an index that is none.
PLACE = (
    "an index is a name, a whole number, or sums and multiples of them",
    "as i, 0 and 2*i + p - 1 in x[n, i, 0, 2*i + p - 1], or labels, as in E[t[n], k]",
)
