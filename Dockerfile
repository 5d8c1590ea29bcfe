# The frontend image, from what `make build` put into dist/. It uses no other
# image. `--build-context catalog=DIR` makes it carry DIR/catalog.lock.

FROM scratch AS catalog
COPY --chmod=0644 catalog/catalog.lock /catalog.lock

FROM scratch
ARG TARGETARCH
COPY --link --chmod=0755 dist/linux_${TARGETARCH}/frontend dist/linux_${TARGETARCH}/steps /
COPY --link --chmod=0644 --from=catalog /catalog.lock /catalog.lock
LABEL moby.buildkit.frontend.network.none="true" \
      moby.buildkit.frontend.caps="moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts,moby.buildkit.frontend.gitquerystring,moby.buildkit.frontend.contexts.zstd"
ENTRYPOINT ["/frontend"]
