"""The script worker: what a script returned, as the JSON that Tableau takes.

NaN and infinities become null: the bare tokens break Tableau.
"""

import json
from typing import Any

from tabpy.tabpy_server.json_codec import in_ascii
from tabpy.tabpy_tools.unfit import UnfitError
from tabpy.tabpy_tools.values import converted, finite, plain, prepared, quick

__all__ = ["UnfitError", "encode", "plain"]


def encode(value: Any) -> bytes:
    """Return JSON in ASCII. Raises UnfitError for what has no place there."""
    try:
        value = prepared(value)
        encoded = quick(value)
        if encoded is None:
            encoded = json.dumps(converted(value, finite), allow_nan=False).encode()
        return in_ascii(encoded)
    except (MemoryError, RecursionError) as error:
        raise UnfitError(cause=error) from None
