"""What every reply tells a browser not to do; programs ignore it."""

from collections.abc import Mapping

RULES: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": (
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not for sites that state.ini allows: theirs are requests by CORS, which it doesn't concern.
    "Cross-Origin-Resource-Policy": "same-origin",
}
