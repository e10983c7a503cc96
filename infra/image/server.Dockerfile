# Envoy or memcached alone, for clusters that cannot pull their own images: `infra/image/build --envoy FILE` and
# `--memcached FILE` make the context. The arguments are the same as of those images.
FROM scratch AS config
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY rootfs/ /
USER 65532:65532

FROM config AS envoy
LABEL org.opencontainers.image.title="Envoy for Diptych" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/usr/bin/envoy"]
# Hot restart would need shared memory that a read-only file system has not; at `info` a filter logs ten lines per command.
CMD ["-c", "/etc/envoy/envoy.yaml", "--disable-hot-restart", "-l", "warning"]

FROM config AS memcached
LABEL org.opencontainers.image.title="memcached for Diptych" \
      org.opencontainers.image.licenses="BSD-3-Clause"
ENTRYPOINT ["/usr/bin/memcached"]
