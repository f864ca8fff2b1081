# Sourced by tools/build, after common.sh: the profile that the preset pgo is guided by, in build/pgo-generate/profile.
profile=$root/build/pgo-generate/profile

# ensure_profile: makes it when there is none, or the program whose profile it is was built anew.
ensure_profile() {
  local millrace=$root/build/pgo-generate/millrace
  "$root/tools/build" --yes --preset pgo-generate || exit
  if [ "$profile/complete" -nt "$millrace" ]; then return 0; fi
  say "running what the profile is made of"
  rm -rf "$profile"
  local code=0
  train "$millrace" || code=$?
  [ "$code" != 130 ] || die 130 "interrupted"
  [ "$code" = 0 ] || die 1 "no profile could be made (see the message above)"
  # Whatever differs from one profile to the next; cmake/profile.cmake makes a name of it.
  date +%s.%N >"$profile/complete"
}

# train MILLRACE: simulated days replayed, converted to records and, where this host has multicast on lo, received live.
# Ends with 130 when it is interrupted.
train() (
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  # An interrupted millrace ends with its report, and the shell would go on.
  trap 'exit 130' INT TERM
  for venue in nasdaq-itch50 iex-deep; do
    train_with "$1" "$venue" "$dir/day.pcapng" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
  done
  "$root/tools/demo" --yes --preset pgo-generate >/dev/null || code=$?
  case ${code:-0} in
    0) ;;
    130) exit 130 ;;
    *) say "the demo did not run here (see above); the profile leaves live receiving out" ;;
  esac
)

# train_with MILLRACE VENUE CAPTURE
train_with() {
  "$1" sim --venue "$2" --messages 1000000 --capture "$3" &&
    "$1" replay "$3" --venue "$2" &&
    "$1" convert "$3" --venue "$2" -o "${3%.*}.dbn"
}
