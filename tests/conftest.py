"""Hypothesis draws the same examples on every run: a run speaks of the code alone.

C is compiled without optimisation, which takes a third of the time, unless a test asks for it;
so is what JAX compiles. A spec is derived and lowered once for all that is made of it.
"""

import gc
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import pytest
from hypothesis import settings

from symback import pipeline
from symback.derivation import Derivation
from symback.pipeline import Source

flags = "--xla_backend_optimization_level=0"
if version("jaxlib").startswith("0.10."):  # one that doesn't know a flag ends the process
    flags += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ.setdefault("XLA_FLAGS", flags)  # read by JAX's import
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def compiled_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is compiled to the tests themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("compiled")))
        patch.setenv("CFLAGS", "-O0")
        yield


@pytest.fixture(scope="session", autouse=True)
def swept_seldom() -> None:
    """Leave what the imports made (PyTorch, JAX) to itself; hardly anything of SymPy is garbage."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def once(stage: Callable[..., Any]) -> Callable[..., Any]:
    """Return a stage of the pipeline that keeps what it gave of the latest specs."""
    kept = lru_cache(maxsize=64)(stage)

    def hashable(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    def asked(source: Source | Derivation, *given: Any, **named: Any) -> Any:
        if isinstance(source, Derivation):
            return stage(source, *given, **named)
        by_name = {name: hashable(value) for name, value in named.items()}
        return kept(pipeline.load(source), *map(hashable, given), **by_name)

    return asked


@pytest.fixture(scope="session", autouse=True)
def derived_once() -> Iterator[None]:
    """Derive and lower a spec once: neighbours ask for its other targets and forms.

    What test_determinism compares is made by processes of their own.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("derive", "lowered"):
            patch.setattr(pipeline, name, once(getattr(pipeline, name)))
        yield
