"""What people call a network's arrays: W1, b1, f1.weight, f1_weight, dW1, grad_W1, …"""

import re
from collections.abc import Iterator, Mapping

from symback.program import Program, Role, Tensor

PARAMETERS = ("params", "parameters", "weights", "theta", "p")
CACHE = ("cache", "saved", "memory")
INPUTS = ("x", "inputs", "input", "data")
TARGETS = ("t", "y", "target", "targets", "labels", "label", "y_true")
OUTPUTS = ("output", "outputs", "out", "y", "y_hat", "y_pred", "logits", "prediction")
GRADIENT = re.compile(r"^(?:∂L/∂|dL_?d_?|dL/d|d_?|grads?_|gradient_|g_|delta_)|_(?:grads?|bar)$")


class Names:
    """Finds the tensor that a word stands for, whatever way it is written."""

    def __init__(self, program: Program) -> None:
        self._tensors = {tensor.name: tensor for tensor in program.tensors}
        exact: dict[str, str] = {}
        for tensor in program.tensors:
            for word in (tensor.name, tensor.key, tensor.key.replace(".", "_")):
                exact.setdefault(word, tensor.name)
        self._by_role(exact, program.with_role(Role.INPUT), INPUTS)
        self._by_role(exact, program.with_role(Role.TARGET), TARGETS)
        self._by_role(exact, (program.tensor(program.output),), OUTPUTS)
        self._exact: Mapping[str, str] = exact
        self._folded: dict[str, str] = {}
        for word, name in exact.items():
            self._folded.setdefault(word.lower(), name)

    @staticmethod
    def _by_role(
        exact: dict[str, str], tensors: tuple[Tensor, ...], words: tuple[str, ...]
    ) -> None:
        """Let the usual words stand for a tensor that is the only one of its role."""
        if len(tensors) == 1:
            for word in words:
                exact.setdefault(word, tensors[0].name)

    def tensor(self, word: str) -> Tensor | None:
        """Return the tensor that a word stands for: as written, else in either case."""
        name = self._exact.get(word) or self._folded.get(word.lower())
        return self._tensors.get(name) if name else None

    def gradient(self, word: str) -> Tensor | None:
        """Return the tensor that a word stands for the gradient by: of W1, dW1 or grad_W1 W1."""
        exact = self._exact.get(word)
        if exact is not None:
            found = self._tensors[exact]
            return self._tensors[found.name[1:]] if found.role is Role.ADJOINT else found
        plain = GRADIENT.sub("", word)
        return self.tensor(plain) if plain != word and plain else self.tensor(word)

    def words(self) -> Iterator[str]:
        """Yield every word that is known."""
        yield from self._exact
