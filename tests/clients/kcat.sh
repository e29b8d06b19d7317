#!/usr/bin/env bash
# kcat as a person uses it: usage `kcat.sh HOST:PORT`.
# Metadata, every codec and acks, keys and headers, reading from an offset, a time and the end.
set -uo pipefail
broker=$1
name=check-kcat-$$-$(date +%s%N)
failed=0

# check NAME WANTED COMMAND...: the command's output is exactly what is wanted.
check() {
  local check=$1 wanted=$2 got
  shift 2
  if got=$("$@" 2>&1) && [ "$got" = "$wanted" ]; then
    echo "PASS $check"
  else
    failed=1
    echo "FAIL $check got '$(tr '\n' ' ' <<<"$got" | cut -c1-300)'"
  fi
}

cat_() { timeout 30 kcat -b "$broker" "$@"; }
brokers() { cat_ -L | grep -c '^  broker 1 at '; }
topics_in_json() { cat_ -L -J -t "$name" | grep -c "\"topic\":\"$name\""; }
produce() { seq 1 500 | cat_ -P -t "$name" -p 0 "$@"; }
consume() { cat_ -C -t "$name" -p 0 -e -q "$@"; }
# What is acknowledged by the write alone (acks=1) may be visible a moment later: the end is not
# asked for.
round_trip() {
  produce -z "$1" -X acks="$2" && cat_ -C -t "$name" -p 0 -q -o "$offset" -c 500 | cksum
}
keyed() {
  printf 'k1:v1\nk2:\n' | cat_ -P -t "$name-keys" -p 0 -K: -Z -H a=1 -H b=2 &&
    cat_ -C -t "$name-keys" -p 0 -e -q -Z -f '%k=%s@%o[%h];'
}
query() { cat_ -Q -t "$name:0:$1"; }

wanted=$(seq 1 500 | cksum)
offset=0
check metadata 1 brokers
for codec in none gzip snappy lz4 zstd; do
  for acks in 1 all; do
    check "produce_${codec}_$acks" "$wanted" round_trip $codec $acks
    offset=$((offset + 500))
  done
done
check idempotent "$wanted" round_trip gzip all -X enable.idempotence=true
offset=$((offset + 500))
check metadata_as_json 1 topics_in_json
check keys_and_headers 'k1=v1@0[a=1,b=2];k2=NULL@1[a=1,b=2];' keyed
check from_an_offset $'101\n102' consume -o 100 -c 2
check from_a_time 1 consume -o s@1 -c 1
check earliest "$name [0] offset 0" query -2
check latest "$name [0] offset $offset" query -1
exit $failed
