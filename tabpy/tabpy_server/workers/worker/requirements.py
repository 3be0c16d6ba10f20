"""Whether this server has what an archive needs."""

from collections.abc import Mapping

from tabpy.tabpy_server.errors import RequestError


def differences(packages: Mapping[str, str]) -> list[str]:
    import importlib.metadata

    found = []
    for package, theirs in packages.items():
        try:
            ours = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # not needed to load it
        if ours != theirs:
            found.append(f"{package} is {ours} on the server and {theirs} where it was made")
    return found


def unmet(requirement: str) -> str | None:
    """What a requirement lacks here, or None. Raises RequestError 400 for what is none."""
    import importlib.metadata

    from packaging.requirements import InvalidRequirement, Requirement

    try:
        needed = Requirement(requirement)
    except InvalidRequirement:
        raise RequestError(
            400,
            f"'{requirement[:100]}' is no requirement.",
            "Write them as pip does, such as scikit-learn>=1.5.",
        ) from None
    if needed.marker is not None and not needed.marker.evaluate():
        return None
    try:
        version = importlib.metadata.version(needed.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement}, which this server doesn't have"
    if not needed.specifier.contains(version, prereleases=True):
        return f"{requirement}, and this server has {needed.name} {version}"
    return None
