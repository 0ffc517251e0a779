"""Composition root of the API process. API room.

The only place here that sees all settings; every service is built once per process and given what it needs.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
from anyio import to_thread
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from redis.asyncio import Redis

from media_service import __version__
from media_service.auth.api_keys import ApiKeys
from media_service.auth.guesses import Guesses
from media_service.auth.identity import Identity
from media_service.auth.key_usage import KeyUsage
from media_service.auth.keyring import Keyring
from media_service.auth.login_attempts import LoginAttempts
from media_service.auth.logins import Logins
from media_service.auth.models import SigningKey, TokenKey
from media_service.auth.passwords import Passwords
from media_service.auth.registration import Registration
from media_service.auth.router import public_router as auth_router
from media_service.auth.router import router as credentials_router
from media_service.auth.service import AuthService
from media_service.auth.signing import MAX_URL_LIFETIME
from media_service.auth.tokens import AccessTokens
from media_service.backends import create_storage
from media_service.broker.client import Doorbell, JobSender
from media_service.broker.urls import redis_url
from media_service.companion.forms import FormReceiver
from media_service.companion.router import form_router, token_router
from media_service.companion.router import router as companion_router
from media_service.companion.service import CompanionService
from media_service.config import Settings, load_settings
from media_service.database import Database
from media_service.direct.completion import DirectCompletion
from media_service.direct.parts import PartReceiver
from media_service.direct.router import router as direct_router
from media_service.direct.service import DirectUploads
from media_service.direct.transports import PartTransport, PresignedTransport, SignedTransport
from media_service.direct.uploads import DirectUploadFinder
from media_service.downloads.router import router as downloads_router
from media_service.downloads.router import signed_router, signing_router
from media_service.downloads.service import DownloadService
from media_service.files.cache import AnswerCache, cache_client
from media_service.files.descriptions import FileDescriptions
from media_service.files.presentation import FilePresenter
from media_service.files.router import router as files_router
from media_service.files.service import FileService
from media_service.idempotency.service import IdempotencyKeys
from media_service.imports.router import router as imports_router
from media_service.imports.service import ImportService
from media_service.jobs.living_workers import LivingWorkers
from media_service.jobs.router import router as jobs_router
from media_service.jobs.service import JobService
from media_service.migrations import require_newest
from media_service.observability import configure_logging
from media_service.quotas.turns import OwnerTurns
from media_service.rate_limits.limiter import RateLimiter
from media_service.rate_limits.redis_counts import RedisCounts
from media_service.storage.aio import AsyncStorage
from media_service.storage.local_files import DIRECTORY_MODE
from media_service.storage.port import PresignsDownloads, PresignsUploads
from media_service.storage.upload_memory import UploadMemory
from media_service.tus.answers import Links
from media_service.tus.draft_protocol import DraftProtocol
from media_service.tus.protocols import Protocols
from media_service.tus.router import discovery_router as tus_discovery_router
from media_service.tus.router import router as tus_router
from media_service.tus.tus_protocol import TusProtocol
from media_service.upload_tokens.router import router as upload_tokens_router
from media_service.upload_tokens.service import UploadTokens
from media_service.uploads.destinations import StorageDestination
from media_service.uploads.finalizer import Finalizer
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.resumable.appending import Tools
from media_service.uploads.resumable.completion import Completion
from media_service.uploads.resumable.joining import Joining
from media_service.uploads.resumable.locks import UploadLocks
from media_service.uploads.resumable.service import ResumableUploads
from media_service.uploads.router import router as uploads_router
from media_service.uploads.service import UploadService
from media_service.uploads.sessions import UploadSessions
from media_service.users.profile import Profile
from media_service.users.removal import UserRemoval
from media_service.users.router import admin_router as users_router
from media_service.users.router import router as me_router
from media_service.users.service import Users
from media_service.web import health, problem_pages
from media_service.web.body_guard import BodyGuard
from media_service.web.client_address import ClientAddress
from media_service.web.content_coding import IdentityOnly
from media_service.web.cors import install_cors
from media_service.web.docs_pages import install_docs
from media_service.web.head_as_get import HeadAsGet
from media_service.web.head_limits import HeadLimits
from media_service.web.internal_errors import InternalErrors
from media_service.web.lingering_close import LingeringClose
from media_service.web.openapi import DESCRIPTION, TAGS, install_openapi, operation_id
from media_service.web.problems import install_problem_handlers
from media_service.web.rate_limit_fields import RateLimitFields
from media_service.web.request_context import RequestContext
from media_service.web.secure_headers import SecureHeaders

log = structlog.get_logger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; with the settings of the environment if none are given."""
    settings = settings or load_settings()
    configure_logging(role="api", log_format=settings.log_format, level=settings.log_level)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _start(app, settings, stack)
            log.info("api.started", base_url=settings.base_url, storage=settings.storage)
            yield
        log.info("api.stopped")

    app = FastAPIOffline(
        title="Media Service",
        version=__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,  # its links would be built from the Host header
        docs_url=None,  # `install_docs` adds the pages; the offline assets are mounted all the same
        redoc_url=None,
    )
    for router in (
        uploads_router, direct_router, companion_router, token_router, form_router, tus_router,
        tus_discovery_router, imports_router, files_router, downloads_router, signing_router, signed_router,
        jobs_router, auth_router, credentials_router, upload_tokens_router, me_router,
        users_router, health.router, problem_pages.router,
    ):  # fmt: skip
        app.include_router(router)
    install_problem_handlers(app)
    install_openapi(app)
    install_docs(app)
    # The last one added is the outermost: it must see what all the others do.
    app.add_middleware(RateLimitFields)
    app.add_middleware(HeadAsGet)
    app.add_middleware(
        BodyGuard, idle_timeout=settings.body_idle_timeout, min_bytes_per_second=settings.body_min_rate
    )
    app.add_middleware(IdentityOnly)
    app.add_middleware(HeadLimits)
    app.add_middleware(InternalErrors)
    app.add_middleware(LingeringClose)
    install_cors(app, settings.cors_origins)
    app.add_middleware(SecureHeaders, is_https=settings.base_url.startswith("https://"))
    app.add_middleware(RequestContext)
    app.add_middleware(ClientAddress, trusted_proxies=settings.trusted_proxies)
    return app


