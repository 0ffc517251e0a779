"""How a Redis that cannot be asked shows. Core room."""

from redis.exceptions import RedisError

REDIS_FAILURES = (RedisError, OSError, RuntimeError)
"""A timeout is an OSError; uvloop says RuntimeError when the other side closed the connection before."""
