# Sourced after common.sh: the jars of the Kafka server that tests start. They lie in build/kafka and are
# fetched anew when tests/support/kafka/pom.xml changes.
kafka=$root/build/kafka

# ensure_kafka: fetches them if need be (54 MB).
ensure_kafka() {
  local wanted=$root/tests/support/kafka/pom.xml log
  if cmp -s "$wanted" "$kafka/made-of"; then return 0; fi
  say "fetching the Kafka server into build/kafka"
  rm -rf "$kafka"
  mkdir -p "$kafka"
  log=$(mktemp)
  if ! mvn -q -B -f "$wanted" dependency:copy-dependencies -DoutputDirectory="$kafka/jars" >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -rf "$kafka"
    die 1 "the Kafka server could not be fetched (network? maven? all of its output: $log)"
  fi
  rm -f "$log"
  cp "$wanted" "$kafka/made-of"
}
