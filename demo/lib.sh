# shellcheck shell=bash disable=SC2034,SC2154 # sourced by demo/run
# What the demo's scenes are told with: colours, times, waiting, and verdicts.

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' yellow=$'\e[33m' blue=$'\e[34m' plain=$'\e[0m'
else
  bold='' dim='' green='' red='' yellow='' blue='' plain=''
fi

# now: seconds, with a fraction. since START: from then to now.
now() { echo "$EPOCHREALTIME"; }
since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN {printf "%.1f", to - from}'; }
export demo_start=${demo_start:-$(now)}

title() { printf '\n%s%s%s\n' "$bold$blue" "$*" "$plain"; }
say() { printf '  %s%s%s\n' "$dim" "$*" "$plain"; }

# step TEXT CMD...: a step of the preparation, with the time it took. Its output is shown only if it fails.
step() {
  local start log text=$1
  start=$(now) log=$work/step.log
  printf '  %s … ' "$text"
  if "${@:2}" >"$log" 2>&1; then
    printf '%s%s s%s\n' "$dim" "$(since "$start")" "$plain"
  else
    printf '%sfailed%s\n' "$red" "$plain"
    tail -40 "$log"
    exit 1
  fi
}

# within SECONDS TEXT CMD...: waits until CMD succeeds. Without an agent nothing is worth waiting for.
within() {
  local limit=$1 text=$2 start
  start=$(now)
  [ -z "${WITHOUT_AGENT:-}" ] || limit=2
  until "${@:3}" >/dev/null 2>&1; do
    if awk -v from="$start" -v to="$EPOCHREALTIME" -v limit="$limit" 'BEGIN {exit !(to - from > limit)}'; then
      printf '  %s✗%s %s %s(not within %s s)%s\n' "$red" "$plain" "$text" "$dim" "$limit" "$plain"
      return 1
    fi
    sleep 0.1
  done
  printf '  %s✓%s %s %s(%s s)%s\n' "$green" "$plain" "$text" "$dim" "$(since "$start")" "$plain"
}

# stays SECONDS TEXT CMD...: CMD succeeds from now on, for that long.
stays() {
  local limit=$1 text=$2 start
  start=$(now)
  [ -z "${WITHOUT_AGENT:-}" ] || limit=1
  while awk -v from="$start" -v to="$EPOCHREALTIME" -v limit="$limit" 'BEGIN {exit !(to - from < limit)}'; do
    if ! "${@:3}" >/dev/null 2>&1; then
      printf '  %s✗%s %s %s(no longer after %s s)%s\n' "$red" "$plain" "$text" "$dim" "$(since "$start")" "$plain"
      return 1
    fi
    sleep 0.3
  done
  printf '  %s✓%s %s %s(watched for %s s)%s\n' "$green" "$plain" "$text" "$dim" "$limit" "$plain"
}

# check TEXT CMD...: CMD succeeds now.
check() {
  local text=$1
  if "${@:2}" >/dev/null 2>&1; then
    printf '  %s✓%s %s\n' "$green" "$plain" "$text"
  else
    printf '  %s✗%s %s\n' "$red" "$plain" "$text"
    return 1
  fi
}

# is EXPECTED CMD...: CMD prints exactly that.
is() { [ "$("${@:2}")" = "$1" ]; }

# scene NAME TITLE: plays the function scene_NAME, and keeps its verdict for the summary.
results=() failed=0 passed=0
scene() {
  local start verdict
  title "$2"
  start=$(now)
  if "scene_$1"; then
    verdict="${green}✓$plain" passed=$((passed + 1))
  else
    verdict="${red}✗$plain" failed=$((failed + 1))
  fi
  results+=("$(printf '%s %-58s %s%6s s%s' "$verdict" "$2" "$dim" "$(since "$start")" "$plain")")
}
skipped() { results+=("$(printf '%s-%s %-58s %sleft out: %s%s' "$yellow" "$plain" "$2" "$dim" "$3" "$plain")"); }
