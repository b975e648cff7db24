# The agent's image. Its last stage is one folder, laid out by the script that `make image` uses too.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin driftless
RUN deploy/rootfs.sh /rootfs target/release/driftless /etc/ssl/certs/ca-certificates.crt

FROM scratch
COPY --from=build /rootfs/ /
USER 65532:65532
ENTRYPOINT ["/driftless"]
