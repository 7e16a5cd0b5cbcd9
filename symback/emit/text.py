"""Free text and strings: what a spec says stays text wherever it stands in a module."""


def safe(text: str) -> str:
    """Return free text so that neither a docstring nor a comment can end in it."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def quoted(text: str) -> str:
    """Return a string literal, in double quotes, whatever the text holds."""
    escapes = {"\\": "\\\\", '"': '\\"'}
    shown = (c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return '"' + "".join(escapes.get(c, c) for c in shown) + '"'
