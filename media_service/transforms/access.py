"""Who may have which image made. Core room.

Whoever may ask for anything may make the workers busy, so a public file alone opens only the presets.
"""

from media_service.auth.scopes import Caller, Scope, missing_credentials, missing_scope
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.access import file_not_found
from media_service.files.lifecycle import Visibility
from media_service.files.models import File
from media_service.transforms.image_spec import ImageSpec


def check_may_render(file: File | None, spec: ImageSpec, caller: Caller | None) -> File:
    """The file, if it may be asked for like this without a signature.

    Raises MediaServiceError: 401 without credentials whether or not there is such a file, else 404 for what
    the caller may not see, 403 for what needs a signature or a scope.
    """
    is_public = file is not None and file.visibility is Visibility.PUBLIC
    if file is not None and is_public and spec.preset is not None:
        return file
    if caller is None:
        raise missing_credentials()
    if file is not None and caller.may_see(file.owner_id):
        if not caller.has(Scope.FILES_READ):
            raise missing_scope(Scope.FILES_READ)
        return file
    if is_public:
        raise MediaServiceError(
            ErrorKind.FORBIDDEN,
            "signature-needed",
            "Of somebody else's public file only presets can be had (p_thumb), or what its owner signed.",
        )
    raise file_not_found()
