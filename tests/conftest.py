"""Hypothesis draws the same examples on every run: a run speaks of the code alone.

C is compiled without optimisation, which takes a third of the time, unless a test asks for it;
so is what JAX compiles.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # read by JAX's import
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def compiled_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is compiled to the tests themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("compiled")))
        patch.setenv("CFLAGS", "-O0")
        yield
