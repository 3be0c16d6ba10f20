"""The script worker: whether this server has what an archive needs."""

from collections.abc import Mapping

from tabpy.tabpy_server.errors import InvalidInputError


def differences(packages: Mapping[str, str]) -> list[str]:
    """Return a line for each package that is here in another version than the given one."""
    import importlib.metadata

    found = []
    for package, theirs in packages.items():
        try:
            ours = importlib.metadata.version(package)
        except (importlib.metadata.PackageNotFoundError, ValueError):  # ValueError: an empty name
            continue  # not needed to load it
        if ours != theirs:
            found.append(f"{package} is {ours} on the server and {theirs} where it was made")
    return found


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
