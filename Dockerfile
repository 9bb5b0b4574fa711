# Director in a container: built and run on Debian 13.
FROM debian:trixie-slim AS build
WORKDIR /src
# ./dev knows the packages; copied first, so that a change of the sources does not fetch them again.
COPY dev ./
RUN ./dev setup
COPY . .
RUN cmake --preset release && cmake --build --preset release --target director \
  && strip build/release/director

FROM debian:trixie-slim
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    ca-certificates libcpp-httplib0.18 libfmt10 libplist-2.0-4 libpq5 libpqxx-7.10 libprometheus-cpp-core1.0 \
    libsimdjson25 libspdlog1.15 libsqlite3-0 libssl3t64 libstdc++6 libyaml-cpp0.8 \
  && rm -rf /var/lib/apt/lists/* \
  && groupadd --gid 10001 director \
  && useradd --uid 10001 --gid director --no-create-home --home-dir /var/lib/director --shell /usr/sbin/nologin director \
  && install -d -o director -g director -m 0700 /var/lib/director
COPY --from=build /src/build/release/director /usr/local/bin/director
# A missing library must break the build of the image, not its first start.
RUN director --version
USER director
WORKDIR /var/lib/director
VOLUME /var/lib/director
ENV DIRECTOR_LISTEN=0.0.0.0:7080 \
    DIRECTOR_DATABASE=/var/lib/director/director.db
EXPOSE 7080
# Asks the API, and with it the database. Needs DIRECTOR_TOKEN_FILE or DIRECTOR_TOKEN, and DIRECTOR_URL where the
# address is not http://127.0.0.1:7080.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["director", "status"]
ENTRYPOINT ["director"]
CMD ["serve"]
