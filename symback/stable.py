"""The rewrites that keep floating point honest: what a person writes naively → what is computed.

Each `Rule` is a function from an expression to its stable form, or None where it doesn't apply.
They are tried on every part of a formula, innermost first, before it is differentiated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from sympy import Add, Expr, Indexed, Mul, Pow, S

from symback import functions as fn
from symback import index as ix
from symback.formula import tensor


@dataclass(frozen=True, slots=True)
class Stable:
    """An expression in its stable form, and a line for each rewrite: what, and why."""

    expr: Expr
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rewrite. `why` says what goes wrong with the naive form."""

    what: str
    why: str
    apply: Callable[[Expr], Expr | None]


def _argument(expr: Expr, function: type[fn.Elementwise]) -> Expr | None:
    """Return u of f(u), None for anything else."""
    return expr.args[0] if isinstance(expr, function) else None


def _one_plus(expr: Expr) -> Expr | None:
    """Return u of 1 + u."""
    if isinstance(expr, Add) and S.One in expr.args:
        return Add(*(arg for arg in expr.args if arg is not S.One))
    return None


def _softplus(expr: Expr) -> Expr | None:
    # log(1 + exp(u)) = softplus(u)
    inner = _argument(expr, fn.log1p)
    if inner is None and (logged := _argument(expr, fn.log)) is not None:
        inner = _one_plus(logged)
    u = None if inner is None else _argument(inner, fn.exp)
    return None if u is None else fn.softplus(u)


def _sigmoid(expr: Expr) -> Expr | None:
    # 1/(1 + exp(u)) = sigmoid(−u)
    for part in ix.factors(expr):
        if not (isinstance(part, Pow) and part.exp == -1):
            continue
        inner = _one_plus(part.base)
        u = None if inner is None else _argument(inner, fn.exp)
        if u is None:
            continue
        rest = ix.product(other for other in ix.factors(expr) if other is not part)
        return fn.sigmoid(-u) * rest
    return None


def _sigmoid_up(expr: Expr) -> Expr | None:
    # exp(u)·sigmoid(−u) = sigmoid(u), what exp(u)/(1 + exp(u)) has become by then
    parts = ix.factors(expr)
    for part in parts:
        if isinstance(part, fn.exp) and (below := fn.sigmoid(-part.args[0])) in parts:
            rest = ix.product(other for other in parts if other not in (part, below))
            return fn.sigmoid(part.args[0]) * rest
    return None


def _logsumexp(expr: Expr) -> Expr | None:
    # log(Σ exp(u)) = logsumexp(u)
    total = _argument(expr, fn.log)
    if isinstance(total, fn.SumOver) and isinstance(total.body, fn.exp):
        return fn.LogSumExp(total.body.args[0], *total.bound)
    return None


def _softmax(expr: Expr) -> Expr | None:
    # exp(u_k) / Σ_k exp(u_k) = softmax(u)_k
    parts = ix.factors(expr)
    for below in parts:
        if not (isinstance(below, Pow) and below.exp == -1):
            continue
        total = below.base
        if not (isinstance(total, fn.SumOver) and isinstance(total.body, fn.exp)):
            continue
        if len(total.bound) != 1:
            continue
        for above in parts:
            if isinstance(above, fn.exp):
                for letter in sorted(ix.indices(above), key=str):
                    named = fn.SoftMax(above.args[0], letter)
                    same = ix.unify(total, {total.bound[0]: letter})
                    if same.body == above:
                        rest = [part for part in parts if part is not below and part is not above]
                        return named * ix.product(rest)
    return None


def _log_of(expr: Expr) -> Expr | None:
    # log(sigmoid(u)) = log_sigmoid(u);  log(softmax(u)) = log_softmax(u)
    inner = _argument(expr, fn.log)
    if isinstance(inner, fn.sigmoid):
        return fn.log_sigmoid(inner.args[0])
    if isinstance(inner, fn.SoftMax):
        return fn.LogSoftMax(*inner.args)
    return None


def _log_complement(expr: Expr) -> Expr | None:
    # log(1 − sigmoid(u)) = log_sigmoid(−u)
    inner = _argument(expr, fn.log)
    rest = None if inner is None else _one_plus(inner)
    if rest is not None and isinstance(-rest, fn.sigmoid):
        return fn.log_sigmoid(-(-rest).args[0])
    return None


def _complement(expr: Expr) -> Expr | None:
    # 1 − sigmoid(u) = sigmoid(−u);  1 + erf(u) = erfc(−u);  1 − erf(u) = erfc(u)
    rest = _one_plus(expr)
    if rest is None:
        return None
    if isinstance(-rest, fn.sigmoid):
        return fn.sigmoid(-(-rest).args[0])
    if isinstance(rest, fn.erf):
        return fn.erfc(-rest.args[0])
    if isinstance(-rest, fn.erf):
        return fn.erfc((-rest).args[0])
    return None


def _expm1(expr: Expr) -> Expr | None:
    # exp(u) − 1 = expm1(u)
    if isinstance(expr, Add) and len(expr.args) == 2 and S.NegativeOne in expr.args:
        other = next(arg for arg in expr.args if arg is not S.NegativeOne)
        number, rest = other.as_coeff_Mul()
        if number == 1 and isinstance(rest, fn.exp):
            return fn.expm1(rest.args[0])
    return None


def _log1p(expr: Expr) -> Expr | None:
    # log(1 + u) = log1p(u)
    inner = _argument(expr, fn.log)
    u = None if inner is None else _one_plus(inner)
    return None if u is None else fn.log1p(u)


