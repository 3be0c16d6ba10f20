"""What a server tells about its endpoints and their versions."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tabpy.tabpy_tools.notebook import card, table

_EPOCH = datetime(1970, 1, 1)
_TIMES = ("creation_time", "last_modified_time")


class EndpointInfo(dict[str, Any]):
    """A dictionary whose entries are attributes too, as TabPy's client has given them.

    Keys as in `GET /endpoints` (`description`, `docstring`, `type`, `version`, `dependencies`,
    `target`, `schema`, `is_public`, `pure`, ...) and `name`; `creation_time` and
    `last_modified_time` are naive datetimes in UTC.
    """

    @classmethod
    def from_reply(cls, name: str, reply: Mapping[str, Any]) -> "EndpointInfo":
        info = cls(reply, name=name)
        for key in _TIMES:
            if isinstance(info.get(key), int | float):
                info[key] = _moment(info[key])
        return info

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"The server told no {key!r} of this endpoint.") from None

    def __setattr__(self, key: str, value: object) -> None:
        self[key] = value

    def _repr_html_(self) -> str:
        shown = ("description", "target", "is_public", "pure", "dependencies", *_TIMES)
        entries = {key.replace("_", " "): self.get(key) for key in shown}
        return card(f"{self.get('name')}, version {self.get('version')}", entries)


class Endpoints(dict[str, EndpointInfo]):
    """Endpoints by name."""

    def _repr_html_(self) -> str:
        rows = [
            (name, info.get("type"), info.get("version"), info.get("description"))
            for name, info in self.items()
        ]
        return table("Endpoints", ("name", "type", "version", "description"), rows)


class Versions(dict[str, Any]):
    """The versions of an endpoint: `{"current": number, "versions": [...]}`."""

    def _repr_html_(self) -> str:
        rows = [
            (
                f"{each.get('version')}{' (answers)' if self._answers(each) else ''}",
                _moment(each.get("creation_time")),
                each.get("author"),
                each.get("python"),
                ", ".join(each.get("requirements") or ()),
                each.get("size"),
            )
            for each in self.get("versions", ())
        ]
        head = ("version", "deployed (UTC)", "by", "Python", "requirements", "bytes")
        return table("Versions", head, rows)

    def _answers(self, version: Mapping[str, Any]) -> bool:
        return version.get("version") == self.get("current")


def _moment(seconds: object) -> object:
    return _EPOCH + timedelta(seconds=seconds) if isinstance(seconds, int | float) else seconds
