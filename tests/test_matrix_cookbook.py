"""Derivatives by vectors and matrices, in closed form, of the Matrix Cookbook and its like.

Each formula is a loss over parameters; the emitted gradient by every letter that is named is held
against the closed form in NumPy, float64. Numbers in brackets are the equations of K. B. Petersen
and M. S. Pedersen, The Matrix Cookbook, version of 15 November 2012.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from oracle import assert_close, compiled, evaluated

Array = NDArray[Any]
Closed = Mapping[str, Callable[[Any], Any]]

# Vectors a, x of 4 and b, c of 3; rectangular X, C (4×3); square A, S (4×4) and B, D (3×3);
# u of 4 is positive.
SHAPES: Mapping[str, tuple[int, ...]] = {
    "a": (4,),
    "x": (4,),
    "u": (4,),
    "b": (3,),
    "c": (3,),
    "X": (4, 3),
    "C": (4, 3),
    "A": (4, 4),
    "S": (4, 4),
    "B": (3, 3),
    "D": (3, 3),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """A formula of one number, and its gradients in closed form by letter."""

    name: str
    formula: str
    closed: Closed


def outer(a: Any, b: Any) -> Any:
    return np.outer(a, b)


def norm(a: Any) -> Any:
    return np.sqrt((a * a).sum())


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max())
    return e / e.sum()


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def power(X: Any, k: int) -> Any:
    return np.linalg.matrix_power(X, k)


IDENTITIES = [
    # ---- linear forms
    Identity("xᵀa (69)", "sum(x[i]*a[i], i)", {"x": lambda v: v.a, "a": lambda v: v.x}),
    Identity(
        "aᵀXb (70)",
        "sum(a[i]*X[i, j]*b[j], i, j)",
        {"X": lambda v: outer(v.a, v.b), "a": lambda v: v.X @ v.b, "b": lambda v: v.X.T @ v.a},
    ),
    Identity("bᵀXᵀa (71)", "sum(b[j]*X[i, j]*a[i], i, j)", {"X": lambda v: outer(v.a, v.b)}),
    Identity("aᵀSa (72)", "sum(a[i]*S[i, j]*a[j], i, j)", {"S": lambda v: outer(v.a, v.a)}),
    Identity("aᵀSᵀa (72)", "sum(a[i]*S[j, i]*a[j], i, j)", {"S": lambda v: outer(v.a, v.a)}),
    Identity("sum of X", "sum(X[i, j], i, j)", {"X": lambda v: np.ones((4, 3))}),
    Identity("mean of X", "mean(X[i, j], i, j)", {"X": lambda v: np.full((4, 3), 1 / 12)}),
    Identity(
        "one element (73)", "3*X[1, 2]", {"X": lambda v: 3 * outer(np.eye(4)[1], np.eye(3)[2])}
    ),
    Identity("a row", "sum(X[2, j]*b[j], j)", {"X": lambda v: outer(np.eye(4)[2], v.b)}),
    # ---- quadratic forms
    Identity(
        "(ΣX)² (76)", "sum(X[i, j], i, j)**2", {"X": lambda v: 2 * v.X.sum() * np.ones((4, 3))}
    ),
    Identity(
        "bᵀXᵀXc (77)",
        "sum(b[j]*X[i, j]*X[i, k]*c[k], i, j, k)",
        {"X": lambda v: v.X @ (outer(v.b, v.c) + outer(v.c, v.b))},
    ),
    Identity(
        "(Ax+a)ᵀS(Ax+a) (78)",
        "sum((sum(A[i, k]*x[k], k) + a[i])*S[i, j]*(sum(A[j, k]*x[k], k) + a[j]), i, j)",
        {
            "x": lambda v: v.A.T @ (v.S + v.S.T) @ (v.A @ v.x + v.a),
            "a": lambda v: (v.S + v.S.T) @ (v.A @ v.x + v.a),
            "A": lambda v: outer((v.S + v.S.T) @ (v.A @ v.x + v.a), v.x),
            "S": lambda v: outer(v.A @ v.x + v.a, v.A @ v.x + v.a),
        },
    ),
    Identity(
        "xᵀSx (81)",
        "sum(x[i]*S[i, j]*x[j], i, j)",
        {"x": lambda v: (v.S + v.S.T) @ v.x, "S": lambda v: outer(v.x, v.x)},
    ),
    Identity(
        "bᵀXᵀSXc (82)",
        "sum(b[j]*X[i, j]*S[i, k]*X[k, l]*c[l], i, j, k, l)",
        {
            "X": lambda v: v.S.T @ v.X @ outer(v.b, v.c) + v.S @ v.X @ outer(v.c, v.b),
            "S": lambda v: outer(v.X @ v.b, v.X @ v.c),
        },
    ),
    Identity(
        "(Xb+a)ᵀS(Xb+a) (83)",
        "sum((sum(X[i, j]*b[j], j) + a[i])*S[i, k]*(sum(X[k, j]*b[j], j) + a[k]), i, k)",
        {
            "X": lambda v: (v.S + v.S.T) @ outer(v.X @ v.b + v.a, v.b),
            "b": lambda v: v.X.T @ (v.S + v.S.T) @ (v.X @ v.b + v.a),
        },
    ),
    Identity(
        "(x−Xb)ᵀS(x−Xb) (84, 87, 88)",
        "sum((x[i] - sum(X[i, j]*b[j], j))*S[i, k]*(x[k] - sum(X[k, j]*b[j], j)), i, k)",
        {
            "b": lambda v: -v.X.T @ (v.S + v.S.T) @ (v.x - v.X @ v.b),
            "x": lambda v: (v.S + v.S.T) @ (v.x - v.X @ v.b),
            "X": lambda v: -outer((v.S + v.S.T) @ (v.x - v.X @ v.b), v.b),
        },
    ),
    Identity(
        "(x−a)ᵀS(x−a) (85, 86)",
        "sum((x[i] - a[i])*S[i, j]*(x[j] - a[j]), i, j)",
        {
            "x": lambda v: (v.S + v.S.T) @ (v.x - v.a),
            "a": lambda v: -(v.S + v.S.T) @ (v.x - v.a),
        },
    ),
    Identity(
        "aᵀS²x (91)",
        "sum(a[i]*S[i, j]*S[j, k]*x[k], i, j, k)",
        {"S": lambda v: outer(v.a, v.S @ v.x) + outer(v.S.T @ v.a, v.x)},
    ),
    Identity(
        "aᵀS³x (91)",
        "sum(a[i]*S[i, j]*S[j, k]*S[k, l]*x[l], i, j, k, l)",
        {
            "S": lambda v: sum(
                power(v.S, r).T @ outer(v.a, v.x) @ power(v.S, 2 - r).T for r in range(3)
            )
        },
    ),
    Identity(
        "aᵀ(S²)ᵀS²x (92)",
        "sum(sum(S[m, j]*sum(S[j, i]*a[i], i), j)*sum(S[m, k]*sum(S[k, l]*x[l], l), k), m)",
        {
            "S": lambda v: sum(
                power(v.S, r).T
                @ power(v.S, 2)
                @ (outer(v.a, v.x) + outer(v.x, v.a))
                @ power(v.S, 1 - r).T
                for r in range(2)
            )
        },
    ),
    # ---- traces of the first order
    Identity("Tr S (99)", "sum(S[i, i], i)", {"S": lambda v: np.eye(4)}),
    Identity(
        "Tr(SA) (100)", "sum(S[i, j]*A[j, i], i, j)", {"S": lambda v: v.A.T, "A": lambda v: v.S.T}
    ),
    Identity(
        "Tr(ASC Xᵀ) (101)",
        "sum(A[i, j]*S[j, k]*C[k, l]*X[i, l], i, j, k, l)",
        {
            "S": lambda v: v.A.T @ (v.C @ v.X.T).T,
            "C": lambda v: (v.A @ v.S).T @ v.X,
            "X": lambda v: v.A @ v.S @ v.C,
        },
    ),
    Identity(
        "Tr(BXᵀC) (102)",
        "sum(B[i, j]*X[k, j]*C[k, i], i, j, k)",
        {"X": lambda v: v.C @ v.B, "B": lambda v: v.C.T @ v.X},
    ),
    Identity("Tr(XᵀC) (103)", "sum(X[i, j]*C[i, j], i, j)", {"X": lambda v: v.C}),
    Identity("Tr(CXᵀ) (104)", "sum(C[i, j]*X[i, j], j, i)", {"X": lambda v: v.C}),
    Identity(
        "Tr(A⊗S) (105)",
        "sum(A[i, i], i)*sum(S[j, j], j)",
        {"S": lambda v: np.trace(v.A) * np.eye(4), "A": lambda v: np.trace(v.S) * np.eye(4)},
    ),
    # ---- traces of the second order
    Identity("Tr(S²) (106)", "sum(S[i, j]*S[j, i], i, j)", {"S": lambda v: 2 * v.S.T}),
    Identity(
        "Tr(S²A) (107)",
        "sum(S[i, j]*S[j, k]*A[k, i], i, j, k)",
        {"S": lambda v: (v.S @ v.A + v.A @ v.S).T, "A": lambda v: (v.S @ v.S).T},
    ),
    Identity(
        "Tr(XᵀSX) (108)",
        "sum(X[i, k]*S[i, j]*X[j, k], i, j, k)",
        {"X": lambda v: v.S @ v.X + v.S.T @ v.X, "S": lambda v: v.X @ v.X.T},
    ),
    Identity(
        "Tr(SXXᵀ) (109)",
        "sum(S[i, j]*X[j, k]*X[i, k], i, j, k)",
        {"X": lambda v: v.S @ v.X + v.S.T @ v.X},
    ),
    Identity(
        "Tr(XXᵀS) (110)",
        "sum(X[i, k]*X[j, k]*S[j, i], i, j, k)",
        {"X": lambda v: v.S @ v.X + v.S.T @ v.X},
    ),
    Identity(
        "Tr(XBXᵀ) (111)",
        "sum(X[i, j]*B[j, k]*X[i, k], i, j, k)",
        {"X": lambda v: v.X @ v.B.T + v.X @ v.B, "B": lambda v: v.X.T @ v.X},
    ),
    Identity(
        "Tr(BXᵀX) (112)",
        "sum(B[j, k]*X[i, k]*X[i, j], i, j, k)",
        {"X": lambda v: v.X @ v.B.T + v.X @ v.B},
    ),
    Identity(
        "Tr(ASDS) (114), square",
        "sum(A[i, j]*S[j, k]*A[l, k]*S[l, i], i, j, k, l)",
        {"S": lambda v: v.A.T @ v.S.T @ v.A + (v.A @ v.S @ v.A.T).T},
    ),
    Identity("Tr(XᵀX) (115)", "sum(X[i, j]**2, i, j)", {"X": lambda v: 2 * v.X}),
    Identity(
        "Tr(BᵀXᵀSXB) (116)",
        "sum(B[j, m]*X[i, j]*S[i, k]*X[k, l]*B[l, m], i, j, k, l, m)",
        {"X": lambda v: v.S.T @ v.X @ v.B @ v.B.T + v.S @ v.X @ v.B @ v.B.T},
    ),
    Identity(
        "Tr(XᵀSXB) (117)",
        "sum(X[i, j]*S[i, k]*X[k, l]*B[l, j], i, j, k, l)",
        {
            "X": lambda v: v.S @ v.X @ v.B + v.S.T @ v.X @ v.B.T,
            "B": lambda v: (v.X.T @ v.S @ v.X).T,
        },
    ),
    Identity(
        "Tr(AXBXᵀS) (118)",
        "sum(A[i, j]*X[j, k]*B[k, l]*X[m, l]*S[m, i], i, j, k, l, m)",
        {"X": lambda v: v.A.T @ v.S.T @ v.X @ v.B.T + v.S @ v.A @ v.X @ v.B},
    ),
    Identity(
        "Tr((AXB+C)(AXB+C)ᵀ) (119)",
        "sum((sum(A[i, k]*sum(X[k, l]*B[l, j], l), k) + C[i, j])**2, i, j)",
        {
            "X": lambda v: 2 * v.A.T @ (v.A @ v.X @ v.B + v.C) @ v.B.T,
            "C": lambda v: 2 * (v.A @ v.X @ v.B + v.C),
            "A": lambda v: 2 * (v.A @ v.X @ v.B + v.C) @ (v.X @ v.B).T,
            "B": lambda v: 2 * (v.A @ v.X).T @ (v.A @ v.X @ v.B + v.C),
        },
    ),
    # ---- traces of higher order
    Identity(
        "Tr(S³) (121)",
        "sum(S[i, j]*S[j, k]*S[k, i], i, j, k)",
        {"S": lambda v: 3 * power(v.S, 2).T},
    ),
    Identity(
        "Tr(S⁴) (121)",
        "sum(S[i, j]*S[j, k]*S[k, l]*S[l, i], i, j, k, l)",
        {"S": lambda v: 4 * power(v.S, 3).T},
    ),
    Identity(
        "Tr(AS³) (122)",
        "sum(A[i, j]*S[j, k]*S[k, l]*S[l, i], i, j, k, l)",
        {"S": lambda v: sum(power(v.S, r) @ v.A @ power(v.S, 2 - r) for r in range(3)).T},
    ),
    Identity(
        "Tr((XᵀX)²)",
        "sum(sum(X[i, j]*X[i, k], i)**2, j, k)",
        {"X": lambda v: 4 * v.X @ v.X.T @ v.X},
    ),
    Identity(
        "Tr(BᵀXᵀSXXᵀSXB) (123)",
        "sum(B[j, m]*X[i, j]*S[i, k]*X[k, l]*X[p, l]*S[p, q]*X[q, r]*B[r, m], "
        "i, j, k, l, m, p, q, r)",
        {
            "X": lambda v: (
                v.S @ v.X @ v.X.T @ v.S @ v.X @ v.B @ v.B.T
                + v.S.T @ v.X @ v.B @ v.B.T @ v.X.T @ v.S.T @ v.X
                + v.S @ v.X @ v.B @ v.B.T @ v.X.T @ v.S @ v.X
                + v.S.T @ v.X @ v.X.T @ v.S.T @ v.X @ v.B @ v.B.T
            )
        },
    ),
    # ---- norms
    Identity(
        "‖x−a‖ (129)",
        "sqrt(sum((x[i] - a[i])**2, i))",
        {
            "x": lambda v: (v.x - v.a) / norm(v.x - v.a),
            "a": lambda v: (v.a - v.x) / norm(v.x - v.a),
        },
    ),
    Identity(
        "uᵀ(x−a)/‖x−a‖ (130)",
        "sum(u[i]*(x[i] - a[i]), i)/sqrt(sum((x[i] - a[i])**2, i))",
        {
            "x": lambda v: (
                v.u / norm(v.x - v.a) - (v.x - v.a) * ((v.x - v.a) @ v.u) / norm(v.x - v.a) ** 3
            )
        },
    ),
    Identity("‖x‖² (131)", "sum(x[i]**2, i)", {"x": lambda v: 2 * v.x}),
    Identity("‖X‖² (132)", "sum(X[i, j]**2, i, j)/2", {"X": lambda v: v.X}),
    Identity("‖X‖, Frobenius", "sqrt(sum(X[i, j]**2, i, j))", {"X": lambda v: v.X / norm(v.X)}),
    Identity("‖x‖₁", "sum(abs(x[i]), i)", {"x": lambda v: np.sign(v.x)}),
    Identity(
        "‖x‖₃",
        "sum(abs(x[i])**3, i)**(1/3)",
        {"x": lambda v: v.x * abs(v.x) * (abs(v.x) ** 3).sum() ** (-2 / 3)},
    ),
    Identity(
        "‖x‖∞", "max(abs(x[i]), i)", {"x": lambda v: np.sign(v.x) * (abs(v.x) == abs(v.x).max())}
    ),
    Identity("log ‖x‖", "log(sqrt(sum(x[i]**2, i)))", {"x": lambda v: v.x / (v.x @ v.x)}),
    Identity("1/‖x‖", "1/sqrt(sum(x[i]**2, i))", {"x": lambda v: -v.x / norm(v.x) ** 3}),
    Identity("‖x‖⁴", "sum(x[i]**2, i)**2", {"x": lambda v: 4 * (v.x @ v.x) * v.x}),
    Identity(
        "Σ row norms, ‖X‖₂,₁",
        "sum(sqrt(sum(X[i, j]**2, j)), i)",
        {"X": lambda v: v.X / np.sqrt((v.X**2).sum(1, keepdims=True))},
    ),
    Identity(
        "‖Xb−a‖",
        "sqrt(sum((sum(X[i, j]*b[j], j) - a[i])**2, i))",
        {
            "b": lambda v: v.X.T @ (v.X @ v.b - v.a) / norm(v.X @ v.b - v.a),
            "X": lambda v: outer(v.X @ v.b - v.a, v.b) / norm(v.X @ v.b - v.a),
        },
    ),
    # ---- quotients
    Identity(
        "xᵀSx/xᵀx, Rayleigh",
        "sum(x[i]*S[i, j]*x[j], i, j)/sum(x[k]**2, k)",
        {
            "x": lambda v: (
                ((v.S + v.S.T) @ v.x - 2 * (v.x @ v.S @ v.x) / (v.x @ v.x) * v.x) / (v.x @ v.x)
            )
        },
    ),
    Identity(
        "xᵀSx/xᵀAx, generalised",
        "sum(x[i]*S[i, j]*x[j], i, j)/sum(x[i]*A[i, j]*x[j], i, j)",
        {
            "x": lambda v: (
                (v.S + v.S.T) @ v.x / (v.x @ v.A @ v.x)
                - (v.x @ v.S @ v.x) * ((v.A + v.A.T) @ v.x) / (v.x @ v.A @ v.x) ** 2
            )
        },
    ),
    Identity(
        "cosine of x and a",
        "sum(x[i]*a[i], i)/sqrt(sum(x[i]**2, i)*sum(a[i]**2, i))",
        {
            "x": lambda v: (
                v.a / (norm(v.x) * norm(v.a)) - (v.x @ v.a) * v.x / (norm(v.x) ** 3 * norm(v.a))
            )
        },
    ),
    Identity(
        "Tr(XᵀSX)/Tr(XᵀX)",
        "sum(X[i, k]*S[i, j]*X[j, k], i, j, k)/sum(X[m, l]**2, m, l)",
        {
            "X": lambda v: (
                ((v.S + v.S.T) @ v.X) / (v.X**2).sum()
                - 2 * np.trace(v.X.T @ v.S @ v.X) * v.X / (v.X**2).sum() ** 2
            )
        },
    ),
    # ---- Hadamard products and elementwise functions
    Identity(
        "Tr(Cᵀ(X∘X))",
        "sum(C[i, j]*X[i, j]*X[i, j], i, j)",
        {"X": lambda v: 2 * v.C * v.X, "C": lambda v: v.X**2},
    ),
    Identity(
        "aᵀ(X∘C)b",
        "sum(a[i]*X[i, j]*C[i, j]*b[j], i, j)",
        {"X": lambda v: outer(v.a, v.b) * v.C},
    ),
    Identity("‖X∘C‖²", "sum((X[i, j]*C[i, j])**2, i, j)", {"X": lambda v: 2 * v.X * v.C**2}),
    Identity(
        "aᵀdiag(x)Sx",
        "sum(a[i]*x[i]*S[i, j]*x[j], i, j)",
        {"x": lambda v: v.a * (v.S @ v.x) + v.S.T @ (v.a * v.x)},
    ),
    Identity(
        "Tr(diag(x)S)",
        "sum(x[i]*S[i, i], i)",
        {"S": lambda v: np.diag(v.x), "x": lambda v: np.diag(v.S)},
    ),
    Identity("Σ exp X", "sum(exp(X[i, j]), i, j)", {"X": lambda v: np.exp(v.X)}),
    Identity(
        "aᵀ tanh(Xb)",
        "sum(a[i]*tanh(sum(X[i, j]*b[j], j)), i)",
        {
            "X": lambda v: outer(v.a * (1 - np.tanh(v.X @ v.b) ** 2), v.b),
            "b": lambda v: v.X.T @ (v.a * (1 - np.tanh(v.X @ v.b) ** 2)),
        },
    ),
    Identity(
        "log Σ exp(Xb)",
        "log(sum(exp(sum(X[i, j]*b[j], j)), i))",
        {
            "b": lambda v: v.X.T @ softmax(v.X @ v.b),
            "X": lambda v: outer(softmax(v.X @ v.b), v.b),
        },
    ),
    Identity(
        "aᵀ softmax(x)",
        "sum(a[i]*softmax(x[i], i), i)",
        {"x": lambda v: (np.diag(softmax(v.x)) - outer(softmax(v.x), softmax(v.x))) @ v.a},
    ),
    Identity(
        "−Σ log σ(a∘(Xb)), logistic",
        "-sum(log_sigmoid(a[i]*sum(X[i, j]*b[j], j)), i)",
        {"b": lambda v: -v.X.T @ (v.a * sigmoid(-v.a * (v.X @ v.b)))},
    ),
    Identity("Σ u log u, entropy", "sum(u[i]*log(u[i]), i)", {"u": lambda v: np.log(v.u) + 1}),
    Identity("log det diag(u)", "sum(log(u[i]), i)", {"u": lambda v: 1 / v.u}),
    Identity("Tr diag(u)⁻¹", "sum(1/u[i], i)", {"u": lambda v: -1 / v.u**2}),
    Identity("xᵀdiag(u)⁻¹x", "sum(x[i]**2/u[i], i)", {"u": lambda v: -(v.x**2) / v.u**2}),
    Identity("Π u", "prod(u[i], i)", {"u": lambda v: v.u.prod() / v.u}),
    Identity(
        "exp(−‖x−a‖²/2), RBF kernel",
        "exp(-sum((x[i] - a[i])**2, i)/2)",
        {"x": lambda v: (v.a - v.x) * np.exp(-((v.x - v.a) ** 2).sum() / 2)},
    ),
    Identity(
        "sin(xᵀSx)",
        "sin(sum(x[i]*S[i, j]*x[j], i, j))",
        {"x": lambda v: np.cos(v.x @ v.S @ v.x) * (v.S + v.S.T) @ v.x},
    ),
    # ---- the forms that learning is made of
    Identity(
        "‖Xb−a‖² + λ‖b‖², ridge",
        "sum((sum(X[i, j]*b[j], j) - a[i])**2, i) + 0.1*sum(b[j]**2, j)",
        {"b": lambda v: 2 * v.X.T @ (v.X @ v.b - v.a) + 0.2 * v.b},
    ),
    Identity(
        "Σ u(Xb−a)², weighted least squares",
        "sum(u[i]*(sum(X[i, j]*b[j], j) - a[i])**2, i)",
        {
            "b": lambda v: 2 * v.X.T @ (v.u * (v.X @ v.b - v.a)),
            "u": lambda v: (v.X @ v.b - v.a) ** 2,
        },
    ),
    Identity(
        "‖C−XB‖², factorisation",
        "sum((C[i, j] - sum(X[i, k]*B[k, j], k))**2, i, j)",
        {
            "X": lambda v: -2 * (v.C - v.X @ v.B) @ v.B.T,
            "B": lambda v: -2 * v.X.T @ (v.C - v.X @ v.B),
        },
    ),
    Identity(
        "‖X−abᵀ‖², rank one",
        "sum((X[i, j] - a[i]*b[j])**2, i, j)",
        {
            "a": lambda v: -2 * (v.X - outer(v.a, v.b)) @ v.b,
            "b": lambda v: -2 * (v.X - outer(v.a, v.b)).T @ v.a,
        },
    ),
    Identity(
        "‖SA−AS‖², commutator",
        "sum((sum(S[i, k]*A[k, j], k) - sum(A[i, k]*S[k, j], k))**2, i, j)",
        {"S": lambda v: 2 * (v.S @ v.A - v.A @ v.S) @ v.A.T - 2 * v.A.T @ (v.S @ v.A - v.A @ v.S)},
    ),
    Identity(
        "‖XᵀX−I‖², orthogonality",
        "sum((sum(X[i, j]*X[i, k], i) - where(j == k, 1, 0))**2, j, k)",
        {"X": lambda v: 4 * v.X @ (v.X.T @ v.X - np.eye(3))},
    ),
    Identity(
        "‖S−Sᵀ‖²",
        "sum((S[i, j] - S[j, i])**2, i, j)",
        {"S": lambda v: 4 * (v.S - v.S.T)},
    ),
    Identity(
        "variance of x",
        "mean((x[i] - mean(x[j], j))**2, i)",
        {"x": lambda v: 2 * (v.x - v.x.mean()) / 4},
    ),
    Identity(
        "xᵀ(x∘x)",
        "sum(x[i]**3, i)",
        {"x": lambda v: 3 * v.x**2},
    ),
    # ---- determinants, inverses, traces and their like
    Identity(
        "det S (49)",
        "det(S[i, j], i, j)",
        {"S": lambda v: np.linalg.det(v.S) * np.linalg.inv(v.S).T},
    ),
    Identity(
        "det ASB (50), det of a product",
        "det(sum(A[i, k]*S[k, j], k), i, j)",
        {"S": lambda v: np.linalg.det(v.A @ v.S) * np.linalg.inv(v.S).T},
    ),
    Identity(
        "det XᵀX (54)",
        "det(sum(X[k, i]*X[k, j], k), i, j)",
        {"X": lambda v: 2 * np.linalg.det(v.X.T @ v.X) * v.X @ np.linalg.inv(v.X.T @ v.X)},
    ),
    Identity(
        "det XᵀAX (53)",
        "det(sum(X[k, i]*A[k, l]*X[l, j], k, l), i, j)",
        {
            "X": lambda v: (
                np.linalg.det(v.X.T @ v.A @ v.X)
                * (
                    v.A @ v.X @ np.linalg.inv(v.X.T @ v.A @ v.X)
                    + v.A.T @ v.X @ np.linalg.inv(v.X.T @ v.A.T @ v.X)
                )
            )
        },
    ),
    Identity(
        "log det XᵀX (55)",
        "logdet(sum(X[k, i]*X[k, j], k), i, j)",
        {"X": lambda v: 2 * np.linalg.pinv(v.X).T},
    ),
    Identity(
        "(det S)³ (58)",
        "det(S[i, j], i, j)**3",
        {"S": lambda v: 3 * np.linalg.det(v.S) ** 3 * np.linalg.inv(v.S).T},
    ),
    Identity(
        "log det (SSᵀ + I)",
        "logdet(sum(S[i, k]*S[j, k], k) + (i == j), i, j)",
        {"S": lambda v: 2 * np.linalg.solve(v.S @ v.S.T + np.eye(4), v.S)},
    ),
    Identity(
        "aᵀS⁻¹x (61)",
        "sum(a[i]*inv(S[i, j], i, j)*x[j], i, j)",
        {
            "S": lambda v: -np.linalg.inv(v.S).T @ outer(v.a, v.x) @ np.linalg.inv(v.S).T,
            "a": lambda v: np.linalg.inv(v.S) @ v.x,
            "x": lambda v: np.linalg.inv(v.S).T @ v.a,
        },
    ),
    Identity(
        "aᵀ solve(S, x)",
        "sum(a[j]*solve(S[i, j], x[i], i, j), j)",
        {
            "S": lambda v: -outer(np.linalg.solve(v.S.T, v.a), np.linalg.solve(v.S, v.x)),
            "x": lambda v: np.linalg.solve(v.S.T, v.a),
        },
    ),
    Identity(
        "det S⁻¹ (62)",
        "det(inv(S[i, j], i, j), i, j)",
        {"S": lambda v: -np.linalg.det(np.linalg.inv(v.S)) * np.linalg.inv(v.S).T},
    ),
    Identity(
        "tr(AS⁻¹) (63)",
        "trace(sum(A[i, k]*inv(S[k, j], k, j), k), i, j)",
        {"S": lambda v: -(np.linalg.inv(v.S) @ v.A @ np.linalg.inv(v.S)).T},
    ),
    Identity(
        "tr((S + A)⁻¹) (64)",
        "trace(inv(S[i, j] + A[i, j], i, j), i, j)",
        {"S": lambda v: -(np.linalg.inv(v.S + v.A) @ np.linalg.inv(v.S + v.A)).T},
    ),
    Identity("tr S (99)", "trace(S[i, j], i, j)", {"S": lambda v: np.eye(4)}),
    Identity(
        "tr(SA) (100)",
        "trace(sum(S[i, k]*A[k, j], k), i, j)",
        {"S": lambda v: v.A.T, "A": lambda v: v.S.T},
    ),
    Identity(
        "tr((XᵀX + I)⁻¹)",
        "trace(inv(sum(X[k, i]*X[k, j], k) + (i == j), i, j), i, j)",
        {
            "X": lambda v: (
                -2 * v.X @ np.linalg.matrix_power(np.linalg.inv(v.X.T @ v.X + np.eye(3)), 2)
            )
        },
    ),
    Identity(
        "the Gaussian's log-likelihood by its precision",
        "0.5*logdet(sum(B[i, k]*B[j, k], k) + (i == j), i, j) - 0.5*sum((b[i] - c[i])"
        "*(sum(B[i, k]*B[j, k], k) + (i == j))*(b[j] - c[j]), i, j)",
        {
            "B": lambda v: (
                np.linalg.solve(v.B @ v.B.T + np.eye(3), v.B) - outer(v.b - v.c, v.b - v.c) @ v.B
            )
        },
    ),
    Identity(
        "Σ log L_ii of a Cholesky factor, half the log det",
        "sum(log(sum(cholesky(sum(B[i, k]*B[j, k], k) + (i == j), i, j)*(i == j), j)), i)",
        {"B": lambda v: np.linalg.solve(v.B @ v.B.T + np.eye(3), v.B)},
    ),
]


def arrays() -> dict[str, Array]:
    """Draw every letter; u is positive."""
    rng = np.random.default_rng(5)
    drawn = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    drawn["u"] = np.abs(drawn["u"]) + 0.5
    return drawn


def spec_of(identity: Identity) -> dict[str, Any]:
    """A network whose loss is the formula, over parameters that its one layer doesn't read."""
    used = [name for name in SHAPES if re.search(rf"\b{name}\[", identity.formula)]
    formula = re.sub(r"\b([A-Za-z])\[", r"own.\1[", identity.formula)
    parameters = {name: {"shape": list(SHAPES[name]), "init": "ones"} for name in used}
    return {
        "model": "identity",
        "inputs": {"given": ["n"]},
        "layers": [{"own": {"formula": "h[n] = 2 * given[n]", "parameters": parameters}}],
        "loss": {"formula": formula},
        "optimizer": "sgd",
    }


@pytest.mark.parametrize("identity", IDENTITIES, ids=[each.name for each in IDENTITIES])
def test_the_gradient_is_the_closed_form(identity: Identity) -> None:
    module = compiled(spec_of(identity))
    held = arrays()
    params = {key: held[key.removeprefix("own.")] for key in module.init(0)}
    result = evaluated(module, params, {"given": np.zeros(2)})
    v = SimpleNamespace(**held)
    for name, closed in identity.closed.items():
        assert_close(result.grads[f"own.{name}"], np.asarray(closed(v)), name, 1e-12)


def test_there_are_as_many_as_are_promised() -> None:
    assert len({each.name for each in IDENTITIES}) == len(IDENTITIES) >= 60
