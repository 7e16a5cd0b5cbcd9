"""The training loop's settings in a module."""

from dataclasses import dataclass

from symback.program import Training


@dataclass(frozen=True, slots=True)
class Loop:
    """What the templates see of the training loop: defaults, as text. What is absent is empty."""

    epochs: str
    batch_size: str
    shuffle: str
    seed: str
    accumulate: str
    validation: str
    patience: str
    tolerance: str
    settle: str
    watched: str  # the figure of an epoch that tells whether it was better
    breaks: str  # that the loop may end early


def loop(training: Training) -> Loop:
    """Return the training loop's strings."""
    return Loop(
        epochs=repr(training.epochs),
        batch_size=repr(training.batch_size),
        shuffle="shuffle" if training.shuffle and training.batch_size is not None else "",
        seed=repr(training.seed),
        accumulate=repr(training.accumulate) if training.accumulate > 1 else "",
        validation=repr(training.validation) if training.validation else "",
        patience="" if training.patience is None else repr(training.patience),
        tolerance="" if training.tolerance is None else repr(training.tolerance),
        settle=repr(training.settle),
        watched="val_loss" if training.validation else "loss",
        breaks="" if training.patience is training.tolerance is None else "break",
    )
