"""What a user may do besides looking: three rights, named as the scopes of TabPy's OAuth are."""

import difflib

QUERY = "query"  # call deployed functions
EVALUATE = "evaluate"  # run scripts
DEPLOY = "deploy"  # deploy, change and remove functions

Rights = tuple[str, ...]  # in the order of ALL
ALL: Rights = (QUERY, EVALUATE, DEPLOY)


def parse(text: str) -> Rights:
    """Read rights with commas between them.

    Raises ValueError that says which word is wrong. It quotes only what was meant for a right: in
    the password file, anything else may be a password in the wrong place.
    """
    words = [word.strip() for word in text.split(",")]
    for place, word in enumerate(words, 1):
        if not word:
            raise ValueError(f"right {place} of {len(words)} is empty")
        if word not in ALL:
            near = difflib.get_close_matches(word.lower(), ALL, n=1)
            said = f"'{word}', is none; {near[0]} is" if near else "is none"
            raise ValueError(f"right {place} of {len(words)}{', ' if near else ' '}{said}")
        if word in words[: place - 1]:
            raise ValueError(f"right {place} of {len(words)}, '{word}', is there already")
    return tuple(right for right in ALL if right in words)


def written(rights: Rights) -> str:
    """Return rights as `parse` reads them."""
    return ",".join(rights)