async def _start(app: FastAPI, settings: Settings, stack: AsyncExitStack) -> None:
    """Build every service, in the order of need; the stack takes them down in reverse."""
    await to_thread.run_sync(require_newest, settings.effective_database_url)
    database = Database(settings.effective_database_url, pool_size=settings.database_pool_size)
    stack.push_async_callback(database.close)

    blobs = await to_thread.run_sync(
        lambda: create_storage(settings.storage, s3=settings, data_dir=settings.data_dir)
    )
    storage = AsyncStorage(blobs, concurrency=settings.storage_threads)

    memory = UploadMemory(limit_bytes=settings.upload_memory, spill_dir=settings.spill_dir)
    memory.spill_dir.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)

    bell = Doorbell(JobSender(settings.effective_broker_url), window=settings.lane_window)
    bell.start()
    stack.callback(bell.close)

    sessions = UploadSessions(database, lease=settings.upload_lease)
    sessions.start()
    stack.push_async_callback(sessions.close)

    keys = IdempotencyKeys(database, lease=settings.upload_lease, retention=settings.idempotency_retention)
    keys.start()
    stack.push_async_callback(keys.close)

    auth = AuthService(database)
    wanted_key = settings.admin_api_key.get_secret_value() if settings.admin_api_key else None
    announce_key(await auth.ensure_admin(wanted_key))

    _start_rate_limits(app, settings, stack)
    await _start_accounts(app, settings, database, stack)
    app.state.storage = storage
    app.state.upload_memory = memory
    app.state.presenter = FilePresenter(settings.base_url)
    app.state.jobs = JobService(database)
    turns = OwnerTurns()
    policy = UploadPolicy(settings.max_file_size, settings.allowed_types)
    app.state.upload_tokens = UploadTokens(database, policy=policy)
    destination = StorageDestination(storage, sessions=sessions, policy=policy, memory=memory)
    finalizer = Finalizer(
        database=database,
        sessions=sessions,
        bell=bell,
        job_max_attempts=settings.job_max_attempts,
        turns=turns,
    )
    url_keys = Keyring(database, SigningKey, lifetime=MAX_URL_LIFETIME)
    app.state.uploads = UploadService(
        database=database,
        storage=storage,
        policy=policy,
        destination=destination,
        keys=keys,
        finalizer=finalizer,
        turns=turns,
    )
    _start_direct(
        app,
        settings,
        _DirectTools(database, storage, url_keys, memory, policy, finalizer),
        presigner=blobs if isinstance(blobs, PresignsUploads) else None,
    )
    app.state.imports = ImportService(
        database=database,
        bell=bell,
        is_enabled=settings.import_enabled,
        ports=settings.import_ports,
        job_max_attempts=settings.job_max_attempts,
    )
    tools = Tools(storage, memory, policy, Completion(storage=storage, finalizer=finalizer))
    joining = Joining(storage=storage, policy=policy, destination=destination, finalizer=finalizer)
    app.state.resumable = _start_resumable(settings, database, stack, tools, joining)
    app.state.files = FileService(
        database=database, bell=bell, presets=settings.presets, job_max_attempts=settings.job_max_attempts
    )
    await _start_descriptions(app, settings, stack)
    app.state.downloads = DownloadService(
        database=database,
        keyring=url_keys,
        presigner=blobs if isinstance(blobs, PresignsDownloads) else None,
        presets=settings.presets,
        base_url=settings.base_url,
    )
    redis = Redis.from_url(
        redis_url(settings.effective_redis_url), socket_timeout=2, socket_connect_timeout=2
    )
    stack.push_async_callback(redis.aclose)

    async def check_redis() -> None:
        await redis.ping()

    app.state.required_checks = {"database": database.check, "storage": storage.check}
    app.state.optional_checks = {"redis": check_redis}
    app.state.missing_layers = LivingWorkers(database).missing_layers


