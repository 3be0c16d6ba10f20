"""Which names an endpoint may have."""

import re

LONGEST = 200  # characters
_NAME = re.compile(r"[\w-]+(?: +[\w-]+)*")


def check_endpoint_name(name: object) -> None:
    """Refuse what no server takes: letters, digits, `_`, `-` and inner spaces make a name.

    Raises TypeError for what isn't a string and ValueError for the rest.
    """
    if not isinstance(name, str):
        raise TypeError(f"An endpoint's name is a string, not {type(name).__name__}.")
    if len(name) > LONGEST:
        raise ValueError(f"An endpoint's name has at most {LONGEST} characters, not {len(name)}.")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} can't name an endpoint: use letters, digits, underscores, hyphens and, "
            "between them, spaces."
        )
