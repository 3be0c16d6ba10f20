"""What a server tells about one endpoint."""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

_TIMES = ("creation_time", "last_modified_time")


class EndpointInfo(dict[str, Any]):
    """A dictionary whose entries are attributes too, as TabPy's client has given them.

    Keys as in `GET /endpoints` (`description`, `docstring`, `type`, `version`, `dependencies`,
    `target`, `schema`, `is_public`, ...) and `name`; `creation_time` and `last_modified_time` are
    naive datetimes in UTC.
    """

    @classmethod
    def from_reply(cls, name: str, reply: Mapping[str, Any]) -> "EndpointInfo":
        info = cls(reply, name=name)
        for key in _TIMES:
            if isinstance(info.get(key), int | float):
                info[key] = datetime.fromtimestamp(info[key], timezone.utc).replace(tzinfo=None)
        return info

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"The server told no {key!r} of this endpoint.") from None

    def __setattr__(self, key: str, value: object) -> None:
        self[key] = value
