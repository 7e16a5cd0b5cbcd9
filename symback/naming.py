"""Every name in an emitted module is decided here: z1, a1, W1, dz1, dW1, L."""

import builtins
import keyword
from collections.abc import Iterable
from itertools import chain, count
from string import ascii_lowercase

# What a value is called that a formula computes without naming it.
WORDS = {
    "softmax": "p",
    "log_softmax": "q",
    "logsumexp": "lse",
    "max": "top",
    "min": "low",
    "sum": "s",
    "prod": "prod",
    "cholesky": "chol",
    "argmax": "best",
    "argmin": "least",
    "exp": "e",
    "expm1": "em",
    "log": "ln",
    "sigmoid": "sig",
    "log_sigmoid": "ls",
    "softplus": "sp",
    "tanh": "th",
    "tanhshrink": "ts",
    "logaddexp": "lae",
    "sqrt": "root",
    "power": "pow",
    "maximum": "hi",
    "minimum": "lo",
    "where": "pick",
}

# Names that the emitted modules use themselves: no input may have one, no tensor gets one.
MODULE_NAMES = frozenset(
    """
    ACCUMULATE ALPHA ALWAYS Any Array Arrays BETA1 BETA2 CLIP_NORM CLIP_VALUE COLUMNS COOLDOWN
    Cache Callable DATA DETACHED EPS ETA_MIN Epoch FACTOR FAST FLOAT Flat History INTERFACE
    Iterator LAYERS MIN_LR MOMENTUM Mapping Mismatch NDArray NamedTuple PATIENCE PLAIN Params
    Path Random Rng SCALARS SHAPES SOURCE STATES Sequence State THRESHOLD T_MAX TypeAlias
    WEIGHT_DECAY about agrees aligned along archive argmax argmin argparse args array arrays ast
    at b_p backward bad batch batch_size begin beside best best_epoch better blas built cache caches
    cell_number chain check check_form checked cholesky chosen classes clip close code codes
    column column_places columns compiled compiler content contextmanager count csv csv_rows d_p
    data_file dataclass derived determinant direction drawn_dirac drawn_labels drawn_orthogonal
    drawn_sparse drawn_truncated dtype each end ends epoch epochs erf erfc error evaluate expect
    ffi figures file filled find_spec first fits fitted flat fmean form forward found functools
    g g_p give gradient grads hashlib have header held here hessian history holds home hvp
    ignored import_module index init init_state inverse islice jacobian joined kept kept_params
    key kink known label labels labels_or last learning left lib line load log_determinant
    log_sigmoid logaddexp loss losses lower lr m_p machine made main math means measured metric
    metrics
    mismatches mixed more moved mul n name nested nonfinite norm norms np null number numbers
    objective one_epoch one_step order os otherwise out outputs packed pairs pairwise params
    parser part parts path patience per_example place place_of places platform position predict
    printed product pstdev rate read read_columns read_npz reader renew replacing report require
    require_finite require_unit right rng row rows rows_of rule run sample save scale scales
    schedule seed self settle settled shape shape_of shaped share shifted shlex shutil sigmoid
    sign single size sizes slope softplus standardised start state stds step steps stored struct
    stuck subprocess sums suppress sys tanhshrink test text to_csv tolerance total train training
    u_p
    update v_p validation value value_and_grad values vector view w w_p waiting want wanted
    weight whole written_back wrong zipfile
    closure dot
    """.split()
)
# What an emitted optimiser's function calls its own: no number of a rule may be called so.
UPDATE_NAMES = frozenset(
    """
    array arrays clip clipped flat grads gradient math name norm np params rows start state view
    """.split()
)
TAKEN = MODULE_NAMES | {"x", "t", "y"} | set(dir(builtins)) | set(keyword.kwlist)


class Namer:
    """Hands out names, each once."""

    def __init__(self, used: Iterable[str]) -> None:
        self._used = {*used, *TAKEN}

    def of(self, local: str, number: int | None = None) -> str:
        """Return the name of a layer's local letter: W in layer 1 is W1; the loss has no number.

        A second W of the layer, as that of a recurrence on another, is W1_2; u0 in layer 1 is
        u0_1, since u01 were u of layer 1 in mathematics.
        """
        plain = local.replace(".", "_")
        between = "_" if plain[-1].isdigit() else ""
        first = plain if number is None else f"{plain}{between}{number}"
        tried = chain([first], (f"{first}_{place}" for place in count(2)))
        name = next(name for name in tried if self._used.isdisjoint({name, adjoint(name)}))
        self._used |= {name, f"d{name}"}
        return name


def adjoint(name: str) -> str:
    """Return the name of ∂L/∂name."""
    return f"d{name}"


def word_for(function: str, taken: Iterable[str], inside: str = "a") -> str:
    """Return a letter for the value of an unnamed part of a formula.

    A second z is zf where it stands inside of what is called f.
    """
    used = set(taken)
    first = WORDS.get(function, function)
    following = (f"{first}{letter}" for letter in (inside, *ascii_lowercase))
    return next(name for name in (first, *following) if name not in used)


FREE_LETTERS = "ijklmopqrsuvwabcdefghnty"  # in the order in which an axis takes one


def axis_letters(count: int, used: Iterable[str], batch: str = "n") -> tuple[str, ...]:
    """Return letters for axes without a letter yet: the batch's n, then i, j, k, …"""
    taken = set(used)
    order = dict.fromkeys([batch if len(batch) == 1 else "n", *"ijklmopqrsuvwabcdefgh"])
    return tuple([name for name in order if name not in taken][:count])
