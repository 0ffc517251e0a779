"""What each problem code means, for people: the pages at `/problems/<code>`. Core room."""

CATALOGUE: dict[str, tuple[str, str]] = {
    "bad-cursor": (
        "Unknown cursor",
        "Use the `next_cursor` of a list answer as it is, or leave it out to start over.",
    ),
    "bad-request": ("Bad request", "The request could not be understood."),
    "bad-signature": (
        "Bad signature",
        "The URL was changed, its key is out of use, or its file's URLs were revoked. Ask for a new one.",
    ),
    "busy": (
        "Busy",
        "As many passwords wait to be checked as may. Try again after `retry_after_seconds`.",
    ),
    "cors-refused": (
        "Refused to a page of another origin",
        "The origin is not in `MEDIA_CORS_ORIGINS`, or a page may not send this method or header.",
    ),
    "bad-digest-header": (
        "Bad digest header",
        "`Repr-Digest` or `Content-Digest` holds no SHA-256 (RFC 9530).",
    ),
    "body-timeout": (
        "Body timed out",
        "The body stopped to arrive, or came too slowly. Nothing of it was stored; send it again.",
    ),
    "header-timeout": ("Head timed out", "The head of the request did not come in time."),
    "headers-too-large": (
        "Headers too large",
        "The header fields, trailers or chunk extensions of the request are too many or too large.",
    ),
    "malformed-http": ("Malformed request", "The request does not follow HTTP/1.1 (RFC 9112)."),
    "too-many-connections": (
        "Too many connections",
        "The service holds as many connections as it may. Try again soon.",
    ),
    "uri-too-long": ("Address too long", "Path and query have more bytes than `limit`."),
    "append-too-large": (
        "Too much at once",
        "One request may append at most `limit_bytes` bytes. Send the rest with the next one.",
    ),
    "bad-method-override": (
        "Bad method override",
        "A POST to an upload needs an `X-HTTP-Method-Override` of PATCH, DELETE or HEAD.",
    ),
    "bad-patch-type": (
        "Bad type of a PATCH",
        "Bytes come as `application/offset+octet-stream` (tus) or `application/partial-upload` (draft).",
    ),
    "bad-upload-header": ("Bad upload header", "A header of the upload is missing or wrong; see `header`."),
    "checksum-mismatch": (
        "Checksum mismatch",
        "The bytes of the request do not have its `Upload-Checksum`. They were thrown away; send them again.",
    ),
    "final-upload": ("Final upload", "An upload that was joined of others takes no bytes of its own."),
    "inconsistent-upload-length": (
        "Inconsistent length",
        "Two statements about the length of the upload, or its bytes, contradict each other.",
    ),
    "partial-upload-unfinished": (
        "Piece unfinished",
        "One of the partial uploads that are to be joined has not all its bytes yet.",
    ),
    "too-many-partial-uploads": (
        "Too many pieces",
        "An upload token may have 16 partial uploads for each of its files. Join them, or end some.",
    ),
    "unsupported-interop-version": (
        "Unsupported draft version",
        "`versions` lists the versions of the IETF draft that are spoken here.",
    ),
    "unsupported-tus-version": (
        "Unsupported protocol",
        "The request speaks neither tus 1.0.0 (`Tus-Resumable`) nor the IETF draft (`Upload-Complete`).",
    ),
    "upload-exceeds-length": (
        "More bytes than announced",
        "The request has more bytes than the upload's length leaves. None of the excess was stored.",
    ),
    "upload-expired": ("Upload expired", "The upload was not continued in time. Begin a new one."),
    "upload-locked": (
        "Upload locked",
        "Another request of this upload is at work and did not end in time. Try again.",
    ),
    "upload-not-found": ("No such upload", "The upload is unknown, ended, or not yours to see."),
    "upload-offset-mismatch": (
        "Offset mismatch",
        "The bytes do not begin where the upload ends; `expected-offset` says where that is.",
    ),
    "upload-taken-over": (
        "Upload taken over",
        "A newer request for the same upload has ended this one. What arrived in time is kept.",
    ),
    "body-too-large": (
        "Body too large",
        "A body that is no file has more than `limit_bytes` bytes.",
    ),
    "database-unavailable": (
        "Database unavailable",
        "The service cannot reach its database. Try again later.",
    ),
    "digest-mismatch": (
        "Digest mismatch",
        "The bytes that arrived do not have the SHA-256 that was sent with them. Nothing was stored.",
    ),
    "email-taken": ("Address taken", "Another account has this e-mail address."),
    "field-too-large": ("Field too large", "A text field of the form is too large. A file needs a filename."),
    "file-too-large": ("File too large", "The file is larger than `limit_bytes`. Nothing of it was stored."),
    "invalid-credentials": (
        "Invalid credentials",
        "The API key or token is not good (any more), or the password is not that of the account.",
    ),
    "invalid-refresh-token": (
        "Invalid refresh token",
        "The refresh token is unknown, used or over. One that is used twice ends its login: log in again.",
    ),
    "invalid-scope": (
        "Invalid scope",
        "The login asks for a scope that the account does not have; `scopes` lists those that it has.",
    ),
    "invalid-request": ("Invalid request", "Some values are missing or wrong; `errors` names each of them."),
    "bad-idempotency-key": (
        "Bad Idempotency-Key",
        "The header has 1 to 255 visible ASCII characters without spaces; a UUID is a good key.",
    ),
    "idempotency-in-flight": (
        "Still running",
        "A request with the same `Idempotency-Key` has not ended. Wait for its answer, or try again.",
    ),
    "idempotency-key-reused": (
        "Key used before",
        "The `Idempotency-Key` was used for a request with another query, other fields or other files.",
    ),
    "idempotent-file-deleted": (
        "Uploaded and deleted",
        "The request was done before under this `Idempotency-Key`, and what it made was deleted since.",
    ),
    "import-address-refused": ("Address refused", "The URL leads to an address that is not public."),
    "import-refused": ("Import refused", "The other server does not give the file, or not in a usable form."),
    "import-too-slow": ("Import too slow", "The file did not come within `MEDIA_IMPORT_TIMEOUT`."),
    "import-unreachable": (
        "Server unreachable",
        "The other server did not answer, or broke off, many times.",
    ),
    "import-url-refused": ("URL refused", "Only plain http and https URLs of public servers are imported."),
    "imports-disabled": ("Imports disabled", "Imports are off unless `MEDIA_IMPORT_ENABLED` is true."),
    "internal-error": (
        "Internal error",
        "Something broke that should not. The log has the details under the `request_id`.",
    ),
    "key-of-a-setting": (
        "Key of a setting",
        "`MEDIA_ADMIN_API_KEY` names this key, which would be back at the next start. Change the setting.",
    ),
    "last-admin": (
        "Last admin",
        "The only enabled admin cannot be disabled, demoted or deleted. Make another one first.",
    ),
    "malformed-json": ("Malformed JSON", "The body is not valid JSON."),
    "malformed-multipart": (
        "Malformed multipart body",
        "The body does not follow multipart/form-data (RFC 7578): no boundary, or a broken part.",
    ),
    "method-not-allowed": ("Method not allowed", "The `Allow` header lists the methods of this address."),
    "missing-credentials": (
        "Credentials needed",
        "Send an API key or an access token as `Authorization: Bearer`, or an API key as `X-API-Key`.",
    ),
    "missing-scope": (
        "Missing scope",
        "The credential is valid, but lacks the scope that `scope` names. An upload token has none.",
    ),
    "no-file": ("No file in the form", "The form has no part with a file. With curl: `-F file=@photo.jpg`."),
    "not-found": ("Not found", "Nothing is at this address, or it is not yours to see."),
    "not-a-login": ("Not a login", "An API key has no login that could be ended. Delete the key instead."),
    "not-an-image": ("Not an image", "Only images have renditions."),
    "no-such-part": ("No such part", "Parts are numbered from 1 to `part_count`."),
    "not-hashed": ("Not hashed yet", "A worker has yet to compute the file's SHA-256. Try again soon."),
    "object-not-found": (
        "Bytes not found",
        "The record is there, but not its bytes: the file may just have been deleted.",
    ),
    "part-too-large": ("Part too large", "The part has more than `limit_bytes` bytes."),
    "precondition-failed": (
        "Precondition failed",
        "The resource is not in the state that the request asked for.",
    ),
    "quarantined": ("Quarantined", "The file was found to be harmful and cannot be downloaded."),
    "quota-exceeded": (
        "Quota exceeded",
        "The upload does not fit into what is left (`available_bytes`, `available_files`; null: no limit).",
    ),
    "range-not-satisfiable": ("Range not satisfiable", "The range begins beyond the end of the file."),
    "rate-limited": (
        "Too many requests",
        "More than `limit` requests in `window_seconds`. Wait for `retry_after_seconds` (`Retry-After`).",
    ),
    "record-changed": (
        "Record changed",
        "The record was changed meanwhile. Read it again, then repeat the change.",
    ),
    "registration-disabled": (
        "Registration disabled",
        "Only admins make accounts here (`MEDIA_ALLOW_REGISTRATION` is false).",
    ),
    "rendition-not-found": (
        "No such rendition",
        "The file has no rendition of this name and none is being made.",
    ),
    "rendition-not-ready": (
        "Rendition not ready",
        "The rendition is being made, or could not be; see `file_status`.",
    ),
    "size-mismatch": (
        "Another size than announced",
        "`actual_bytes` came where `expected_bytes` were announced. Send it again, or start anew.",
    ),
    "storage-full": ("Storage full", "The storage has no room left."),
    "storage-unavailable": ("Storage unavailable", "The service cannot reach its storage. Try again later."),
    "too-many-parts": ("Too many parts", "The form has more parts than `limit`."),
    "unknown-preset": ("Unknown preset", "There is no preset of this name; `presets` lists them."),
    "unsupported-media-type": (
        "Unsupported media type",
        "The content of the file (not its name) is of a type that this service does not take.",
    ),
    "unsupported-content-encoding": (
        "Unsupported content encoding",
        "Bytes are stored as they come. Send none of `Content-Encoding` and `Content-Transfer-Encoding`.",
    ),
    "upload-lost": ("Upload lost", "The storage does not know the upload any more. Start a new one."),
    "upload-interrupted": ("Upload interrupted", "The service paused for too long. Send the upload again."),
    "upload-parts-mismatch": (
        "Parts do not fit",
        "The parts of the upload do not make up one file. Send it again.",
    ),
    "upload-token-exhausted": (
        "Upload token used up",
        "The token is good for `remaining_files` more files, and this upload has more. Ask for a new token.",
    ),
    "url-expired": ("URL expired", "Signed URLs end at the time they were made for. Ask for a new one."),
    "wrong-password": (
        "Wrong password",
        "To change e-mail address or password, send the password until now as `current_password`.",
    ),
}


def title_of(code: str) -> str:
    """The short name of a problem; it never changes for a code (RFC 9457 §3.1.3)."""
    return CATALOGUE[code][0] if code in CATALOGUE else code.replace("-", " ").capitalize()
