# Envoy alone, for clusters that cannot pull its image: `infra/image/build --envoy FILE` makes the context. Who has a
# registry uses Envoy's own image instead; the arguments below are the same there (compose.yaml, ENVOY_IMAGE).
FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Envoy for Diptych" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY rootfs/ /
USER 65532:65532
ENTRYPOINT ["/envoy"]
# Hot restart would need shared memory that a read-only file system has not; at `info` a filter logs ten lines per command.
CMD ["-c", "/etc/envoy/envoy.yaml", "--disable-hot-restart", "-l", "warning"]
