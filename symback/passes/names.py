"""The names in a program: which are taken, and which an expression reads."""

from symback.printing import walk
from symback.program import Expr, Leaf, Program


def all_names(program: Program) -> frozenset[str]:
    """Return every name of the program: tensors, states, constants, sizes, statements' targets."""
    update, schedule = program.update, program.schedule
    statements = (
        *(*program.forward, *program.loss, *program.backward),
        *update.rules,
        *(schedule.statements if schedule else ()),
        *(statement for metric in program.metrics for statement in metric.statements),
    )
    return frozenset(
        {"w", "g", "n", "p", "lr", "step", "epoch", "metric", "norm", "clip"}
        | {tensor.name for tensor in (*program.tensors, *program.buffers)}
        | {tensor.name for form in update.forms for tensor in form.tensors}
        | {item.name for item in (*update.states, *(schedule.states if schedule else ()))}
        | {item.name for item in (*update.constants, *(schedule.constants if schedule else ()))}
        | {statement.target.name for statement in statements}
        | {name for statement in statements for name in names(statement.value)}
    )


def names(expr: Expr) -> frozenset[str]:
    """Return the names of the arrays an expression reads."""
    return frozenset(node.name for node in walk(expr) if isinstance(node, Leaf))
