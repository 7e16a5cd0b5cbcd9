"""The rewrites that keep floating point honest: what a person writes naively → what is computed.

Each `Rule` is a function from an expression to its stable form, or None where it doesn't apply.
They are tried on every part of a formula, innermost first, before it is differentiated.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import permutations

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


def _argument(expr: Expr | None, function: type[fn.Elementwise]) -> Expr | None:
    """Return u of f(u), None for anything else."""
    return expr.args[0] if isinstance(expr, function) else None


def _one_plus(expr: Expr) -> Expr | None:
    """Return u of 1 + u."""
    if isinstance(expr, Add) and S.One in expr.args:
        return Add(*(arg for arg in expr.args if arg is not S.One))
    return None


def _powers(expr: Expr) -> list[tuple[Expr, Expr, Expr]]:
    """Return (base, exponent, all other factors) for each factor of a product."""
    parts = ix.factors(expr)
    return [
        (*(part.args if isinstance(part, Pow) else (part, S.One)), _without(parts, place))
        for place, part in enumerate(parts)
    ]


def _without(parts: Sequence[Expr], place: int) -> Expr:
    return ix.product([*parts[:place], *parts[place + 1 :]])


def _beside_number(expr: Expr) -> Iterator[tuple[Expr, Expr, Expr, Expr]]:
    """Yield (number/c, c, f, the other terms) for each term c·f of a sum that has a number."""
    if not (isinstance(expr, Add) and expr.args[0].is_Rational):
        return
    number, *terms = expr.args
    for place, term in enumerate(terms):
        c, f = term.as_coeff_Mul()
        yield number / c, c, f, Add(*terms[:place], *terms[place + 1 :])


def _scaled_exp(expr: Expr) -> tuple[Expr, Expr] | None:
    """Return (b, u) of b·exp(u) for a number b > 0."""
    b, wave = expr.as_coeff_Mul()
    u = _argument(wave, fn.exp)
    return (b, u) if u is not None and b > 0 else None


def _log_of_number(value: Expr) -> Expr:
    return S.Zero if value == 1 else fn.log(value)


# ---- logarithms


def _log_exp(expr: Expr) -> Expr | None:
    # log(exp(u)) = u
    return _argument(_argument(expr, fn.log), fn.exp)


def _softplus(expr: Expr) -> Expr | None:
    # log(a + b·exp(u)) = log a + softplus(u + log(b/a)), for a = b = 1 just softplus(u)
    total = _argument(expr, fn.log)
    if (rest := _argument(expr, fn.log1p)) is not None:
        total = 1 + rest
    if not (isinstance(total, Add) and len(total.args) == 2):
        return None
    a, wave = total.args
    scaled = _scaled_exp(wave)
    if scaled is None or not (a.is_Rational and a > 0):
        return None
    b, u = scaled
    return _log_of_number(a) + fn.softplus(u + _log_of_number(b / a))


def _logaddexp(expr: Expr) -> Expr | None:
    # log(exp(a) + exp(b) + …) = logaddexp(logaddexp(a, b), …)
    inner = _argument(expr, fn.log)
    if isinstance(inner, Add) and all(isinstance(wave, fn.exp) for wave in inner.args):
        return reduce(fn.logaddexp, (wave.args[0] for wave in inner.args))
    return None


def _logsumexp(expr: Expr) -> Expr | None:
    # log(Σ exp(u)) = logsumexp(u);  log(Σ exp(u) / N) = logsumexp(u) − log N
    inner = _argument(expr, fn.log)
    if inner is None:
        return None
    for total, power, rest in _powers(inner):
        if power == 1 and isinstance(total, fn.SumOver) and isinstance(total.body, fn.exp):
            whole = fn.LogSumExp(total.body.args[0], *total.bound)
            if rest == 1:
                return whole
            if rest.as_coeff_Mul()[0] > 0 and not rest.free_symbols:
                return whole - fn.log(1 / rest)
    return None


def _log_of(expr: Expr) -> Expr | None:
    # log(sigmoid(u)) = log_sigmoid(u);  log(softmax(u)) = log_softmax(u)
    inner = _argument(expr, fn.log)
    if isinstance(inner, fn.sigmoid):
        return fn.log_sigmoid(inner.args[0])
    if isinstance(inner, fn.SoftMax):
        return fn.LogSoftMax(*inner.args)
    return None


def _log_cosh(expr: Expr) -> Expr | None:
    # log(cosh(u)) = −log(1 − tanh(u)²)/2 = u + log(1 + exp(−2u)) − log 2
    u = _argument(_argument(expr, fn.log), fn.cosh)
    if u is None:
        return None
    near = -fn.log1p(-(fn.tanh(u) ** 2)) / 2
    return fn.where(fn.lt(fn.abs_(u), 1), near, u + fn.softplus(-2 * u) - fn.log(2))


def _log1p(expr: Expr) -> Expr | None:
    # log(1 + u) = log1p(u)
    inner = _argument(expr, fn.log)
    u = None if inner is None else _one_plus(inner)
    return None if u is None else fn.log1p(u)


# ---- quotients of exponentials


def _exp_product(expr: Expr) -> Expr | None:
    # exp(u)·exp(v) = exp(u + v);  exp(u)ᵏ = exp(k·u), 1/exp(u) = exp(−u) among them
    waves = [(base, power, rest) for base, power, rest in _powers(expr) if isinstance(base, fn.exp)]
    if not waves or (len(waves) == 1 and waves[0][1] == 1):
        return None
    total = Add(*(power * wave.args[0] for wave, power, _ in waves))
    rest = ix.product(p for p in ix.factors(expr) if not isinstance(p.as_base_exp()[0], fn.exp))
    return rest * (fn.exp(total) if total != 0 else 1)


def _sigmoid(expr: Expr) -> Expr | None:
    # 1/(1 + exp(u))ᵏ = sigmoid(−u)ᵏ
    for base, power, rest in _powers(expr):
        u = _argument(_one_plus(base), fn.exp)
        if u is not None and power.is_Integer and power < 0:
            return fn.sigmoid(-u) ** -power * rest
    return None


def _sigmoid_up(expr: Expr) -> Expr | None:
    # exp(m·u)·sigmoid(−u)ᵏ = sigmoid(u)ᵐ·sigmoid(−u)ᵏ⁻ᵐ, what exp(u)/(1 + exp(u)) has become
    for below, k, others in _powers(expr):
        if not (isinstance(below, fn.sigmoid) and k.is_Integer and k > 0):
            continue
        u = -below.args[0]
        for wave, power, rest in _powers(others):
            m = wave.args[0] / u if isinstance(wave, fn.exp) and power == 1 else S.Zero
            if m.is_Integer and 0 < m <= k:
                return fn.sigmoid(u) ** m * below ** (k - m) * rest
    return None


def _tanh(expr: Expr) -> Expr | None:
    # (exp(u) − exp(−u)) / (exp(u) + exp(−u)) = tanh(u)
    for below, power, rest in _powers(expr):
        if power != -1 or not isinstance(below, Add) or len(below.args) != 2:
            continue
        waves = [arg.args[0] for arg in below.args if isinstance(arg, fn.exp)]
        if len(waves) != 2 or waves[0] + waves[1] != 0:
            continue
        for u in waves:
            for above, one, others in _powers(rest):
                if one == 1 and above == fn.exp(u) - fn.exp(-u):
                    return fn.tanh(u) * others
    return None


def _tanh_half(expr: Expr) -> Expr | None:
    # (exp(u) − 1)·sigmoid(−u) = tanh(u/2), what (exp(u) − 1)/(exp(u) + 1) has become
    for above, power, others in _powers(expr):
        if isinstance(above, fn.expm1) and power == 1:
            u = above.args[0]
            for below, one, rest in _powers(others):
                if one == 1 and below == fn.sigmoid(-u):
                    return fn.tanh(u / 2) * rest
    return None


def _sech(expr: Expr) -> Expr | None:
    # 1/cosh(u) = 2·exp(−|u|)·sigmoid(2|u|)
    for base, power, rest in _powers(expr):
        if isinstance(base, fn.cosh) and power.is_Integer and power < 0:
            size = fn.abs_(base.args[0])
            return (2 * fn.exp(-size) * fn.sigmoid(2 * size)) ** -power * rest
    return None


def _tanh_of_sinh(expr: Expr) -> Expr | None:
    # sinh(u)·2·exp(−|u|)·sigmoid(2|u|) = tanh(u), what sinh(u)/cosh(u) has become
    for above, power, rest in _powers(expr):
        if isinstance(above, fn.sinh) and power == 1:
            size = fn.abs_(above.args[0])
            parts = ix.factors(rest)
            if fn.exp(-size) in parts and fn.sigmoid(2 * size) in parts:
                gone = {fn.exp(-size), fn.sigmoid(2 * size)}
                others = ix.product(part for part in parts if part not in gone)
                return fn.tanh(above.args[0]) * others / 2
    return None


def _softmax(expr: Expr) -> Expr | None:
    # exp(u_k) / Σ_k exp(u_k) = softmax(u)_k;  exp(v) / Σ exp(u) = exp(v − logsumexp(u))
    for total, power, rest in _powers(expr):
        if power != -1 or not isinstance(total, fn.SumOver) or not isinstance(total.body, fn.exp):
            continue
        for above, one, others in _powers(rest):
            if one == 1 and isinstance(above, fn.exp):
                return _share(above, total) * others
    return None


def _share(above: Expr, total: fn.SumOver) -> Expr:
    """Return exp(v) / Σ exp(u)."""
    letters = sorted(ix.indices(above) - ix.indices(total), key=str)
    for chosen in permutations(letters, len(total.bound)):
        if ix.unify(total, dict(zip(total.bound, chosen, strict=True))).body == above:
            return fn.SoftMax(above.args[0], *chosen)
    return fn.exp(above.args[0] - fn.LogSumExp(total.body.args[0], *total.bound))


def _weighted(expr: Expr) -> Expr | None:
    # Σ_k w_k·exp(u_k) / Σ_k exp(u_k) = Σ_k w_k·softmax(u)_k
    for total, power, rest in _powers(expr):
        if power != -1 or not isinstance(total, fn.SumOver) or not isinstance(total.body, fn.exp):
            continue
        for above, one, others in _powers(rest):
            if one != 1 or not isinstance(above, fn.SumOver):
                continue
            within = any(isinstance(part, fn.exp) for part in ix.factors(above.body))
            if within and not ix.indices(total) & set(above.bound):
                return fn.SumOver(above.body / total, *above.bound) * others
    return None


# ---- digits that cancel


def _expm1(expr: Expr) -> Expr | None:
    # exp(u) − 1 = expm1(u)
    for ratio, c, f, rest in _beside_number(expr):
        if ratio == -1 and isinstance(f, fn.exp):
            return c * fn.expm1(f.args[0]) + rest
    return None


def _complement(expr: Expr) -> Expr | None:
    # 1 − sigmoid(u) = sigmoid(−u);  1 + erf(u) = erfc(−u);  1 − erf(u) = erfc(u)
    for ratio, c, f, rest in _beside_number(expr):
        if ratio == -1 and isinstance(f, fn.sigmoid):
            return -c * fn.sigmoid(-f.args[0]) + rest
        if abs(ratio) == 1 and isinstance(f, fn.erf):
            return ratio * c * fn.erfc(-ratio * f.args[0]) + rest
    return None


def _tanh_complement(expr: Expr) -> Expr | None:
    # 1 ± tanh(u) = 2·sigmoid(±2u);  1 − tanh(u)² = 4·sigmoid(2u)·sigmoid(−2u)
    for ratio, c, f, rest in _beside_number(expr):
        if abs(ratio) == 1 and isinstance(f, fn.tanh):
            return 2 * ratio * c * fn.sigmoid(2 * ratio * f.args[0]) + rest
        base, power = f.as_base_exp()
        if ratio == -1 and power == 2 and isinstance(base, fn.tanh):
            u = 2 * base.args[0]
            return -4 * c * fn.sigmoid(u) * fn.sigmoid(-u) + rest
    return None


def _tanhshrink(expr: Expr) -> Expr | None:
    # u − tanh(u) = tanhshrink(u)
    if isinstance(expr, Add):
        for term in expr.args:
            c, f = term.as_coeff_Mul()
            if isinstance(f, fn.tanh) and -c * f.args[0] in expr.args:
                others = [part for part in expr.args if part not in (term, -c * f.args[0])]
                return -c * fn.tanhshrink(f.args[0]) + Add(*others)
    return None


def _centred(expr: Expr) -> Expr | None:
    # sigmoid(u) − 1/2 = tanh(u/2)/2
    for ratio, c, f, rest in _beside_number(expr):
        if ratio == -S.Half and isinstance(f, fn.sigmoid):
            return c / 2 * fn.tanh(f.args[0] / 2) + rest
    return None


def _root(expr: Expr) -> Expr | None:
    # √(1 + u) − 1 = u/(1 + √(1 + u))
    for ratio, c, f, rest in _beside_number(expr):
        u = _one_plus(f.args[0]) if isinstance(f, fn.sqrt) else None
        if ratio == -1 and u is not None:
            return c * u / (1 + f) + rest
    return None


def _softplus_shifted(expr: Expr) -> Expr | None:
    # softplus(−u) + u = softplus(u)
    if isinstance(expr, Add):
        for term in expr.args:
            c, f = term.as_coeff_Mul()
            if isinstance(f, fn.softplus) and -c * f.args[0] in expr.args:
                others = [part for part in expr.args if part not in (term, -c * f.args[0])]
                return c * fn.softplus(-f.args[0]) + Add(*others)
    return None


OVERFLOWS, NO_NUMBER, CANCELS = "exp(u) overflows", "inf/inf is NaN", "digits cancel"
RULES = (
    Rule("log(exp(u)) → u", OVERFLOWS, _log_exp),
    Rule("log(1 + exp(u)) → softplus(u)", OVERFLOWS, _softplus),
    Rule("log(exp(a) + exp(b)) → logaddexp(a, b)", OVERFLOWS, _logaddexp),
    Rule("log Σ exp(u) → logsumexp(u)", "exp(u) overflows; the sum may be 0", _logsumexp),
    Rule("log(sigmoid) → log_sigmoid, log(softmax) → log_softmax", "log(0) is −inf", _log_of),
    Rule(
        "log(cosh(u)) → u + softplus(−2u) − log 2 where |u| ≥ 1, −log1p(−tanh(u)²)/2 elsewhere",
        "cosh(u) overflows, and is 1 near u = 0",
        _log_cosh,
    ),
    Rule("exp(u)·exp(v) → exp(u + v), 1/exp(u) → exp(−u)", NO_NUMBER, _exp_product),
    Rule("1/(1 + exp(−u)) → sigmoid(u)", NO_NUMBER, _sigmoid),
    Rule("exp(u)/(1 + exp(u)) → sigmoid(u)", NO_NUMBER, _sigmoid_up),
    Rule("tanh from exponentials → tanh(u)", NO_NUMBER, _tanh),
    Rule("(exp(u) − 1)/(exp(u) + 1) → tanh(u/2)", NO_NUMBER, _tanh_half),
    Rule("1/cosh(u) → 2·exp(−|u|)·sigmoid(2|u|)", "cosh(u) overflows", _sech),
    Rule("sinh(u)/cosh(u) → tanh(u)", NO_NUMBER, _tanh_of_sinh),
    Rule("exp(u)/Σ exp(u) → softmax(u)", NO_NUMBER, _softmax),
    Rule("Σ w·exp(u)/Σ exp(u) → Σ w·softmax(u)", NO_NUMBER, _weighted),
    Rule("1 − sigmoid(u) → sigmoid(−u), 1 ± erf(u) → erfc(∓u)", CANCELS, _complement),
    Rule("1 ± tanh(u) → 2·sigmoid(±2u)", CANCELS, _tanh_complement),
    Rule("u − tanh(u) → tanhshrink(u)", "digits cancel near u = 0", _tanhshrink),
    Rule("sigmoid(u) − 1/2 → tanh(u/2)/2", "digits cancel near u = 0", _centred),
    Rule("√(1 + u) − 1 → u/(1 + √(1 + u))", "digits cancel near u = 0", _root),
    Rule("softplus(−u) + u → softplus(u)", "digits cancel where u < 0", _softplus_shifted),
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


# What may be put in the place of an argument where a branch isn't taken: f is finite there.
SAFE: Mapping[type[fn.Elementwise], int] = {
    **dict.fromkeys((fn.log, fn.sqrt, fn.power), 1),
    **dict.fromkeys((fn.exp, fn.expm1, fn.log1p, fn.asin, fn.acos, fn.sinh, fn.cosh), 0),
}


def guarded(expr: Expr) -> Expr:
    """Keep the branch that a `where` doesn't take from overflowing, or from log(−1).

    Applied behind differentiation: what is put in has kinks of its own.
    """
    if not expr.has(fn.where):
        return expr
    args = [guarded(arg) for arg in expr.args]
    made = expr.func(*args) if args else expr
    if not isinstance(made, fn.where):
        return made
    condition, first, second = made.args
    taken, left = _signed(condition)
    return fn.where(
        condition,
        _safe(first, taken, lambda arg, safe: fn.where(condition, arg, safe)),
        _safe(second, left, lambda arg, safe: fn.where(condition, safe, arg)),
    )


def _signed(condition: Expr) -> tuple[Expr | None, Expr | None]:
    """Return what is at most 0 in the first branch of a where, and in the second."""
    if not isinstance(condition, fn.gt | fn.ge | fn.lt | fn.le):
        return None, None
    small, large = condition.args
    if isinstance(condition, fn.gt | fn.ge):
        small, large = large, small
    if 0 not in (small, large):
        return None, None
    u = small - large
    return u, -u


def _safe(branch: Expr, below: Expr | None, chosen: Callable[[Expr, int], Expr]) -> Expr:
    """Return a branch with harmless arguments where it isn't taken. `below` is at most 0 in it."""
    swaps: dict[Expr, Expr] = {}
    for part in branch.atoms(Pow, *SAFE):
        inner = part.args[0]
        if not ix.indices(inner):
            continue
        if isinstance(part, Pow):
            if part.exp < 0:
                swaps[part] = Pow(chosen(inner, 1), part.exp)
            continue
        number = inner / below if below is not None else S.Zero
        if isinstance(part, fn.exp | fn.expm1) and number.is_Rational:
            if number > 0:  # exp(k·u) where u ≤ 0: exp(k·min(u, 0)) doesn't overflow
                swaps[part] = part.func(_at_most_zero(inner))
            elif number < 0:
                swaps[part] = part.func(chosen(inner, 0))
            continue
        swaps[part] = part.func(chosen(inner, SAFE[type(part)]), *part.args[1:])
    return branch.xreplace(swaps)


def _at_most_zero(inner: Expr) -> Expr:
    number, u = inner.as_coeff_Mul()
    return number * (fn.minimum(u, 0) if number > 0 else fn.maximum(u, 0))


def spelled_out(
    target: Expr, root: Expr, fresh: Callable[[str], str]
) -> tuple[tuple[Expr, Expr], ...]:
    """Return target = root as equations that can't overflow, for a softmax and its like.

    u − max u is at most 0, so exp never overflows, and the largest term of Σ exp is exactly 1.
    `fresh` gives a letter for each value named on the way. Any other root comes back as it is.
    """
    if not isinstance(root, fn.Soft | fn.LogSumExp):
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
