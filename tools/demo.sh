#!/usr/bin/env bash
# Builds testdata/go/hello with no daemon, starts it, asks it, shows its size.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
	echo 'demo: starting containers needs root: sudo make demo' >&2
	exit 1
fi

image=hello:demo
port=${PORT:-8080}
while (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
	port=$((port + 1)) # somebody else's
done

show() {
	echo "\$ $*"
	"$@"
}

show dist/birdhouse build testdata/go/hello -t "$image"
echo

echo "\$ dist/birdhouse run -e PORT=$port $image &"
dist/birdhouse run -e "PORT=$port" "$image" &
pid=$!
stop() {
	kill -TERM "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}
trap stop EXIT

for _ in $(seq 100); do
	if answer=$(curl -fsS --noproxy '*' "http://127.0.0.1:$port/" 2>/dev/null); then
		echo "\$ curl http://127.0.0.1:$port/"
		echo "$answer"
		echo
		show dist/birdhouse inspect "$image"
		exit 0
	fi
	if ! kill -0 "$pid" 2>/dev/null; then
		echo 'demo: the program ended before it answered' >&2
		exit 1
	fi
	sleep 0.1
done
echo 'demo: the program did not answer within 10 seconds' >&2
exit 1
