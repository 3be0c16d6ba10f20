"""The script worker: whether this server has what an archive needs."""

import re
from collections.abc import Iterator, Mapping

from tabpy.tabpy_server.errors import InvalidInputError

NAMED = 5  # packages in a sentence
LONGEST = 60  # characters of a name or a version: a client may have sent anything


def differences(packages: Mapping[str, str]) -> list[str]:
    """Return a line for each package that is here in another version than the given one."""
    return [
        f"{package} is {ours} on the server and {theirs} where it was made"
        for package, theirs, ours in _differing(packages)
    ]


def made_with(packages: Mapping[str, str], why: str) -> str:
    """Return a sentence on the packages that are here in another version than the given one, those
    first that `why` speaks of: the reason that something can't be loaded. "" if there are none."""
    differing = list(_differing(packages))
    if len(differing) <= 1:
        return "".join(f"It was made with {p} {t}; this server has {o}." for p, t, o in differing)
    named = _named(why)
    differing.sort(key=lambda each: each[0] not in named)
    shown = differing[:NAMED]
    theirs = _listed([f"{package} {version}" for package, version, _ in shown])
    ours = _listed([f"{package} {version}" for package, _, version in shown])
    more = len(differing) - len(shown)
    rest = f" {more} more packages differ." if more else ""
    return f"It was made with {theirs}; this server has {ours}.{rest}"


def _differing(packages: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield each package that is here in another version, with the given one and ours."""
    import importlib.metadata

    for package, theirs in packages.items():
        try:
            ours = importlib.metadata.version(package)
        except (importlib.metadata.PackageNotFoundError, ValueError):  # ValueError: an empty name
            continue  # not needed to load it
        if ours != theirs:
            yield package[:LONGEST], theirs[:LONGEST], ours


def _named(text: str) -> set[str]:
    """Return the packages that a text speaks of, or of a module in them."""
    import importlib.metadata

    words = set(re.findall(r"[\w-]+", text))
    by_module = importlib.metadata.packages_distributions()
    return words.union(*(owners for module, owners in by_module.items() if module in words))


def _listed(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def unmet(requirement: str) -> str | None:
    """Return what a requirement lacks here, or None. Raises InvalidInputError for what is none."""
    import importlib.metadata

    from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        needed = Requirement(requirement)
        if needed.marker is not None and not needed.marker.evaluate():
            return None
    except (
        InvalidRequirement,
        UndefinedComparison,
        UndefinedEnvironmentName,
        RecursionError,  # thousands of parentheses
    ):
        raise InvalidInputError(
            f"'{requirement[:100]}' is no requirement.",
            "Write them as pip does, such as scikit-learn>=1.5.",
        ) from None
    try:
        version = importlib.metadata.version(needed.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement}, which this server doesn't have"
    if not needed.specifier.contains(version, prereleases=True):
        return f"{requirement}, and this server has {needed.name} {version}"
    return None
