# The image holds the command and what it imports: no build tools, no root, nothing that writes to
# the root file system. Its health is for an orchestrator to ask: /livez and /readyz.
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
RUN python3 -m venv /opt/jira-bridge
WORKDIR /src
# The dependencies first: a change to the code alone leaves this layer as it is.
COPY requirements-runtime.lock ./
RUN /opt/jira-bridge/bin/pip install --no-cache-dir --require-hashes --requirement requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY bridge ./bridge
COPY tests/samples ./tests/samples
RUN /opt/jira-bridge/bin/pip install --no-cache-dir --no-deps . \
 && /opt/jira-bridge/bin/pip uninstall --yes --quiet pip

FROM ${BASE}
COPY --from=build /opt/jira-bridge /opt/jira-bridge
ENV PATH=/opt/jira-bridge/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# A number and no name, so that Kubernetes sees that it is not root's.
RUN install --directory --owner 10001 --group 10001 /var/lib/jira-bridge
USER 10001:10001
# Where the ledger of the default configuration goes; the only place that a worker writes to.
WORKDIR /var/lib/jira-bridge
EXPOSE 8080 8081
ENTRYPOINT ["jira-bridge"]
CMD ["--help"]
