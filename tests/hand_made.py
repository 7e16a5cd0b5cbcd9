"""Programs written by hand: what the emitter is tried on without the derivation."""

from symback.program import (
    Apply,
    Assumption,
    Constant,
    Contract,
    Draw,
    Expr,
    Metric,
    Number,
    Position,
    Program,
    Read,
    Reduce,
    Role,
    Size,
    State,
    Statement,
    Tensor,
    Training,
    Update,
)


def read(name: str, axes: str = "") -> Read:
    return Read(name, tuple(axes))


def put(name: str, axes: str, value: Expr, because: str) -> Statement:
    return Statement(read(name, axes), value, because)


def add(*terms: Expr) -> Expr:
    return Apply("add", terms)


def times(*factors: Expr) -> Expr:
    return Apply("multiply", factors)


def minus(a: Expr, b: Expr) -> Expr:
    return Apply("subtract", (a, b))


def over(a: Expr, b: Expr) -> Expr:
    return Apply("divide", (a, b))


def uniform(bound: float, because: str) -> Draw:
    return Draw("uniform", (-bound, bound), because=because)


ADAM = Update(
    "adam",
    (
        Constant("lr", 0.001, "learning rate"),
        Constant("beta1", 0.9, "decay of the mean"),
        Constant("beta2", 0.999, "decay of the mean square"),
        Constant("eps", 1e-8, "against division by zero"),
    ),
    (State("m", 0.0), State("v", 0.0)),
    (
        put(
            "c1",
            "",
            minus(Number(1), Apply("power", (read("beta1"), read("step")))),
            "c1 = 1 − β1^step",
        ),
        put(
            "c2",
            "",
            minus(Number(1), Apply("power", (read("beta2"), read("step")))),
            "c2 = 1 − β2^step",
        ),
    ),
    (
        put(
            "m",
            "p",
            add(
                times(read("beta1"), read("m", "p")),
                times(minus(Number(1), read("beta1")), read("g", "p")),
            ),
            "m = β1·m + (1 − β1)·g",
        ),
        put(
            "v",
            "p",
            add(
                times(read("beta2"), read("v", "p")),
                times(minus(Number(1), read("beta2")), read("g", "p"), read("g", "p")),
            ),
            "v = β2·v + (1 − β2)·g²",
        ),
        put(
            "w",
            "p",
            minus(
                read("w", "p"),
                times(
                    over(read("lr"), read("c1")),
                    over(
                        read("m", "p"),
                        add(Apply("sqrt", (over(read("v", "p"), read("c2")),)), read("eps")),
                    ),
                ),
            ),
            "w = w − lr/c1·m/(√(v/c2) + eps)",
        ),
    ),
)

SGD = Update(
    "sgd",
    (Constant("lr", 0.1, "learning rate"),),
    (),
    (),
    (put("w", "p", minus(read("w", "p"), times(read("lr"), read("g", "p"))), "w = w − lr·g"),),
)


