# The one list of Debian packages the project needs, and how they get onto the machine.
packages_build=(g++ cmake ninja-build ccache pkg-config liburing-dev libboost-dev libfmt-dev libcli11-dev
  libtomlplusplus-dev nlohmann-json3-dev zlib1g-dev libzstd-dev libhiredis-dev
  librdkafka-dev librabbitmq-dev libssl-dev)
packages_tests=(catch2 iproute2 libseccomp-dev)
packages_servers=(maven openjdk-17-jre-headless redis-server rabbitmq-server)
packages_bench=(libbenchmark-dev)
packages_python=(python3 python3-dev python3-venv)
packages_long=(clang-19 libclang-rt-19-dev valgrind)

# missing_packages NAME...: prints those that are not installed, one a line. dpkg-query fails when it does not
# know one of them.
missing_packages() {
  local have
  # shellcheck disable=SC2016  # the braces are dpkg-query's own
  have=$({ dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true; } | sed -n 's/ installed$//p')
  printf '%s\n' "$@" | grep -vxF -e "$have" || true
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
  fi
}

# install_packages NAME...: whatever they bring along as a service of the machine is neither started nor enabled: tests
# start servers of their own. Prints what apt-get says.
install_packages() (
  policy=/usr/sbin/policy-rc.d
  # What Debian's packages ask before they start something; a file that is there already is somebody's decision.
  if [ ! -e $policy ]; then
    trap 'as_root rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin $policy
  fi
  as_root apt-get install -yq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" || exit
  [ -d /run/systemd/system ] || exit 0
  for service in redis-server rabbitmq-server; do
    [[ " $* " != *" $service "* ]] || as_root systemctl --quiet disable "$service" || true
  done
)

# ensure_packages YES NAME...: installs what is missing. Asks first when YES is empty and somebody is there to
# answer.
ensure_packages() {
  local yes=$1 answer missing log
  shift
  if ! command -v dpkg-query >/dev/null; then
    say "no Debian packages here; the build will say what it misses of: $*"
    return 0
  fi
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "to be installed with apt-get: ${missing[*]}"
  if [ -z "$yes" ] && [ -t 0 ]; then
    read -r -p "Install them now? [y/N] " answer
    case $answer in
      y | Y | yes) ;;
      *) die 1 "nothing installed; do it with: apt-get install ${missing[*]}" ;;
    esac
  fi
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die 1 "cannot install without root or sudo; as root: apt-get install ${missing[*]}"
    [ -t 0 ] || sudo -n true 2>/dev/null || die 1 "sudo asks for a password; first run: sudo apt-get install ${missing[*]}"
  fi
  log=$(mktemp)
  as_root apt-get update -q >"$log" 2>&1 || say "apt-get update failed; trying with the package lists there are"
  if ! install_packages "${missing[@]}" >>"$log" 2>&1; then
    tail -n 5 "$log" >&2
    die 1 "apt-get could not install ${missing[*]} (network? all of its output: $log)"
  fi
  rm -f "$log"
}
