# shellcheck shell=bash disable=SC2154 # sourced by demo/run, after lib.sh
# The demo's scenes. Each changes Git, or the cluster by hand, and is judged by what the API server says.

environments=(dev staging production)

# deployment ENVIRONMENT NAME PATH: a field of it.
deployment() { k get deployment "$2" --namespace "$1" --output "jsonpath={$3}"; }

# rendered_is_there ENVIRONMENT: every object that kustomize renders exists, and every Deployment is available.
rendered_is_there() {
  local rendered
  rendered=$(k kustomize "$checkout/overlays/$1")
  k get --filename - --output name <<<"$rendered" >/dev/null &&
    is "$(grep -c '^kind: Deployment' <<<"$rendered")" available "$1" && is "$(available "$1")" count "$1" deployments
}
available() {
  k get deployments --namespace "$1" --output \
    'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Available")].status}{"\n"}{end}' | grep -c True
}
count() { k get "$2" --namespace "$1" --output name | wc -l; }

# answers ENVIRONMENT SERVICE TEXT: the application itself, through its Service, says so.
answers() { k get --raw "/api/v1/namespaces/$1/services/$2:http/proxy/" | grep -q "$3"; }

# condition ENVIRONMENT TYPE STATUS
condition() { is "$3" k get environment "$1" --namespace shop --output "jsonpath={.status.conditions[?(@.type==\"$2\")].status}"; }

# everything_in ENVIRONMENT: what lives there, by kind, name and UID; pods and what controllers make are left out.
everything_in() {
  k get deployments,services,configmaps,secrets,ingresses,networkpolicies,horizontalpodautoscalers,poddisruptionbudgets \
    --namespace "$1" --output 'jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid}{"\n"}{end}' | sort
}

# edit FILE SCRIPT: sed on a file of the checkout. push MESSAGE: a commit, and its way to the server (where a hook tells the agent).
edit() { sed -i "$2" "$checkout/$1"; }
push() {
  git -C "$checkout" add --all
  git -C "$checkout" commit --quiet --message "$1"
  git -C "$checkout" push --quiet origin main
  say "git push: $1 ($(git -C "$checkout" rev-parse --short HEAD))"
}
revert() {
  git -C "$checkout" revert --no-edit HEAD >/dev/null
  git -C "$checkout" push --quiet origin main
  say "git revert, git push"
}

scene_ready() {
  local environment
  say 'dev follows main, staging the tag v1.0-rc.1, production the tag v1.0'
  for environment in "${environments[@]}"; do
    within 60 "$environment: everything that its overlay renders is there and available" rendered_is_there "$environment" || return
    within 20 "$environment: Ready" condition "$environment" Ready True || return
  done
  answers production api 'version 1.0'
}

scene_commit() {
  edit overlays/dev/kustomization.yaml 's/^  - COLOR=green/  - COLOR=green\n  - VERSION=1.1/'
  push 'dev: version 1.1 of the api'
  within 10 'the Deployment refers to the new settings' settings_say 1.1 || return
  within 30 'the application in dev says: version 1.1' answers dev api 'version 1.1' || return
  check 'the one in production still says: version 1.0' answers production api 'version 1.0'
}
settings_say() {
  local map
  map=$(deployment dev api '.spec.template.spec.containers[0].envFrom[0].configMapRef.name')
  is "$1" k get configmap "$map" --namespace dev --output 'jsonpath={.data.VERSION}'
}

scene_drift() {
  local image
  within 30 'Git says 1 replica of the api, its autoscaler 2: there are 2' is 2 deployment production api .spec.replicas || return
  image=$(deployment production api '.spec.template.spec.containers[0].image')
  say "kubectl set image deployment/api api=${image%:*}:by-hand"
  k set image deployment/api "api=${image%:*}:by-hand" --namespace production --field-manager=kubectl-set >/dev/null
  within 5 "the image is $image again" is "$image" deployment production api '.spec.template.spec.containers[0].image' || return
  say 'kubectl delete service hello'
  k delete service hello --namespace production --wait=false >/dev/null
  within 5 'the Service is there again' k get service hello --namespace production || return
  stays 3 'there are still 2 replicas' is 2 deployment production api .spec.replicas
}

