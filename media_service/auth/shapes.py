"""How credentials are told apart by their looks. Core room: no library, since settings ask too."""

REFRESH_PREFIX = "msr_"


def is_access_token(credential: str) -> bool:
    """Whether a credential has the shape of a JWT: base64url of a JSON object, and two dots."""
    return credential.startswith("eyJ") and credential.count(".") == 2
