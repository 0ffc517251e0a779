"""E-mail addresses as names of accounts. Core room."""

import re
import unicodedata

MAX_EMAIL_CHARACTERS = 254
"""RFC 5321 §4.5.3.1.3: a path has 256 octets, and its angle brackets are two of them."""

_ADDRESS = re.compile(r"[^\s@\x00-\x1f\x7f\ud800-\udfff]{1,64}@[^\s@\x00-\x1f\x7f\ud800-\udfff]{1,253}")
"""Whether an address works, only a mail can tell; this keeps out what is none or cannot be stored."""


def normalised_email(text: str) -> str | None:
    """The one spelling of an address by which accounts are told apart; None for what is no address.

    The local part is folded too: RFC 5321 §2.4 lets hosts tell its cases apart, and none that matters does,
    while two accounts that differ in case alone would be mistaken for each other.
    """
    address = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.strip()).lower())
    if len(address) > MAX_EMAIL_CHARACTERS or not _ADDRESS.fullmatch(address):
        return None
    return address