def _logaddexp(expr: Expr) -> Expr | None:
    # log(exp(a) + exp(b)) = a + softplus(b − a)
    inner = _argument(expr, fn.log)
    if isinstance(inner, Add) and len(inner.args) == 2:
        first, second = inner.args
        if isinstance(first, fn.exp) and isinstance(second, fn.exp):
            a, b = first.args[0], second.args[0]
            return fn.maximum(a, b) + fn.log1p(fn.exp(-fn.abs_(a - b)))
    return None


def _tanh(expr: Expr) -> Expr | None:
    # (exp(u) − exp(−u)) / (exp(u) + exp(−u)) = tanh(u)
    for below in ix.factors(expr):
        if not (isinstance(below, Pow) and below.exp == -1 and isinstance(below.base, Add)):
            continue
        waves = [arg.args[0] for arg in below.base.args if isinstance(arg, fn.exp)]
        if len(waves) != 2 or waves[0] + waves[1] != 0 or len(below.base.args) != 2:
            continue
        for u in waves:
            above = fn.exp(u) - fn.exp(-u)
            rest = [part for part in ix.factors(expr) if part is not below]
            if above in rest:
                rest.remove(above)
                return fn.tanh(u) * ix.product(rest)
    return None


def _guarded(expr: Expr) -> Expr | None:
    # where(u > 0, a, exp(k·u)): the branch not taken overflows; exp(k·min(u, 0)) doesn't
    if not isinstance(expr, fn.where) or not isinstance(expr.args[0], fn.gt):
        return None
    condition, first, second = expr.args
    u, bound = condition.args
    swaps = {}
    for inner in second.atoms(fn.exp, fn.expm1):
        number, rest = inner.args[0].as_coeff_Mul()
        if rest == u and number > 0 and bound == 0:
            swaps[inner] = inner.func(number * fn.minimum(u, bound))
    return fn.where(condition, first, second.xreplace(swaps)) if swaps else None


RULES = (
    Rule("log(1 + exp(u)) → softplus(u)", "exp(u) overflows from u = 710 on", _softplus),
    Rule("1/(1 + exp(−u)) → sigmoid(u)", "exp overflows, and inf/inf is NaN", _sigmoid),
    Rule("exp(u)/(1 + exp(u)) → sigmoid(u)", "exp overflows, and inf/inf is NaN", _sigmoid_up),
    Rule("exp(u)/Σ exp(u) → softmax(u)", "exp(u) overflows from u = 710 on", _softmax),
    Rule("log Σ exp(u) → logsumexp(u)", "exp(u) overflows; the sum may be 0", _logsumexp),
    Rule("log(sigmoid) → log_sigmoid, log(softmax) → log_softmax", "log(0) is −inf", _log_of),
    Rule("log(1 − sigmoid(u)) → log_sigmoid(−u)", "1 − 1 is 0, its log −inf", _log_complement),
    Rule("tanh from exponentials → tanh(u)", "inf/inf is NaN", _tanh),
    Rule("log(exp(a) + exp(b)) → log-add-exp", "exp overflows", _logaddexp),
    Rule("1 − sigmoid(u) → sigmoid(−u), 1 ± erf(u) → erfc(∓u)", "digits cancel", _complement),
    Rule("exp(u) − 1 → expm1(u)", "digits cancel near u = 0", _expm1),
    Rule("log(1 + u) → log1p(u)", "digits cancel near u = 0", _log1p),
)


@lru_cache(maxsize=4096)
def rewritten(expr: Expr) -> Stable:
    """Return the expression in its stable form."""
    notes: dict[str, None] = {}

    def walk(part: Expr) -> Expr:
        if not part.args or not isinstance(part, Add | Mul | Pow | fn.Elementwise | fn.Reduction):
            return part
        args = [walk(arg) for arg in part.args]
        if any(new is not old for new, old in zip(args, part.args, strict=True)):
            part = part.func(*args)
        for rule in RULES:
            made = rule.apply(part)
            if made is not None:
                notes[f"{rule.what}: {rule.why}"] = None
                return walk(made)
        return part

    return Stable(walk(expr), tuple(notes))


def guarded(expr: Expr) -> Expr:
    """Keep the branch that a `where` doesn't take from overflowing.

    Applied behind differentiation, since min(u, 0) has a kink of its own.
    """
    if not expr.has(fn.where):
        return expr
    args = [guarded(arg) for arg in expr.args]
    made = expr.func(*args) if args else expr
    return _guarded(made) or made


def spelled_out(
    target: Expr, root: Expr, fresh: Callable[[str], str]
) -> tuple[tuple[Expr, Expr], ...]:
    """Return target = root as equations that can't overflow, for a softmax and its like.

    u − max u is at most 0, so exp never overflows, and the largest term of Σ exp is exactly 1.
    `fresh` gives a letter for each value named on the way. Any other root comes back as it is.
    """
    if not isinstance(root, fn.Along | fn.LogSumExp):
        return ((target, root),)
    over = root.bound
    along = ix.in_reading_order(root.body, target.indices if isinstance(target, Indexed) else ())
    kept = tuple(letter for letter in along if letter not in over)
    m = tensor(fresh("m"), *kept)  # the largest value
    if isinstance(root, fn.SoftMax):
        e, total = tensor(fresh("e"), *along), tensor(fresh("Z"), *kept)
        return (
            (m, fn.MaxOver(root.body, *over)),
            (e, fn.exp(root.body - m)),
            (total, fn.SumOver(e, *over)),
            (target, e / total),
        )
    if isinstance(root, fn.LogSumExp):
        total = fn.SumOver(fn.exp(root.body - m), *over)
        return ((m, fn.MaxOver(root.body, *over)), (target, m + fn.log(total)))
    s = tensor(fresh("s"), *along)  # shifted
    return (
        (m, fn.MaxOver(root.body, *over)),
        (s, root.body - m),
        (target, s - fn.log(fn.SumOver(fn.exp(s), *over))),
    )
