# One image for every pool: `docker run millrace start persist`. No build step: Node 24 runs the TypeScript as it is.
# Postgres and Redis come from outside (docker-compose.yml): --omit=optional leaves the embedded Postgres behind.

# Nothing among the packages belongs to a processor: they are fetched once, on the builder's own, for every platform. Types and
# source maps, a third of them, are for those who develop.
FROM --platform=$BUILDPLATFORM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund && \
    find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete && \
    mkdir /data

# Copies only, so that an image for another processor is built without emulating it.
FROM node:24-slim
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json ./
COPY api api
COPY cache cache
COPY cli cli
COPY collector collector
COPY dashboard dashboard
COPY domain domain
COPY queues queues
COPY runtime runtime
COPY schema schema
COPY store store
COPY workers workers
# Archive files; every other folder may be read-only. A new volume takes its owner from here.
COPY --from=packages --chown=1000:1000 /data /data
VOLUME /data

ENV NODE_ENV=production \
    MILLRACE_DATA_DIR=/data \
    MILLRACE_HOST=0.0.0.0 \
    MILLRACE_METRICS_PORT=9100
EXPOSE 8080 8082 8083 9100
# The user "node", as a number: Kubernetes cannot tell from a name that it is not root.
USER 1000:1000

# Alive = it makes progress; whether its stores answer is /readyz.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9100/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

ENTRYPOINT ["node", "cli/main.ts"]
CMD ["help"]
