"""Keys that somebody else can know: short ones, and those that stand in examples. Core room."""

MIN_CHARACTERS = 20
"""Shorter keys can be guessed; the service's own have 192 random bits."""

MIN_DIFFERENT_CHARACTERS = 8
"""Of 20 random hexadecimal digits one key in two thousand has fewer, of 48 none."""

_EXAMPLES = (
    "changeme", "changethis", "replaceme", "replacethis", "putyour", "yourkey", "yourapikey", "yoursecret",
    "youradmin", "example", "placeholder", "password", "insecure", "defaultkey", "defaultsecret",
    "supersecret", "12345678", "abcdefgh", "qwertyui",
)  # fmt: skip
"""What people write where a secret should be, without its separators."""

_CURE = "make a random one, for example with: openssl rand -hex 24"


def weakness_of(key: str) -> str | None:
    """Why a key must not be used, as the end of a sentence that begins with its name; None if it may."""
    if len(key) < MIN_CHARACTERS or not key.isascii() or not key.isprintable() or " " in key:
        return f"must have at least {MIN_CHARACTERS} printable ASCII characters and no space"
    if len(set(key)) < MIN_DIFFERENT_CHARACTERS or key in (key + key)[1:-1]:
        return f"repeats itself; {_CURE}"
    bare = "".join(character for character in key.lower() if character.isalnum())
    if any(example in bare for example in _EXAMPLES):
        return f"looks like the placeholder of an example; {_CURE}"
    return None
