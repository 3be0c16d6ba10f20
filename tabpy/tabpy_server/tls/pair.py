"""A certificate and its key, read from their files and found to be fit for use."""

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls import chain
from tabpy.tabpy_server.tls.chain import Dates

CERTIFICATE, KEY = "TABPY_CERTIFICATE_FILE", "TABPY_KEY_FILE"
PHRASE, PHRASE_FILE = "TABPY_KEY_PASSWORD", "TABPY_KEY_PASSWORD_FILE"
DAY = 86400.0  # seconds
# Authorities advise to renew when a third is left: 30 days of 90, two of the six that some give.
SOON, SHARE = 30 * DAY, 1 / 3
# OpenSSL's reasons for a key of another certificate; the last one is for another kind of key.
OTHER_KEY = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


@dataclass(frozen=True)
class Pair:
    """What handshakes are made with: `context` has the key, and so has `for_flight`, for the port
    of Arrow Flight, if there is one. `dates`: from when to when every certificate holds. `gap`,
    `exposed`: warnings of the chain, and of who can read the key."""

    context: ssl.SSLContext
    dates: Dates
    gap: str | None
    exposed: str | None
    for_flight: ssl.SSLContext | None = None

    @property
    def warnings(self) -> list[str]:
        """Return what is no reason not to use it, for the log."""
        return [each for each in (self.gap, self.exposed) if each]

    def expiring(self, now: float) -> str | None:
        """Return a warning from 30 days before a certificate expires; of one that holds for less
        than 90, when a third of its time is left."""
        left = self.dates.ends - now
        if left > min(SOON, SHARE * (self.dates.ends - self.dates.begins)):
            return None
        when = f"on {chain.moment(self.dates.ends)}"
        if left < 0:
            return (
                f"The certificate expired {when}: no client trusts the server until it's renewed."
            )
        days, hours = left / DAY, left / 3600
        time_left = f"{days:.0f} days" if days > 2 else f"{hours:.0f} hours"
        return (
            f"The certificate expires {when}, in {time_left}: renew it. A new one in "
            f"{CERTIFICATE} is taken up without a restart."
        )


@dataclass(frozen=True)
class PassPhrase:
    """What opens an encrypted key, empty for nothing, and the setting that it comes from."""

    text: str = field(repr=False)
    source: str


def load(settings: Settings, now: float) -> Pair:
    """Return what the settings name, if it can be used at `now`.

    Raises StartError, one line that names the setting and what would be right.
    """
    files = {CERTIFICATE: settings.certificate_file, KEY: settings.key_file}
    missing = [key for key, file in files.items() if file is None]
    if settings.certificate_file is None or settings.key_file is None:
        raise StartError(
            f"TABPY_TRANSFER_PROTOCOL is 'https', and {' and '.join(missing)} must be set: the "
            "PEM files of a certificate and of its key."
        )
    ders = _certificates(settings.certificate_file)
    _check_key(settings.key_file)
    files_and_phrase = settings.certificate_file, settings.key_file, _pass_phrase(settings)
    context = _context(settings)
    _load(context, *files_and_phrase)
    for_flight = None
    if settings.arrow_enable:
        for_flight = _context(settings)
        for_flight.set_alpn_protocols(["h2"])  # without which gRPC's clients go away
        _load(for_flight, *files_and_phrase)
    try:
        certificates = chain.read(ders, context)
        dates = chain.check_dates(certificates, now)
    except (ssl.SSLError, ValueError) as error:
        raise StartError(
            f"{CERTIFICATE} is '{settings.certificate_file}', which no client can use: "
            f"{_reason(error)}."
        ) from None
    gap, exposed = chain.gap(certificates, context), _exposed(settings.key_file)
    return Pair(context, dates, gap, exposed, for_flight)


def _context(settings: Settings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion[settings.minimum_tls_version]
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client could have us compute for ever
    # Each web process could only read its own. And OpenSSL 3.5 calls a handshake done whose client
    # has gone before the tickets came, but leaves that error in its queue, where the next call on
    # another connection finds it: Python doesn't empty the queue before a call, and ends that one.
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    return context


def _text(key: str, file: Path) -> str:
    """Return what is in a file that the setting `key` names."""
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        raise StartError(f"{key} is '{file}', but there is no such file.") from None
    except IsADirectoryError:
        raise StartError(f"{key} is '{file}', which is a folder.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StartError(f"{key} is '{file}', which can't be read: {reason}.") from None


def _certificates(file: Path) -> list[bytes]:
    try:
        ders = chain.split(_text(CERTIFICATE, file))
    except ValueError:
        raise StartError(
            f"{CERTIFICATE} is '{file}', in which a certificate is damaged: it isn't base64."
        ) from None
    if not ders:
        raise StartError(
            f"{CERTIFICATE} is '{file}', which holds no certificate in PEM form, a text that "
            "begins with -----BEGIN CERTIFICATE-----; `openssl x509 -inform der` makes it of DER."
        )
    return ders


def _check_key(file: Path) -> None:
    if "PRIVATE KEY-----" not in _text(KEY, file):
        raise StartError(
            f"{KEY} is '{file}', which holds no private key in PEM form, a text that begins with "
            "-----BEGIN PRIVATE KEY----- or alike; `openssl pkey -inform der` makes it of DER."
        )


def _pass_phrase(settings: Settings) -> PassPhrase:
    if settings.key_password_file is None:
        return PassPhrase(settings.key_password, PHRASE)
    if settings.key_password:
        raise StartError(f"{PHRASE} and {PHRASE_FILE} are both set: leave one of them out.")
    try:
        lines = settings.key_password_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it isn't UTF-8"
        raise StartError(
            f"{PHRASE_FILE} is '{settings.key_password_file}', which can't be read: {reason}."
        ) from None
    return PassPhrase(lines[0] if lines else "", PHRASE_FILE)


def _load(context: ssl.SSLContext, certificate: Path, key: Path, phrase: PassPhrase) -> None:
    """Give `context` the certificate and its key; nobody is asked for a pass phrase."""
    is_encrypted = False

    def answer() -> str:
        nonlocal is_encrypted
        is_encrypted = True
        if not phrase.text:
            raise StartError(
                f"{KEY} is '{key}', which is encrypted: put its pass phrase into {PHRASE} in the "
                f"environment, or into a file that {PHRASE_FILE} names."
            )
        return phrase.text

    try:
        context.load_cert_chain(certificate, key, answer)
    except ssl.SSLError as error:
        if error.reason in OTHER_KEY:
            raise StartError(
                f"{KEY} is '{key}', which isn't the key of the first certificate in {CERTIFICATE} "
                f"('{certificate}'): the server's own certificate comes first, and its key is the "
                "one it was requested with."
            ) from None
        if is_encrypted:
            raise StartError(f"{phrase.source} isn't the pass phrase of '{key}' ({KEY}).") from None
        raise StartError(
            f"{CERTIFICATE} ('{certificate}') and {KEY} ('{key}') can't be used: {_reason(error)}."
        ) from None
    except (OSError, ValueError) as error:  # gone since it was looked at; too long a pass phrase
        raise StartError(f"{KEY} is '{key}', which can't be used: {error}.") from None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error.args[-1])


def _exposed(file: Path) -> str | None:
    try:
        mode = file.stat().st_mode
    except OSError:  # it is being replaced
        return None
    if os.name != "posix" or not mode & 0o004:
        return None
    return f"{KEY}: everybody on this machine can read the key. `chmod o= {file}` closes it."
