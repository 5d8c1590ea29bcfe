#!/usr/bin/env bash
# Installs the Debian packages that a set of make targets needs and this machine
# lacks: `tools/setup.sh run|unit|test`. Does nothing where the programs are there.
set -euo pipefail

say() { echo "setup: $*" >&2; }

# The first line of go.mod that reads "go N" is what we need.
need=$(sed -n 's/^go //p' "$(dirname "$0")/../go.mod")
if ! command -v go >/dev/null; then
	say "go is missing: install Go $need or newer (https://go.dev/doc/install) and put it in PATH"
	exit 1
fi
have=$(GOTOOLCHAIN=local go env GOVERSION)
have=${have#go}
if [ "$(printf '%s\n%s\n' "$need" "$have" | sort -V | head -1)" != "$need" ] && [ "$(go env GOTOOLCHAIN)" = local ]; then
	say "Go $have is too old: install Go $need or newer (https://go.dev/doc/install)"
	exit 1
fi

# program=package: the package is installed when the program is not in PATH.
run=(runc=runc curl=curl git=git)
unit=(gcc=gcc git=git javac=default-jdk-headless)
test=("${run[@]}" "${unit[@]}" dockerd=docker.io ssh-agent=openssh-client)
case ${1:-} in
run) wanted=("${run[@]}") ;;
unit) wanted=("${unit[@]}") ;;
test) wanted=("${test[@]}") ;;
*)
	say "usage: setup.sh run|unit|test"
	exit 2
	;;
esac

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=()
for w in "${wanted[@]}"; do
	command -v "${w%%=*}" >/dev/null || missing+=("${w#*=}")
done
# The race detector needs the C library's headers, which gcc does not depend on.
if [[ " ${wanted[*]} " == *" gcc="* ]] && [ ! -e /usr/include/stdlib.h ]; then
	missing+=(libc6-dev)
fi
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		say "missing: ${missing[*]}; install them as root"
		exit 1
	fi
	sudo=(sudo)
fi
if ! command -v apt-get >/dev/null; then
	say "missing: ${missing[*]} (Debian's names); install them with this system's package manager"
	exit 1
fi
say "installing ${missing[*]}"
install=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}")
# Package lists may be missing or too old; fetch them only then.
if ! "${install[@]}" >/dev/null 2>&1 </dev/null; then
	"${sudo[@]}" apt-get update -q >/dev/null </dev/null
	"${install[@]}" >/dev/null </dev/null
fi
