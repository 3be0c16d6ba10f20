"""What is said of a value that has no form in JSON."""

BETTER = "numbers, strings, booleans, None, or lists of them"


class UnfitError(Exception):
    """A value has no form in JSON: `what` says which, or `cause` is what the value itself raised.

    All else that this module raises is a mistake of its own.
    """

    def __init__(
        self, what: str = "", better: str = BETTER, *, cause: BaseException | None = None
    ) -> None:
        super().__init__(what)
        self._what = what
        self._better = better
        self._cause = cause

    def reason(self, said: str = "The script returned", do: str = "return") -> BaseException:
        """Return the exception for the value's author, who `said` it and should `do` another."""
        return self._cause or TypeError(f"{said} {self._what}: {do} {self._better}.")

    def __str__(self) -> str:
        return str(self.reason())


def an(name: str) -> str:
    """Return a noun with its article."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
