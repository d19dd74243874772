# One image for everything; what it runs is the command. deploy/single/compose.yaml uses it.

# Installed here: the versions of requirements.lock and no others, and only those that run.
FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
COPY pyproject.toml requirements.lock README.md ./
# An older pip does not take the hashes of a file of constraints.
RUN python -m venv .venv && .venv/bin/pip install --quiet --upgrade "pip>=26"
RUN python -c "import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], *project['optional-dependencies']['fleet'], sep='\n')" \
      > runtime.txt \
 && .venv/bin/pip install --require-hashes --constraint requirements.lock \
      --requirement runtime.txt \
 && rm runtime.txt
COPY cli.py scheduler.py alembic.ini .env.example ./
COPY alembic alembic
COPY course course
COPY templates templates
RUN echo "setuptools>=77" > build.txt \
 && .venv/bin/pip install --require-hashes --constraint requirements.lock --requirement build.txt \
 && .venv/bin/pip install --no-deps --no-build-isolation --editable . \
 && .venv/bin/pip uninstall --yes setuptools pip \
 && rm build.txt \
 && .venv/bin/python -m compileall -q course cli.py scheduler.py

# Runs: Python, the program, and a user who may write into /home/minicourse alone.
FROM python:3.12-slim
RUN useradd --uid 10001 --create-home minicourse
COPY --from=build /app /app
ENV MINICOURSE_HOME=/home/minicourse PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /home/minicourse
USER minicourse
RUN mkdir lessons
VOLUME /home/minicourse
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", \
  "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["minicourse", "up", "--host", "0.0.0.0", "--port", "8000"]