def _start_rate_limits(app: FastAPI, settings: Settings, stack: AsyncExitStack) -> None:
    """Limits that all processes share by Redis. Nothing is asked of it yet: it may be away."""
    counts = RedisCounts(redis_url(settings.effective_redis_url), patience=settings.rate_limit_patience)
    stack.push_async_callback(counts.close)
    limiter = RateLimiter(counts, settings.limits())
    app.state.rate_limiter = limiter
    app.state.guesses = Guesses(limiter)
    app.state.login_attempts = LoginAttempts(limiter, counts)


async def _start_descriptions(app: FastAPI, settings: Settings, stack: AsyncExitStack) -> None:
    """What is shown of files, with the cache if there is to be one."""
    cache = None
    if settings.cache_ttl:
        redis = cache_client(redis_url(settings.effective_redis_url))
        stack.push_async_callback(redis.aclose)
        cache = AnswerCache(redis, ttl=settings.cache_ttl)
    app.state.descriptions = FileDescriptions(
        app.state.files, app.state.presenter, cache=cache, base_url=settings.base_url
    )


def _start_resumable(
    settings: Settings, database: Database, stack: AsyncExitStack, tools: Tools, joining: Joining
) -> Protocols:
    """Uploads that live on from one request to the next, and the protocols that speak of them."""
    locks = UploadLocks(
        database,
        lease=settings.resumable_lock_lease,
        patience=settings.resumable_lock_wait,
        lifetime=settings.resumable_ttl,
    )
    locks.start()
    stack.push_async_callback(locks.close)
    uploads = ResumableUploads(
        database=database, locks=locks, tools=tools, joining=joining, lifetime=settings.resumable_ttl
    )
    links = Links(settings.base_url)
    draft = DraftProtocol(
        uploads,
        links,
        versions=settings.resumable_interop_versions,
        max_append_bytes=settings.resumable_max_append,
        max_age_seconds=int(settings.resumable_ttl.total_seconds()),
    )
    return Protocols(uploads, TusProtocol(uploads, links), draft)