# Requests to production's api, 200 a second, by a pod of the application's own load generator, drawn second by second.
start_load() {
  k delete pod load --namespace shop --ignore-not-found --now
  k run load --namespace shop --image "$REGISTRY/demo-app:1.0" --restart=Never --quiet -- load api.production:80 api 200
  k wait pod load --namespace shop --for=condition=Ready --timeout=20s
} >/dev/null
draw_load() {
  : >"$work/load.log"
  (k logs --follow load --namespace shop | tee "$work/load.log" | sed -u 's/^/    /') &
}
end_load() {
  k delete pod load --namespace shop --ignore-not-found --wait >/dev/null
  wait # for the last lines
}
# failed_of VERSION: how many of its answers were no good ones; without a version, of all requests.
failed_of() { sed -nE "s/^${1:+version $1: }[0-9]+ requests, ([0-9]+) failed.*/\1/p" "$work/load.log" | tail -1; }

# release TAG LITERAL...: production's settings, and the tag that production follows.
release() {
  local literal
  edit overlays/production/kustomization.yaml '/^  - VERSION=/d; /^  - FAIL_RATE=/d'
  for literal in "${@:2}"; do
    edit overlays/production/kustomization.yaml "s/^  - LOG_LEVEL=warning/&\n  - $literal/"
  done
  push "production: ${*:2}"
  tag_it "$1"
}
tag_it() {
  git -C "$checkout" tag "$1"
  git -C "$checkout" push --quiet origin "$1"
  say "git push origin $1"
}

# rollout FIELD VALUE: of production's api, in the status.
rollout() { is "$2" k get environment production --namespace shop --output "jsonpath={.status.rollouts[0].$1}"; }
no_rollout() { rollout phase '' && condition production Ready True; }

# kill_the_agent: SIGKILL to the replica that leads; on a foreign cluster its pod is deleted without a word.
kill_the_agent() {
  local leader uid process
  leader=$(k get lease driftless --namespace driftless-system --output 'jsonpath={.spec.holderIdentity}')
  leader=${leader%-*}
  if [ -z "${own:-}" ]; then
    k delete pod "$leader" --namespace driftless-system --grace-period=0 --force
    return
  fi
  uid=$(k get pod "$leader" --namespace driftless-system --output 'jsonpath={.metadata.uid}')
  for process in $(pgrep -x driftless); do
    if grep -q "${uid//-/[-_]}" "/proc/$process/cgroup"; then
      kill -KILL "$process"
      return
    fi
  done
  return 1
}

scene_good() {
  start_load || return
  draw_load
  scene_good_under_load || { end_load; return 1; }
  end_load
  check "failed requests: $(failed_of '') of $(sed -nE 's/^([0-9]+) requests,.*/\1/p' "$work/load.log")" [ "$(failed_of '')" = 0 ]
}
scene_good_under_load() {
  sleep 2
  release v1.1 VERSION=1.1
  within 40 'a third of the requests goes to the canary' rollout weight 34 || return
  within 10 'it answers them' grep -q '1\.1 [1-9][0-9]* %' "$work/load.log" || return
  "$target/driftless" status production --namespace shop | sed -n '/^Rollouts/,/^Objects/{/^Objects/!s/^/    /p}'
  check 'kill -9: the agent that leads is gone' kill_the_agent || return
  within 60 'the next one goes on: half of the requests' rollout weight 50 || return
  within 60 'it has proved itself: every pod runs version 1.1, nothing is left of the canary' no_rollout || return
  sleep 2
}

scene_bad() {
  start_load || return
  draw_load
  scene_bad_under_load || { end_load; return 1; }
  end_load
  check "failed requests of version 1.1: $(failed_of 1.1); of version 1.2: $(failed_of 1.2)" [ "$(failed_of 1.1)" = 0 ] || return
  revert
  tag_it v1.3
  within 30 'Ready' condition production Ready True
}
scene_bad_under_load() {
  local pods
  sleep 2
  pods=$(k get pods --namespace production --selector app=api --output name | sort)
  release v1.2 VERSION=1.2 FAIL_RATE=1
  within 60 'it was taken back' rollout phase Failed || return
  k get environment production --namespace shop --output 'jsonpath={.status.rollouts[0].message}' | sed 's/^/    /; s/$/\n/'
  within 30 'nothing is left of the canary' is '' k get deployment api-canary --namespace production --ignore-not-found --output name || return
  within 30 'the pods are those from before' is "$pods" api_pods || return
  sleep 3
  check 'nobody fails any more' [ "$(tail -2 "$work/load.log" | grep -c 'failed 0 of')" = 2 ]
}
api_pods() { k get pods --namespace production --selector app=api --output name | sort; }

