# The CPU server: the same install as `make serve`, without a compiler, as a user of its own.
#
#   docker build --tag fathom . && docker run --rm -p 8000:8000 -p 8001:8001 fathom
FROM python:3.11-bookworm AS install
WORKDIR /fathom
COPY Makefile pyproject.toml constraints.txt README.md LICENSE ./
COPY fathom fathom
RUN make .venv/.ready PYTHON=/usr/local/bin/python3

FROM python:3.11-slim-bookworm AS cpu
RUN useradd --uid 10001 --create-home fathom
WORKDIR /fathom
COPY --from=install /fathom/.venv .venv
COPY fathom fathom
COPY server server
COPY model_repository model_repository
# The only thing the server writes: compiled models, so that a restart takes a second.
RUN install --directory --owner=fathom .cache
USER 10001
ENV FATHOM_HOST=0.0.0.0 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD [".venv/bin/python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT [".venv/bin/python", "-m", "server"]
