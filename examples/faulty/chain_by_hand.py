"""The backward pass of chain.yaml written by hand: once right, once with three usual mistakes.

symback verify examples/chain.yaml examples/faulty/chain_by_hand.py:backward
symback verify examples/chain.yaml examples/faulty/chain_by_hand.py:hasty
"""

import numpy as np


def backward(x, t, W1, b1, W2, b2, W3, b3):
    """Return the gradients by W1, b1, W2, b2, W3, b3."""
    a1 = np.tanh(x @ W1.T + b1)
    a2 = np.tanh(a1 @ W2.T + b2)
    y = a2 @ W3.T + b3
    dy = 2 * (y - t) / len(x)
    dz2 = (dy @ W3) * (1 - a2**2)
    dz1 = (dz2 @ W2) * (1 - a1**2)
    return dz1.T @ x, dz1.sum(axis=0), dz2.T @ a1, dz2.sum(axis=0), dy.T @ a2, dy.sum(axis=0)


def hasty(x, t, W1, b1, W2, b2, W3, b3):
    """Return what was meant to be the same."""
    a1 = np.tanh(x @ W1.T + b1)
    a2 = np.tanh(a1 @ W2.T + b2)
    y = a2 @ W3.T + b3
    dy = 2 * (y - t)
    dz2 = dy @ W3
    dz1 = (dz2 @ W2) * (1 - a1**2)
    return dz1.T @ x, dz1.sum(axis=0), dz2.T @ a1, dz2, dy.T @ a2, dy.sum(axis=0)
