# The gateway and nothing else: no compiler, no root.
#   docker build -t dicomweb-gateway .
#   docker run -p 8080:8080 -p 11112:11112 dicomweb-gateway serve --backend main=ORTHANC@pacs.example.org:104
FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY gateway ./gateway
RUN pip install --no-cache-dir --constraint constraints.txt hatchling \
    && pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m venv /opt/gateway \
    && /opt/gateway/bin/pip install --no-cache-dir --constraint constraints.txt /wheels/*.whl

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin gateway
COPY --from=build /opt/gateway /opt/gateway
# every interface of the container; what is published is decided outside
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GATEWAY__HTTP__LISTEN=0.0.0.0:8080
USER 10001
EXPOSE 8080 11112
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['GATEWAY__HTTP__LISTEN'].rpartition(':')[2] + '/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["dicomweb-gateway"]
CMD ["serve"]
