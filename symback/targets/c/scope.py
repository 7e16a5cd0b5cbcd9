"""What printing needs to know, and the names that C leaves free."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from symback.printing import Code
from symback.program import (
    Tensor,
)

WIDTH = 86  # the deepest place of the templates adds 12
KEYWORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while _Bool _Complex _Imaginary asm typeof true false bool
"""
OWN = """
    cache cholesky corner cube determinant dots eliminate fourth gemm grads inverse log_determinant
    idx larger log_sigmoid logaddexp memcpy params product ptrdiff_t real side sigmoid sign size_t
    smaller softplus square state tanhshrink turn isfinite INFINITY NAN NULL HUGE_VAL HUGE_VALF
    HUGE_VALL EOF R B SIMD PARALLEL PRAGMA PARAMETERS LANES TILE ROWS SIZED BLAS COUNT BATCH main
    linux unix block vast treat_tiny strip strips in_strips tile shuffle turned_square memset DEPTH
    ACROSS HEIGHT NEAREST STRIPS SHARES SIDE SQUARE VAST TINY_IS_ZERO omp_get_max_threads
"""
MATH = {
    *("exp", "log", "log1p", "expm1", "sqrt", "floor", "sinh", "cosh", "tanh"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "erf", "erfc", "pow", "fabs"),
}
VECTORS = MATH - {"floor", "sqrt", "fabs"}  # what libmvec has for several numbers at once
NEEDS = {  # which functions a helper calls
    "sigmoid": ("exp", "fabs"),
    "softplus": ("larger", "log1p", "exp", "fabs"),
    "log_sigmoid": ("smaller", "log1p", "exp", "fabs"),
    "logaddexp": ("larger", "log", "log1p", "exp", "fabs"),
    "tanhshrink": ("smaller", "tanh"),
    "strips": ("product", "turn"),
    "in_strips": ("product",),
    "block": ("strips", "in_strips"),
    "gemm": ("block",),
    "eliminate": ("fabs",),
    "inverse": ("eliminate",),
    "determinant": ("eliminate",),
    "log_determinant": ("eliminate", "log"),
    "cholesky": ("sqrt",),
}
HELPERS = (  # in the order they need each other
    *("larger", "smaller", "sign", "square", "cube", "fourth"),
    *("sigmoid", "softplus", "log_sigmoid", "logaddexp", "tanhshrink"),
    *("turn", "product", "strips", "in_strips", "dots", "block", "gemm"),
    *("eliminate", "inverse", "determinant", "log_determinant", "cholesky"),
)
RESERVED = frozenset([*KEYWORDS.split(), *OWN.split(), *MATH, *(f"{name}f" for name in MATH)])


@dataclass(frozen=True, slots=True)
class Scope:
    """What printing needs to know: the arrays, and what may not be the name of anything else."""

    arrays: Mapping[str, Tensor]
    sizes: frozenset[str]
    owners: Mapping[str, str] = field(default_factory=dict)  # arrays in the memory of others
    own: frozenset[str] = frozenset()  # arrays that each round of a loop has to itself
    exact: bool = False  # numbers in double whatever `real` is: an optimiser's and a schedule's
    run: tuple[str, ...] = ()  # letters that one counter runs over
    alone: bool = False  # without threads: what a round has to itself is static

    def name(self, name: str) -> str:
        """Return a name that C leaves free."""
        return f"{name}_" if name in RESERVED else name

    def counter(self, letter: str) -> str:
        """Return the variable that counts along a letter."""
        plain = re.sub(r"\W", "_", letter)
        plain = f"at{plain}" if plain.startswith("_") else plain
        taken = plain in self.arrays or plain in self.sizes or plain in RESERVED
        return f"{plain}_" if taken or plain == "n" else plain

    @property
    def runner(self) -> str:
        """Return the letter that stands for all letters of a run: ij, or the first of p'1, p'2."""
        short = all(len(letter) == 1 for letter in self.run)
        return "".join(self.run) if short else self.run[0]

    @property
    def real(self) -> str:
        """Return the type of a number."""
        return "double" if self.exact else "real"

    def called(self, function: str) -> str:
        """Return a function of the C library, of the type that the numbers have."""
        return function if self.exact else f"R({function})"


@dataclass(frozen=True, slots=True)
class Value(Code):
    """A printed value; `whole`: of an integer type, which must not be divided as such."""

    whole: bool = False