def digits(features: int = 64, hidden: int = 128, classes: int = 10) -> Program:
    """A two-layer perceptron with softmax cross-entropy on labels."""
    q = read("q", "nk")
    one_hot = Apply("eq", (read("t", "n"), Position("k", classes)))
    return Program(
        model="digits",
        source="digits.yaml",
        digest="0" * 64,
        tensors=(
            Tensor("x", "x", Role.INPUT, ("n", features)),
            Tensor("t", "t", Role.TARGET, ("n",), classes=classes),
            Tensor(
                "W1", "f1.weight", Role.PARAMETER, (hidden, features), draw=uniform(0.125, "±1/√64")
            ),
            Tensor("b1", "f1.bias", Role.PARAMETER, (hidden,), draw=uniform(0.125, "±1/√64")),
            Tensor(
                "W2",
                "f2.weight",
                Role.PARAMETER,
                (classes, hidden),
                draw=uniform(0.0883883476, "±1/√128"),
            ),
            Tensor(
                "b2", "f2.bias", Role.PARAMETER, (classes,), draw=uniform(0.0883883476, "±1/√128")
            ),
            *(Tensor(name, name, Role.VALUE, ("n", hidden)) for name in ("z1", "a1")),
            Tensor("z2", "z2", Role.VALUE, ("n", classes)),
            Tensor("m", "m", Role.VALUE, ("n",)),
            Tensor("s", "s", Role.VALUE, ("n",)),
            Tensor("q", "q", Role.VALUE, ("n", classes)),
            Tensor("T", "T", Role.VALUE, ("n", classes)),
            Tensor("L", "L", Role.LOSS, ()),
            Tensor("accuracy", "accuracy", Role.VALUE, ()),
            Tensor("dz2", "dz2", Role.ADJOINT, ("n", classes)),
            Tensor("dW2", "dW2", Role.ADJOINT, (classes, hidden)),
            Tensor("db2", "db2", Role.ADJOINT, (classes,)),
            Tensor("da1", "da1", Role.ADJOINT, ("n", hidden)),
            Tensor("dz1", "dz1", Role.ADJOINT, ("n", hidden)),
            Tensor("dW1", "dW1", Role.ADJOINT, (hidden, features)),
            Tensor("db1", "db1", Role.ADJOINT, (hidden,)),
        ),
        forward=(
            put(
                "z1",
                "nj",
                add(Contract(read("x", "ni"), read("W1", "ji"), ("i",)), read("b1", "j")),
                "z1[n,j] = Σ_i W1[j,i]·x[n,i] + b1[j]",
            ),
            put("a1", "nj", Apply("tanh", (read("z1", "nj"),)), "a1[n,j] = tanh(z1[n,j])"),
            put(
                "z2",
                "nk",
                add(Contract(read("a1", "nj"), read("W2", "kj"), ("j",)), read("b2", "k")),
                "z2[n,k] = Σ_j W2[k,j]·a1[n,j] + b2[k]",
            ),
        ),
        output="z2",
        loss=(
            put("T", "nk", one_hot, "T[n,k] = [t[n] = k]"),
            put("m", "n", Reduce("max", read("z2", "nk"), ("k",)), "m[n] = max_k z2[n,k]"),
            put(
                "s",
                "n",
                Apply(
                    "log",
                    (
                        Reduce(
                            "sum", Apply("exp", (minus(read("z2", "nk"), read("m", "n")),)), ("k",)
                        ),
                    ),
                ),
                "s[n] = log Σ_k exp(z2[n,k] − m[n])",
            ),
            put(
                "q",
                "nk",
                minus(minus(read("z2", "nk"), read("m", "n")), read("s", "n")),
                "q = z2 − m − s",
            ),
            put(
                "L",
                "",
                over(
                    Apply("negative", (Reduce("sum", times(read("T", "nk"), q), ("n", "k")),)),
                    Size("n"),
                ),
                "L = −1/N·Σ_n Σ_k T[n,k]·q[n,k]",
            ),
        ),
        objective="L",
        weight="n",
        backward=(
            put(
                "dz2",
                "nk",
                over(minus(Apply("exp", (q,)), read("T", "nk")), Size("n")),
                "∂L/∂z2[n,k] = (exp(q[n,k]) − T[n,k])/N",
            ),
            put(
                "dW2",
                "kj",
                Contract(read("dz2", "nk"), read("a1", "nj"), ("n",)),
                "∂L/∂W2[k,j] = Σ_n ∂L/∂z2[n,k]·a1[n,j]",
            ),
            put(
                "db2", "k", Reduce("sum", read("dz2", "nk"), ("n",)), "∂L/∂b2[k] = Σ_n ∂L/∂z2[n,k]"
            ),
            put(
                "da1",
                "nj",
                Contract(read("dz2", "nk"), read("W2", "kj"), ("k",)),
                "∂L/∂a1[n,j] = Σ_k ∂L/∂z2[n,k]·W2[k,j]",
            ),
            put(
                "dz1",
                "nj",
                times(
                    read("da1", "nj"),
                    minus(Number(1), Apply("power", (read("a1", "nj"), Number(2)))),
                ),
                "∂L/∂z1[n,j] = ∂L/∂a1[n,j]·(1 − a1[n,j]²)",
            ),
            put(
                "dW1",
                "ji",
                Contract(read("dz1", "nj"), read("x", "ni"), ("n",)),
                "∂L/∂W1[j,i] = Σ_n ∂L/∂z1[n,j]·x[n,i]",
            ),
            put(
                "db1", "j", Reduce("sum", read("dz1", "nj"), ("n",)), "∂L/∂b1[j] = Σ_n ∂L/∂z1[n,j]"
            ),
        ),
        gradients=(
            ("f1.weight", "dW1"),
            ("f1.bias", "db1"),
            ("f2.weight", "dW2"),
            ("f2.bias", "db2"),
        ),
        update=ADAM,
        schedule=None,
        metrics=(
            Metric(
                "accuracy",
                (
                    put(
                        "accuracy",
                        "",
                        over(
                            Reduce(
                                "sum",
                                Apply(
                                    "eq",
                                    (Reduce("argmax", read("z2", "nk"), ("k",)), read("t", "n")),
                                ),
                                ("n",),
                            ),
                            Size("n"),
                        ),
                        "accuracy = 1/N·Σ_n [argmax_k z2[n,k] = t[n]]",
                    ),
                ),
            ),
        ),
        assumptions=(Assumption("t", "classes", "t[n] in 0 … 9"),),
        training=Training(),
        layers=(("z1", "f1"), ("a1", "f1"), ("z2", "f2")),
        notes=("log(softmax(z)) is computed as z − max − log Σ exp(z − max): nothing overflows.",),
        letters={"n": "example", "i": "input feature", "j": "unit of f1", "k": "class"},
    )
