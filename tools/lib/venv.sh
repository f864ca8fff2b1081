# Sourced after common.sh: the Python that tests, benchmarks and docs run in, with the packages of
# tests/python/requirements.txt. It lies in build/venv and is made anew when those change.
venv=$root/build/venv

# venv_has MODULE...: whether it can import them, as it cannot once a part of it was deleted.
venv_has() { "$venv/bin/python" -c "import $(IFS=,; echo "$*")" >/dev/null 2>&1; }

# interpreter PYTHON: which one that is, under whatever name and in whatever folder it is found.
interpreter() { "$1" -c 'import os, sys; print(sys.version, os.path.realpath(sys.executable))' 2>/dev/null; }

# venv_is_of STAMP: whether it was made of the same. The stamp's second line is the way to an interpreter.
venv_is_of() {
  local kept=$venv/made-of
  [ -f "$kept" ] && [ "$(sed 2d "$kept")" = "$(sed 2d <<<"$1")" ] &&
    [ "$(interpreter "$(sed -n 2p "$kept")")" = "$(interpreter "$(sed -n 2p <<<"$1")")" ]
}

# ensure_venv: makes it if need be. Takes the python3 of the machine, or $PYTHON.
ensure_venv() {
  local python=${PYTHON:-python3} stamp log
  local wanted=$root/tests/python/requirements.txt
  stamp=$("$python" -VV; command -v "$python"; echo "$root"; cat "$wanted")
  if venv_is_of "$stamp" && venv_has numpy pip pyarrow; then return 0; fi
  say "making build/venv (about 900 MB)"
  rm -f "$venv/made-of"  # first: what is broken off here is no venv
  rm -rf "$venv"
  mkdir -p "$root/build"
  log=$(mktemp)
  if ! { "$python" -m venv "$venv" && "$venv/bin/python" -m pip install -q --no-input \
    --disable-pip-version-check -r "$wanted"; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    rm -rf "$venv"
    die 1 "build/venv could not be made (network? python3-venv? all of its output: $log)"
  fi
  rm -f "$log"
  printf '%s\n' "$stamp" >"$venv/made-of"
}
