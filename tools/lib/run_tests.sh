# Sourced by tools/test, after common.sh: builds and runs one kind of build after the other, and counts.
# Reads $name, $fast and $long; adds to $passed, $failed and $skipped, which count test cases.
passed=0 failed=0 skipped=0

# count_catch LOG: prints "passed failed skipped" from the last summary Catch2 wrote, "0 0 0" without one.
# A test that cannot run here warns with "skipped: why" (Catch2 before version 3 has no word for that).
count_catch() {
  awk '
    /^All tests passed \(/ { for (i = 2; i <= NF; i++) if ($i == "test") p = $(i - 1); f = 0; s = 0 }
    /^test cases:/ {
      p = f = s = 0
      n = split($0, part, "|")
      for (i = 2; i <= n; i++) {
        split(part[i], word, " ")
        if (word[2] == "passed") p = word[1]
        if (word[2] == "failed" && part[i] !~ /as expected/) f = word[1]
        if (word[2] == "failed" && part[i] ~ /as expected/) p += word[1]
        if (word[2] == "skipped") s = word[1]
      }
    }
    /^No tests ran/ { p = f = s = 0 }
    /^ *skipped: / { warned++ }
    END { if (warned > p) warned = p; print p - warned, f + 0, s + warned }' "$1"
}

# report BUILD TEST SECONDS PASSED FAILED SKIPPED LOG: one line, and the log of what failed.
report() {
  passed=$((passed + $4)) failed=$((failed + $5)) skipped=$((skipped + $6))
  printf '%-8s %-24s %5d passed' "$1" "$2" "$4"
  [ "$5" = 0 ] || printf ', %d FAILED' "$5"
  [ "$6" = 0 ] || printf ', %d skipped' "$6"
  printf '  (%d s)\n' "$3"
  if [ "$5" != 0 ]; then
    sed 's/^/    /' "$7"
  elif [ "$6" != 0 ]; then
    sed -n 's/^ *skipped: /    skipped: /p' "$7" | sort -u
  fi
}

# is_area NAME: whether tests/NAME becomes the binary tests_NAME.
is_area() {
  case $1 in "" | support | fuzz | install_consumer | */*) return 1 ;; esac
  compgen -G "$root/tests/$1/*.cpp" >/dev/null
}

# targets_of_name: what $name needs of a build.
targets_of_name() { if is_area "$name"; then echo "tests_$name"; else echo all; fi; }

# build_behind BUILD: begins a build and goes on; suite BUILD waits for it. The tests that run meanwhile mostly wait.
behind='' behind_pid='' behind_log=$root/build/behind.log
build_behind() {
  behind=$1
  mkdir -p "$root/build"
  say "building $1 meanwhile"
  nice "$root/tools/build" --yes --preset "$1" --tests "$(targets_of_name)" >"$behind_log" 2>&1 </dev/null &
  behind_pid=$!
  trap 'pkill -P "$behind_pid" 2>/dev/null || true' EXIT  # when the tests are broken off
}

# build BUILD: false when it fails.
build() {
  say "building $1"
  if [ "$1" != "$behind" ]; then
    "$root/tools/build" --yes --preset "$1" --tests "$(targets_of_name)"
  elif ! wait "$behind_pid"; then
    tail -n 40 "$behind_log" >&2
    return 1
  fi
}

# suite BUILD WITHOUT EXTRA [NEXT]: builds and runs, and begins to build NEXT before it runs. WITHOUT and EXTRA
# are Catch2 tag expressions; EXTRA is added.
suite() {
  local build=$1 without=$2 extra=$3 dir=$root/build/$1 area
  if ! build "$build"; then
    failed=$((failed + 1))
    return 0
  fi
  [ -z "${4:-}" ] || build_behind "$4"
  mkdir -p "$dir/test-logs"
  export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  export TSAN_OPTIONS=halt_on_error=1
  if [ "$(targets_of_name)" != all ]; then
    run_catch "$build" "$name" "$without${extra:+,$extra}"
    return 0
  fi
  for area in "$root"/tests/*/; do
    area=$(basename "$area")
    [ -x "$dir/tests/tests_$area" ] || continue
    run_catch "$build" "$area" "$(catch_filter "$without" "$extra")"
  done
  run_others "$build"
}

# catch_filter WITHOUT EXTRA: the Catch2 test specification for $name.
catch_filter() {
  if [ -z "$name" ]; then
    echo "$1${2:+,$2}"
  else
    [ -z "$2" ] || set -- "${1#'~[.]'}"
    echo "\"*$name*\"$1$([[ $name =~ [^A-Za-z0-9_-] ]] || echo ",[$name]$1")"
  fi
}

# run_catch BUILD AREA FILTER
run_catch() {
  local dir=$root/build/$1 log=$root/build/$1/test-logs/$2.log code=0 begin=$SECONDS counts run=()
  # The thread sanitizer of gcc 12 does not know the memory layouts of newer kernels.
  if [ "$1" = tsan ] && setarch "$(uname -m)" -R true 2>/dev/null; then run=(setarch "$(uname -m)" -R); fi
  (cd "$dir/tests" && "${run[@]}" timeout -k 10 "$([ -n "$long" ] && echo 6h || echo 20m)" \
    "./tests_$2" "$3") >"$log" 2>&1 </dev/null || code=$?
  read -ra counts < <(count_catch "$log")
  if [ "$code" != 0 ] && [ "${counts[1]}" = 0 ]; then
    counts[1]=1
    echo "tests_$2 ended with code $code $([ "$code" != 124 ] || echo '(out of time)')" >>"$log"
  fi
  [ "${counts[*]}" = '0 0 0' ] || report "$1" "$2" $((SECONDS - begin)) "${counts[@]}" "$log"
}

# run_others BUILD: what ctest knows and Catch2 does not, each a test case. Under a sanitizer the fuzz corpora.
run_others() {
  local dir=$root/build/$1 test log code begin
  while read -r test; do
    [ ! -x "$dir/tests/tests_$test" ] || continue
    [ "$1" = release ] || [[ $test == fuzz_corpus_* ]] || continue
    [ -z "$name" ] || [[ ${test,,} == *"${name,,}"* ]] || continue
    log=$dir/test-logs/$test.log code=0 begin=$SECONDS
    ctest --test-dir "$dir" -R "^$test\$" --output-on-failure >"$log" 2>&1 </dev/null || code=$?
    if grep -q '\*\*\*Skipped' "$log"; then
      report "$1" "$test" $((SECONDS - begin)) 0 0 1 "$log"
    else
      report "$1" "$test" $((SECONDS - begin)) $((code == 0)) $((code != 0)) 0 "$log"
    fi
  done < <(ctest --test-dir "$dir" -N ${fast:+-LE server} | sed -n 's/^ *Test *#[0-9]*: //p')
}

# python_suite AREA: tests/AREA with pytest on the package as built in build/release; each test is a test case.
python_suite() {
  local dir=$root/build/release log=$root/build/release/test-logs/$1.log code=0 begin=$SECONDS marks=''
  local -a counts
  say "building the Python package"
  if ! "$root/tools/build" --yes --python millrace_python millrace; then
    failed=$((failed + 1))
    return 0
  fi
  mkdir -p "$dir/test-logs"
  [ -n "$long" ] || marks='not long'
  [ -z "$fast" ] || marks="${marks:+$marks and }not server"
  (cd "$root" && PYTHONPATH=$dir/python PYTHONDONTWRITEBYTECODE=1 MILLRACE_BUILD=$dir \
    timeout -k 10 "$([ -n "$long" ] && echo 2h || echo 20m)" \
    "$root/build/venv/bin/python" -m pytest ${marks:+-m "$marks"} "tests/$1") >"$log" 2>&1 </dev/null || code=$?
  read -ra counts < <(awk '
    / in [0-9.]+s/ { p = f = s = 0
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^passed/) p = $(i - 1)
        if ($i ~ /^failed|^error/) f += $(i - 1)
        if ($i ~ /^skipped/) s = $(i - 1)
      } }
    END { print p + 0, f + 0, s + 0 }' "$log")
  if [ "$code" != 0 ] && [ "${counts[1]}" = 0 ]; then
    counts[1]=1
    echo "pytest ended with code $code $([ "$code" != 124 ] || echo '(out of time)')" >>"$log"
  fi
  report release "$1" $((SECONDS - begin)) "${counts[@]}" "$log"
}