scene_prune() {
  local before
  before=$(count dev ingresses)
  edit systems/hello/kustomization.yaml '/ingress.yaml/d'
  push 'hello: no Ingress'
  within 30 'the Ingress is gone' is '' k get ingress hello --namespace dev --ignore-not-found --output name || return
  check 'it is the only one that went' is $((before - 1)) count dev ingresses || return
  check 'production keeps its own' k get ingress hello --namespace production
}

scene_empty() {
  local before
  before=$(everything_in dev)
  [ -n "$before" ] || { check 'there is something to lose' false; return; }
  printf 'resources: []\n' >"$checkout/overlays/dev/kustomization.yaml"
  push 'dev: an overlay without anything'
  within 15 'the environment says that it is Held' condition dev Held True || return
  stays 3 "all $(wc -l <<<"$before") objects are still the same" is "$before" everything_in dev || return
  revert
  within 15 'no longer Held' condition dev Held False
}

scene_broken() {
  edit systems/hello/hello.yaml "s#image: demo-app#image: $REGISTRY/no-such-app:1.0#"
  push 'hello: an image that nobody has built'
  within 15 'the environment names the container and the reason' culprit_is hello 'ErrImagePull\|ImagePullBackOff' || return
  k get environment dev --namespace shop --output \
    'jsonpath={range .status.failures[*]}    {.object}, container {.container}: {.reason}: {.message}{"\n"}{end}' | cut -c1-150
  check 'the pod says the same' pod_waits hello || return
  check 'the pod before it still answers' answers dev hello 'version' || return
  revert
  within 30 'every pod is available, and there is nothing to name' healed
}
culprit_is() {
  k get environment dev --namespace shop --output \
    'jsonpath={range .status.failures[*]}{.object} {.container} {.reason}{"\n"}{end}' | grep -q "$1.* $1 .*$2"
}
pod_waits() {
  k get pods --namespace dev --selector "app=$1" --output \
    'jsonpath={range .items[*].status.containerStatuses[*]}{.state.waiting.reason}{"\n"}{end}' | grep -q 'ErrImagePull\|ImagePullBackOff'
}
healed() {
  rendered_is_there dev && condition dev Ready True &&
    is '' k get environment dev --namespace shop --output 'jsonpath={.status.failures[*].object}' &&
    is 1 deployment dev hello .status.updatedReplicas && is '' deployment dev hello .status.unavailableReplicas
}

scene_rest() {
  local seconds=15 from polls all
  [ -z "${WITHOUT_AGENT:-}" ] || seconds=2
  say "what both replicas ask of the API server (its audit log) and of Git, over $seconds s"
  sleep 3 # what the last scene caused has ended
  from=$(wc -l <"$STATE/audit.log") polls=$(wc -l <"$STATE/git/access.log")
  sleep $seconds
  # A watch is counted when it ends; as long as it lasts it sends nothing.
  all=$(tail -n "+$((from + 1))" "$STATE/audit.log" | grep '"username":"system:serviceaccount:driftless-system:driftless"' |
    grep -v '"stage":"ResponseStarted"' | sed -E 's/.*"requestURI":"([^?"]*).*"verb":"([a-z]+)".*/\2 \1/' | sort | uniq -c | sort -rn)
  awk -v seconds=$seconds 'NF {printf "    %4d a minute: %s %s\n", $1 * 60 / seconds, $2, $3}' <<<"$all"
  polls=$(tail -n "+$((polls + 1))" "$STATE/git/access.log" | grep -c ' 200 GET .*info/refs')
  printf '    %4d a minute: git ls-remote\n' $((polls * 60 / seconds))
  check 'the lease is kept: the agent is there' grep -q leases <<<"$all" || return
  all=$(awk -v seconds=$seconds '{sum += $1} END {print sum * 60 / seconds}' <<<"$all")
  check "$all requests a minute; no more than 30" [ "$all" -le 30 ]
}
