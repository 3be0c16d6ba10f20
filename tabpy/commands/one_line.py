"""Errors as commands show them."""


def one_line(error: Exception) -> str:
    """Return an error's text in one line, or its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