@dataclass(frozen=True, slots=True)
class _DirectTools:
    """What all parts of direct uploads work with."""

    database: Database
    storage: AsyncStorage
    url_keys: Keyring
    memory: UploadMemory
    policy: UploadPolicy
    finalizer: Finalizer


def _start_direct(
    app: FastAPI, settings: Settings, tools: _DirectTools, *, presigner: PresignsUploads | None
) -> None:
    """Uploads that go to the storage itself, or by signed URLs of ours where it cannot take them."""
    database, storage, policy = tools.database, tools.storage, tools.policy
    finder = DirectUploadFinder(database)
    own_urls = SignedTransport(database, tools.url_keys, base_url=settings.base_url)
    transports: dict[bool, PartTransport] = {False: own_urls}
    if presigner is not None:
        transports[True] = PresignedTransport(storage, presigner)
    directs = DirectUploads(
        database=database,
        storage=storage,
        finder=finder,
        transports=transports,
        policy=policy,
        lifetime=settings.direct_upload_ttl,
        url_lifetime=settings.direct_url_ttl,
        part_size_bytes=settings.direct_part_size,
    )
    completion = DirectCompletion(
        database=database,
        storage=storage,
        finder=finder,
        transports=transports,
        policy=policy,
        finalizer=tools.finalizer,
        receipt_retention=settings.idempotency_retention,
    )
    receiver = PartReceiver(
        database=database,
        storage=storage,
        finder=finder,
        keyring=tools.url_keys,
        memory=tools.memory,
        policy=policy,
    )
    app.state.direct_uploads = directs
    app.state.direct_completion = completion
    app.state.part_receiver = receiver
    app.state.form_receiver = FormReceiver(receiver, completion)
    app.state.companion = CompanionService(
        directs=directs,
        completion=completion,
        own_urls=own_urls,
        presenter=FilePresenter(settings.base_url),
        max_file_size_bytes=settings.max_file_size,
    )


async def _start_accounts(
    app: FastAPI, settings: Settings, database: Database, stack: AsyncExitStack
) -> None:
    """Users and their credentials."""
    usage = KeyUsage(database)
    usage.start()
    stack.push_async_callback(usage.close)

    passwords = Passwords(threads=settings.password_threads, max_waiting=settings.password_queue)
    tokens = AccessTokens(issuer=settings.base_url, lifetime=settings.access_token_ttl)
    keyring = Keyring(database, TokenKey, lifetime=settings.access_token_ttl)

    app.state.identity = Identity(database, tokens=tokens, keyring=keyring, usage=usage)
    app.state.logins = Logins(
        database,
        passwords=passwords,
        tokens=tokens,
        keyring=keyring,
        refresh_lifetime=settings.refresh_token_ttl,
    )
    app.state.registration = Registration(
        database,
        passwords=passwords,
        is_open=settings.allow_registration,
        quota_bytes=settings.default_quota_bytes,
        quota_files=settings.default_quota_files,
    )
    app.state.api_keys = ApiKeys(database)
    app.state.users = Users(database, passwords=passwords)
    app.state.user_removal = UserRemoval(database, job_max_attempts=settings.job_max_attempts)
    app.state.profile = Profile(database, passwords=passwords)


def announce_key(key: str | None) -> None:
    """Show a key that was just made, once and outside of the log, which others may keep."""
    if key is not None:
        print(f"\nAdmin API key (shown only this once): {key}\n", flush=True)  # noqa: T201
