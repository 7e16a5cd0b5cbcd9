"""Files written: whole or not at all, and never over somebody's own work."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from symback.errors import Mistake, UserError

SIGNATURE = b"written by symback"  # in the first line of every emitted module
HEAD = 400


def write(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, then move it into place.

    Raises UserError where that can't be done.
    """
    data = content.encode() if isinstance(content, str) else content
    put(path, lambda part: part.write_bytes(data))


def put(path: Path, writing: Callable[[Path], object]) -> None:
    """Let `writing` fill a temporary file, then move it into place."""
    part = path.parent / f"{path.name}.part"
    try:
        writing(part)
        part.replace(path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None
    finally:
        with suppress(OSError, ValueError):
            part.unlink(missing_ok=True)


def _unwritable(path: Path, error: Exception) -> UserError:
    reason = error.strerror if isinstance(error, OSError) else None
    return UserError(Mistake(f"can't be written: {reason or error}", source=str(path)))


def require_ours(path: Path) -> None:
    """Raise UserError if a file stands there that symback didn't write."""
    try:
        if not path.exists():
            return
        with path.open("rb") as file:
            ours = SIGNATURE in file.read(HEAD)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None
    if not ours:
        raise UserError(
            Mistake(
                "there is a file of that name, which symback didn't write",
                hint="choose another name with -o, or remove the file",
                source=str(path),
            )
        )


def require_new(*paths: Path) -> None:
    """Raise UserError for every path where there is something already."""
    there = [path for path in paths if path.exists() or path.is_symlink()]
    if there:
        hint = "choose another name, or remove the file"
        raise UserError(
            *(Mistake("the file exists already", hint=hint, source=str(path)) for path in there)
        )
