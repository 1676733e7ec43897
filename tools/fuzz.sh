#!/usr/bin/env bash
# Runs every fuzz target of the tree for a while, one after another.
#
#   tools/fuzz.sh BUDGET MOST
#
# BUDGET is the number of seconds for all targets together; none gets more than
# MOST. A finding ends the run with a failure and leaves its input in the
# package's testdata, where it is to be committed with the fix.
set -euo pipefail

budget=$1 most=$2

# The Go tool can end a target with "context deadline exceeded" when its time
# is up while a worker is still busy. That is no finding; such a run counts.
run() {
	local package=$1 target=$2 log=$3
	go test -run='^$' -fuzz="^$target\$" -fuzztime="${each}s" -fuzzminimizetime=20x \
		-timeout=0 "$package" >"$log" 2>&1 && return 0
	grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input|panic:|DATA RACE' "$log"
}

targets=()
while read -r file; do
	package=./$(dirname "$file")
	while read -r target; do
		targets+=("$package $target")
	done < <(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file")
done < <(git ls-files --cached --others --exclude-standard '*_test.go' | grep -v '^tools/' | sort)

((${#targets[@]})) || { echo "fuzz: no targets" >&2; exit 1; }
each=$((budget / ${#targets[@]}))
((each > most)) && each=$most
((each < 1)) && each=1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for entry in "${targets[@]}"; do
	read -r package target <<<"$entry"
	echo "fuzz $package $target ${each}s"
	run "$package" "$target" "$log" || { cat "$log" >&2; exit 1; }
done
