# Screening with the packaged model inside. Nothing is fetched at run time, nothing is written but /out:
#   docker build -t cxr-batch .
#   docker run --rm --network none --read-only --tmpfs /tmp --user "$(id -u):$(id -g)" \
#       -v "$PWD/films:/data:ro" -v "$PWD/out:/out" cxr-batch
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
COPY . /source
RUN python3 -m venv /opt/cxr \
    && /opt/cxr/bin/pip install --no-cache-dir --disable-pip-version-check -c /source/constraints.txt /source

FROM ${BASE}
COPY --from=build /opt/cxr /opt/cxr
ENV PATH=/opt/cxr/bin:$PATH HOME=/tmp
# Numbers, so that it runs where users have no names; --user takes its place where /out belongs to somebody else.
USER 10001:10001
WORKDIR /out
ENTRYPOINT ["cxr-batch"]
CMD ["/data", "-o", "/out/results.csv", "--report", "/out/sheet.html"]