# fuzz SECONDS: every libFuzzer target for so long, as many at once as there are CPUs; a target is a test case.
fuzz() {
  local dir=$root/build/fuzz target
  say "building fuzz"
  if ! "$root/tools/build" --yes --preset fuzz all; then
    failed=$((failed + 1))
    return 0
  fi
  mkdir -p "$dir/test-logs" "$dir/findings"
  for target in "$dir"/tests/fuzz/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
    fuzz_one "$target" "$1" &
  done
  wait || true
  for target in "$dir"/test-logs/fuzz_*.result; do
    [ -f "$target" ] || continue
    log=${target%.result}.log
    report fuzz "$(basename "$target" .result)" "$1" $(($(<"$target") == 0)) $(($(<"$target") != 0)) 0 "$log"
  done
}

# fuzz_one TARGET SECONDS: new inputs go to the build folder, findings to findings/.
fuzz_one() {
  local target=$1 base corpus code=0
  base=$(basename "$target")
  corpus=$root/build/fuzz/corpus/$base
  mkdir -p "$corpus"
  "$target" -max_total_time="$2" -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 \
    -artifact_prefix="$root/build/fuzz/findings/$base-" "$corpus" "$root/tests/fuzz/corpus/${base#fuzz_}" \
    >"$root/build/fuzz/test-logs/$base.log" 2>&1 </dev/null || code=$?
  echo "$code" >"$root/build/fuzz/test-logs/$base.result"
}
