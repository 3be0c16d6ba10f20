"""Names that somebody may have meant."""

import difflib
from collections.abc import Iterable

LIKE = 0.6  # difflib's own measure, from 0 to 1


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question to put behind a sentence, " Did you mean 'Price'?"; "" if no name is
    similar. Takes about 0.1 ms a name, so many belong on a thread."""
    folded = {each.casefold(): each for each in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=LIKE)
    return f" Did you mean '{folded[near[0]]}'?" if near else ""
