# Sourced by the scripts of this folder: where the project is, and how a script speaks and fails.
set -euo pipefail
export LC_ALL=C.UTF-8

script=${0##*/}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s: %s\n' "$script" "$*" >&2; }
# die CODE WORDS...: one line, and out.
die() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}
# The comment block at the top of the calling script is its help.
show_help() { sed -n '2,/^[^#]/s/^#\( \|$\)//p' "$0"; }
# need_value FLAG COUNT_LEFT: for options that take one.
need_value() { [ "$2" -ge 2 ] || die 2 "$1 needs a value (see --help)"; }
