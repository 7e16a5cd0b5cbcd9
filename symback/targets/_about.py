"""What a target says of itself."""

from collections.abc import Callable
from dataclasses import dataclass

from symback.program import Program
from symback.targets._alone import Alone


@dataclass(frozen=True, slots=True)
class Native:
    """The parts of a module that is compiled, as lines. What is absent is empty."""

    cache: tuple[str, ...]  # 'real (*z1)[16];', the fields of the struct cache
    state: tuple[str, ...]  # 'double lr;', those of the struct state
    functions: tuple[str, ...]  # the names of helper functions, in the order they need each other
    vectors: tuple[str, ...]  # functions of one number that are computed for several at once
    constants: tuple[str, ...]  # 'static const double BETA1 = 0.9;'
    weights: tuple[str, ...]  # 'static const real weight[3] = {1, 2, 3};'
    forward: tuple[str, ...]
    objective: tuple[str, ...]
    total: tuple[str, ...]  # the lines that return the loss
    backward: tuple[str, ...]
    renewal: tuple[str, ...]
    schedule: tuple[str, ...]  # of one that runs at each step
    step: tuple[str, ...]  # the optimiser's numbers of a step
    loads: tuple[str, ...]  # 'real m = m_all[p];'
    elements: tuple[str, ...]
    stores: tuple[str, ...]
    forms: tuple[str, ...]  # instead: a loop over the parameters that are worked on as arrays
    after: tuple[str, ...]
    gather: tuple[str, ...]
    arrays: tuple[str, ...]  # 'self.z1 = self.made("z1", (n, 128))'
    shapes: tuple[str, ...]  # '"f1.weight": (16, 4),', in the order of the vector
    inputs: tuple[str, ...]  # 'cache.x = cache.give("x", np.ascontiguousarray(x, w.dtype))'
    targets: tuple[str, ...]
    whole: tuple[str, ...]  # the same for the rows of all batches
    rows: tuple[str, ...]  # 'cache.x = cache.made("x", (count, 4))', what a batch is copied to
    masks: tuple[str, ...]  # the lines that draw random arrays
    rest: tuple[str, ...]  # 'self.r1[...] = 1', what they are outside of training
    beyond: tuple[str, ...]  # '"x": cache.dx', gradients by more than the parameters
    remembers: tuple[str, ...]  # 'm: Array  # for each parameter', the state's annotations
    starts: tuple[str, ...]  # 'self.lr = LR'
    output: str
    numbers: str  # how many numbers the outputs of a batch are: "(size_t)cache->n * 10"
    count: str  # how many parameters there are
    parallel: str  # that the optimiser's loop is worth several threads
    blas: str  # that some product may be left to the BLAS
    threaded: str  # that some loop is shared by threads


@dataclass(frozen=True, slots=True)
class Layout:
    """Which templates lay out the parts of a module that differ, and what training keeps.

    `workspace` holds what a training step writes into, made once; `packed` returns parameters as
    views of one vector. Both are "" where each step makes arrays of its own.
    """

    arrays: str = ""  # the cache, and what else holds arrays

    passes: str = "common/passes.py.j2"  # forward, loss, backward
    start: str = "common/start.py.j2"  # the optimiser's state before the first step
    update: str = ""  # the optimiser's step
    steps: tuple[str, ...] = ("common/one_step.py.j2", "common/one_epoch.py.j2")  # of training
    workspace: str = ""  # the template of the class Workspace
    packed: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """A target: what its modules need, the types of numbers it has, how its code is formed.

    `fast`: the form in which statements write into arrays made once (passes.buffers), which is
    taken unless told otherwise.
    `lists`: its arrays are nested lists. `like`: the target whose Python its modules share, in what
    isn't compiled. `native`: what is compiled, for a target that compiles; `standalone`: the same
    as a library that needs no Python. `runs`: whether this machine has what its modules need.
    """

    needs: str
    float_types: tuple[str, ...]
    layout: Layout = Layout()
    fast: Layout | None = None
    lists: bool = False
    like: str = ""
    native: Callable[[Program], Native] | None = None
    standalone: Callable[[Program], tuple[Native, Alone]] | None = None
    runs: Callable[[], bool] = lambda: True
