# The image of hubward. Build: `docker build -t hubward .`
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json

FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && npm cache clean --force

FROM node:24-slim
LABEL org.opencontainers.image.title="hubward" \
      org.opencontainers.image.description="An Envoy sidecar that decides where AI work runs" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json LICENSE ./
COPY proto proto
COPY schemas schemas
COPY envoy envoy
COPY --from=build /build/dist dist
# The two folders that hubward writes to by default: its socket and its state.
RUN mkdir -p /run/hubward /var/lib/hubward && chown node:node /run/hubward /var/lib/hubward \
 && ln -s /app/dist/cli/hubward.js /usr/local/bin/hubward \
 && ln -s /app/dist/simulator/hubward-site.js /usr/local/bin/hubward-site \
 && chmod +x dist/cli/hubward.js dist/simulator/hubward-site.js
USER node
VOLUME /var/lib/hubward
# Asks hubward itself, without a tool that the image would need for this alone. Health towards Envoy goes over gRPC;
# HUBWARD_HEALTH_URL is for an admin address of one's own.
HEALTHCHECK --interval=5s --timeout=2s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(process.env.HUBWARD_HEALTH_URL ?? 'http://127.0.0.1:9470/healthz').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# A young generation of 4 MB halves the memory under load and costs no CPU (docs/benchmarks.md).
ENTRYPOINT ["node", "--max-semi-space-size=4", "/app/dist/cli/hubward.js"]
CMD ["serve", "--config", "/etc/hubward/hubward.yaml"]
