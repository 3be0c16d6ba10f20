"""How many files and connections a process may have open."""

import sys

WITHOUT_LIMITS = 512  # what `select` takes on Windows
RESERVED = 256  # for workers, the store, uploads and logs


def raise_limit(wanted: int) -> int:
    """Return how many descriptors this process may have, after raising the limit to `wanted` as far
    as it may be raised."""
    if sys.platform == "win32":
        return WITHOUT_LIMITS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return wanted if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def connections(most: int) -> int:
    """Return how many connections this process may have: `most`, and fewer where descriptors are
    few, of which half stay for the rest."""
    limit = raise_limit(most + RESERVED)
    return max(1, min(most, limit - min(RESERVED, limit // 2)))
