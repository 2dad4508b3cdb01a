# The image holds nothing but the binary and an empty directory for its state:
#
#   docker build -t kadnode .
#   docker run -p 6881:6881/udp -p 127.0.0.1:9681:9681 -v kadnode:/data kadnode
#
# A DHT of containers on a private network needs --allow-private at every node.

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
# With .git, from which the toolchain notes the version in the binary.
COPY . .
ARG TARGETOS TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags="-s -w" -o /out/kadnode ./cmd/kadnode
RUN mkdir -m 0700 /out/data

FROM scratch
COPY --from=build /out/kadnode /kadnode
# A new volume takes over the owner and the mode of the directory it covers.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
ENV KADNODE_DATA_DIR=/data \
    KADNODE_HTTP=:9681
EXPOSE 6881/udp 9681/tcp
# It asks at KADNODE_HTTP: set that, rather than --http, to serve elsewhere.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s \
    CMD ["/kadnode", "healthcheck"]
ENTRYPOINT ["/kadnode"]
