# TabPy on Python 3.13, as a user who can write to /state only: docs/deploying.md says how to run it.
FROM python:3.13-slim

RUN useradd --uid 10001 --no-create-home --home-dir /state --shell /usr/sbin/nologin tabpy \
    && install --directory --owner=tabpy --group=tabpy --mode=700 /state

COPY requirements.txt /app/
RUN pip install --no-cache-dir --root-user-action=ignore -r /app/requirements.txt
COPY tabpy /app/tabpy
COPY models /app/models
COPY docs /app/docs
# By it the server knows that /app/models is its own.
COPY pyproject.toml /app/
RUN python -m compileall -q /app

# Users come from /state/tabpypwd.txt or from the environment: none is in the image.
USER tabpy
WORKDIR /state
VOLUME /state
ENV HOME=/state TABPY_STATE_PATH=/state PYTHONPATH=/app PYTHONUNBUFFERED=1 TABPY_PORT=9004
EXPOSE 9004
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", \
    "import os, ssl, urllib.request as u; own = ssl.create_default_context(); own.check_hostname = False; own.verify_mode = ssl.CERT_NONE; u.urlopen(f'{os.environ.get(\"TABPY_TRANSFER_PROTOCOL\", \"http\").lower()}://127.0.0.1:{os.environ[\"TABPY_PORT\"]}/healthz', context=own)"]
CMD ["python", "-m", "tabpy"]
