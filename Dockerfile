# Two images: `api` (Gunicorn over uvicorn; it can decode nothing) and `worker` (the worker and the dispatcher).
#   docker build --target api --tag media-service-api .
#   docker build --target worker --tag media-service-worker .
# Both run as user 10001 on a read-only root file system; /data and the folder for temporary files are mounted.
# docker-compose.yml shows the whole; docs/how-to/docker-compose.md says what was tried.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# Without pip of its own: nothing shall be installed into a running service.
RUN python -m venv --without-pip /opt/venv
WORKDIR /build
COPY infra/docker/finish_packages.py ./


FROM build AS api-packages
COPY requirements/api.txt ./
# The lock is complete and every file in it is checked (--require-hashes), so nothing is left to resolve.
RUN pip --python /opt/venv/bin/python install --no-deps --no-compile --require-hashes -r api.txt \
    && python finish_packages.py /opt/venv


FROM build AS worker-packages
COPY requirements/worker.txt ./
RUN pip --python /opt/venv/bin/python install --no-deps --no-compile --require-hashes -r worker.txt \
    && python finish_packages.py /opt/venv


FROM python:3.13-slim AS runtime
# A number and not only a name: Kubernetes' runAsNonRoot cannot look into /etc/passwd.
RUN groupadd --gid 10001 media \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin media \
    && install --directory --owner=media --group=media --mode=0700 /data /scratch
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MEDIA_HOST=0.0.0.0 \
    MEDIA_DATA_DIR=/data
WORKDIR /app


FROM build AS code
COPY media_service ./media_service
COPY workers ./workers
RUN python finish_packages.py media_service workers


FROM runtime AS worker
COPY --from=worker-packages /opt/venv /opt/venv
COPY --from=code /build/media_service ./media_service
COPY --from=code /build/workers ./workers
# Copies of originals, one for each job at once: more than a tmpfs should hold.
ENV TMPDIR=/scratch
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
    CMD ["python", "-m", "workers", "alive"]
CMD ["python", "-m", "workers", "worker"]


# The last one, so that a build without --target is this one.
FROM runtime AS api
COPY --from=api-packages /opt/venv /opt/venv
COPY --from=code /build/media_service ./media_service
COPY infra/gunicorn ./infra/gunicorn
COPY infra/docker/healthcheck.py ./
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-I", "healthcheck.py"]
CMD ["gunicorn", "--config", "infra/gunicorn/gunicorn.conf.py"]
