# One image for every pool: `docker run millrace start persist`. No build step: Node 24 runs the TypeScript as it is.
# Postgres and Redis come from outside (docker-compose.yml): --omit=optional leaves the embedded Postgres behind.

FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

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
RUN mkdir /data && chown node:node /data
VOLUME /data

ENV NODE_ENV=production \
    MILLRACE_DATA_DIR=/data \
    MILLRACE_HOST=0.0.0.0 \
    MILLRACE_METRICS_PORT=9100
EXPOSE 8080 8082 8083 9100
USER node

# Alive = it makes progress; whether its stores answer is /readyz.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9100/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

ENTRYPOINT ["node", "cli/main.ts"]
CMD ["help"]
