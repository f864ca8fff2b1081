# Sourced after common.sh and venv.sh: what comes from Maven's index, and Spark. It lies in build/kafka and
# build/spark, and is fetched anew when the pom.xml that names it changes.
kafka=$root/build/kafka
spark=$root/build/spark

# ensure_jars FOLDER POM WHAT: fetches the jars that POM names to FOLDER/jars if need be.
ensure_jars() {
  local folder=$1 wanted=$2 log
  if cmp -s "$wanted" "$folder/made-of" && compgen -G "$folder/jars/*.jar" >/dev/null; then return 0; fi
  say "fetching $3 into ${folder#"$root/"}"
  rm -f "$folder/made-of"  # first: what is broken off here is not whole
  rm -rf "$folder"
  mkdir -p "$folder"
  log=$(mktemp)
  if ! mvn -q -B -f "$wanted" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$folder/jars" >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -rf "$folder"
    die 1 "$3 could not be fetched (network? maven? all of its output: $log)"
  fi
  rm -f "$log"
  cp "$wanted" "$folder/made-of"
}

# ensure_kafka: the server that tests start (54 MB).
ensure_kafka() { ensure_jars "$kafka" "$root/tests/support/kafka/pom.xml" "the Kafka server"; }

# ensure_spark: Spark in build/venv (450 MB), and its connector to Kafka. ensure_venv comes first.
ensure_spark() {
  local wanted=$root/tests/spark/requirements.txt log
  ensure_jars "$spark" "$root/tests/support/spark/pom.xml" "Spark's connector to Kafka"
  if cmp -s "$wanted" "$venv/spark-made-of" && venv_has pyspark; then return 0; fi
  say "adding Spark to build/venv (450 MB)"
  log=$(mktemp)
  # --force-reinstall: what was broken off before may look whole to pip.
  if ! "$venv/bin/python" -m pip install -q --no-input --disable-pip-version-check --force-reinstall -r "$wanted" \
    >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    die 1 "Spark could not be installed into build/venv (network? all of its output: $log)"
  fi
  rm -f "$log"
  cp "$wanted" "$venv/spark-made-of"
}
