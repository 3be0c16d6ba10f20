"""Whose scripts may share a worker: the values of TABPY_SCRIPT_ISOLATION."""

from enum import StrEnum


class Isolation(StrEnum):
    """What a worker that has run something of one owner is still good for."""

    USER = "user"
    VIEWER = "viewer"
    JOB = "job"
    OFF = "off"

    @property
    def keeps_owners_apart(self) -> bool:
        """Say whether no worker ever runs jobs of two owners."""
        return self is not Isolation.OFF

    @property
    def words(self) -> str:
        """Say to a person what is in force."""
        return {
            Isolation.USER: "by user",
            Isolation.VIEWER: "by user and Tableau user",
            Isolation.JOB: "each by itself",
            Isolation.OFF: "off",
        }[self]

    def owner(self, user: str | None, viewer: str | None) -> str:
        """Return whose a job is. `user` has signed in; all of an open server, None, are one owner.
        `viewer` is whom Tableau says it asks for.

        A viewer is never another user's: names of users have no end of line in them.
        """
        if self is Isolation.VIEWER and viewer:
            return f"{user or ''}\n{viewer}"
        return user or ""
