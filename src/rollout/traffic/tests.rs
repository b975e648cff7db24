use serde_json::{Value, json};

use super::*;

fn services() -> Vec<(String, String)> {
    vec![("api".to_owned(), "api-canary".to_owned())]
}

fn traffic(spec: Value) -> TrafficSpec {
    serde_json::from_value(spec).unwrap()
}

fn object(api_version: &str, kind: &str, spec: Value) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "metadata": {"name": "api", "namespace": "shop"}, "spec": spec,
    })
}

/// The route under `traffic`, at 25 %; with `match` in it, also for testers.
fn at_25(traffic: &TrafficSpec, route: Value) -> Result<Value, String> {
    let services = services();
    let workload = Id {
        group: "apps".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some("shop".to_owned()),
        name: "orders".to_owned(),
    };
    let split = Split {
        workload: &workload.name,
        services: &services,
        weight: 25,
        testers: traffic.match_.as_ref(),
    };
    let router = Router::of(traffic).unwrap();
    let route = Object::from_value(route).unwrap();
    assert_eq!(router.route(Some("shop")), route.id());
    let after = router.split(&route, &split)?;
    let id = after.id();
    assert!(id == route.id() || Some(id) == router.beside(&workload));
    Ok(after.into_value())
}

fn split(spec: Value, route: Value) -> Value {
    at_25(&traffic(spec), route).unwrap()
}

fn refused(spec: Value, route: Value) -> String {
    at_25(&traffic(spec), route).unwrap_err()
}

fn testers() -> Value {
    json!({"header": {"name": "X-Canary", "value": "always"}, "cookie": {"name": "canary", "value": "always"}})
}

fn http_route(rules: Value) -> Value {
    object(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        json!({"parentRefs": [{"name": "web"}], "rules": rules}),
    )
}

#[test]
fn an_http_route_keeps_all_that_is_not_the_workloads() {
    let route = http_route(json!([
        {"name": "api", "matches": [{"path": {"type": "PathPrefix", "value": "/"}}, {"method": "POST", "headers": [{"name": "a", "value": "b"}]}],
         "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "api", "port": 80}}}],
         "timeouts": {"request": "3s"},
         "backendRefs": [
             {"name": "api", "port": 80, "weight": 90, "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "via", "value": "web"}]}}]},
             {"name": "old", "port": 80, "weight": 10},
         ]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/other"}}], "backendRefs": [{"name": "other", "port": 80}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/elsewhere"}}], "backendRefs": [{"name": "api", "namespace": "elsewhere", "port": 80}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/drained"}}], "backendRefs": [{"name": "other", "port": 80}, {"name": "api", "port": 80, "weight": 0}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/moved"}}], "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "new"}}]},
    ]));
    insta::assert_json_snapshot!(
        split(
            json!({"httpRoute": {"name": "api"}, "match": testers()}),
            route
        )["spec"]
    );
}

#[test]
fn a_grpc_route_is_split_the_same_way() {
    let route = object(
        "gateway.networking.k8s.io/v1",
        "GRPCRoute",
        json!({"parentRefs": [{"name": "web"}], "rules": [
            {"matches": [{"method": {"service": "shop.Orders"}}], "backendRefs": [{"name": "api", "port": 9090}]},
            {"backendRefs": [{"name": "other", "port": 9090}]},
        ]}),
    );
    insta::assert_json_snapshot!(
        split(
            json!({"grpcRoute": {"name": "api"}, "match": testers()}),
            route
        )["spec"]
    );
}

fn ingress(annotations: Value, spec: Value) -> Value {
    let mut ingress = object("networking.k8s.io/v1", "Ingress", spec);
    ingress["metadata"]["annotations"] = annotations;
    ingress
}

#[test]
fn a_canary_ingress_has_what_it_needs_and_nothing_else() {
    let annotations = json!({
        "cert-manager.io/cluster-issuer": "letsencrypt",
        "external-dns.alpha.kubernetes.io/hostname": "shop.example.com",
        "nginx.ingress.kubernetes.io/affinity": "cookie",
        "nginx.ingress.kubernetes.io/auth-url": "https://auth",
        "nginx.ingress.kubernetes.io/configuration-snippet": "more_set_headers 'a: b';",
        "nginx.ingress.kubernetes.io/default-backend": "sorry",
        "nginx.ingress.kubernetes.io/rewrite-target": "/$2",
        "nginx.ingress.kubernetes.io/upstream-hash-by": "$request_uri",
        "nginx.ingress.kubernetes.io/use-regex": "true",
    });
    let spec = json!({
        "ingressClassName": "nginx",
        "tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}],
        "defaultBackend": {"service": {"name": "api", "port": {"name": "http"}}},
        "rules": [
            {"host": "shop.example.com", "http": {"paths": [
                {"path": "/api(/|$)(.*)", "pathType": "ImplementationSpecific", "backend": {"service": {"name": "api", "port": {"name": "http"}}}},
                {"path": "/other", "pathType": "Exact", "backend": {"service": {"name": "other", "port": {"number": 80}}}},
                {"path": "/static", "pathType": "Prefix", "backend": {"resource": {"apiGroup": "k8s.example.com", "kind": "Bucket", "name": "api"}}},
            ]}},
            {"host": "other.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "other", "port": {"number": 80}}}},
            ]}},
        ],
    });
    insta::assert_json_snapshot!(split(
        json!({"ingressNginx": {"name": "api"}, "match": testers()}),
        ingress(annotations, spec)
    ));
}

#[test]
fn an_ingress_of_a_default_backend_alone_has_a_canary_too() {
    let spec = json!({"defaultBackend": {"service": {"name": "api", "port": {"number": 80}}}});
    let canary = split(
        json!({"ingressNginx": {"name": "api"}}),
        ingress(json!({}), spec),
    );
    assert_eq!(
        canary["spec"],
        json!({"defaultBackend": {"service": {"name": "api-canary", "port": {"number": 80}}}})
    );
}

fn alb(action: Value) -> Value {
    ingress(
        json!({
            "alb.ingress.kubernetes.io/scheme": "internet-facing",
            "alb.ingress.kubernetes.io/actions.api-action": action.to_string(),
            "alb.ingress.kubernetes.io/actions.unused": forward(json!([{"serviceName": "api", "servicePort": 80}])).to_string(),
            "alb.ingress.kubernetes.io/actions.moved": json!({"type": "redirect", "redirectConfig": {"host": "new"}}).to_string(),
        }),
        json!({"ingressClassName": "alb", "rules": [{"http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "api-action", "port": {"name": "use-annotation"}}}},
            {"path": "/moved", "pathType": "Prefix", "backend": {"service": {"name": "moved", "port": {"name": "use-annotation"}}}},
        ]}}]}),
    )
}

fn forward(groups: Value) -> Value {
    json!({"type": "forward", "forwardConfig": {"targetGroups": groups}})
}

#[test]
fn a_forward_action_of_an_alb_has_a_second_target_group() {
    let route = alb(forward(json!([
        {"serviceName": "api", "servicePort": "80", "weight": 900}, {"serviceName": "old", "servicePort": 80, "weight": 100},
    ])));
    insta::assert_json_snapshot!(split(json!({"alb": {"name": "api"}}), route)["metadata"]);
}

fn virtual_service(http: Value) -> Value {
    object(
        "networking.istio.io/v1",
        "VirtualService",
        json!({"hosts": ["shop.example.com"], "gateways": ["web"], "http": http}),
    )
}

#[test]
fn a_virtual_service_splits_by_host_in_each_of_its_forms() {
    let route = virtual_service(json!([
        {"name": "orders", "match": [{"uri": {"prefix": "/orders"}, "headers": {"a": {"exact": "b"}}}, {"uri": {"prefix": "/carts"}}],
         "retries": {"attempts": 2}, "mirror": {"host": "api"},
         "route": [{"destination": {"host": "api", "port": {"number": 80}, "subset": "v1"}, "headers": {"request": {"set": {"via": "web"}}}}]},
        {"match": [{"uri": {"prefix": "/full"}}],
         "route": [{"destination": {"host": "api.shop.svc.cluster.local"}, "weight": 80}, {"destination": {"host": "old"}, "weight": 20}]},
        {"match": [{"uri": {"prefix": "/elsewhere"}}], "route": [{"destination": {"host": "api.elsewhere.svc.cluster.local"}}]},
        {"match": [{"uri": {"prefix": "/outside"}}], "route": [{"destination": {"host": "api.example.com"}}]},
        {"match": [{"uri": {"prefix": "/moved"}}], "redirect": {"authority": "new"}},
        {"name": "rest", "route": [{"destination": {"host": "api"}}]},
    ]));
    insta::assert_json_snapshot!(
        split(json!({"istio": {"name": "api"}, "match": testers()}), route)["spec"]
    );
}

#[test]
fn only_the_named_routes_of_a_virtual_service_are_split() {
    let route = || {
        virtual_service(json!([
            {"name": "orders", "match": [{"uri": {"prefix": "/orders"}}], "route": [{"destination": {"host": "api"}}]},
            {"name": "rest", "route": [{"destination": {"host": "api"}}]},
        ]))
    };
    let after = split(
        json!({"istio": {"name": "api", "routes": ["rest"]}}),
        route(),
    );
    assert_eq!(
        after["spec"]["http"][0],
        route()["spec"]["http"][0],
        "the other is as it was"
    );
    assert_eq!(after["spec"]["http"][1]["route"][1]["weight"], 25);
    let missing = refused(
        json!({"istio": {"name": "api", "routes": ["rest", "gone"]}}),
        route(),
    );
    assert!(missing.contains("has no HTTP route gone"), "{missing}");
}

fn traefik_service(services: Value) -> Value {
    object(
        "traefik.io/v1alpha1",
        "TraefikService",
        json!({"weighted": {"services": services}}),
    )
}

#[test]
fn a_traefik_service_has_one_more() {
    let route = traefik_service(json!([
        {"name": "api", "port": 80, "weight": 3, "sticky": {"cookie": {"name": "pod"}}},
        {"name": "api", "kind": "TraefikService", "weight": 1},
        {"name": "api", "namespace": "elsewhere", "port": 80, "weight": 0},
    ]));
    insta::assert_json_snapshot!(split(json!({"traefik": {"name": "api"}}), route)["spec"]);
}

#[test]
fn what_a_router_cannot_do_is_refused_by_name() {
    let http = || json!({"httpRoute": {"name": "api"}, "match": testers()});
    let rule = |extra: Value| {
        let mut rule = json!({"backendRefs": [{"name": "api", "port": 80}]});
        rule.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        rule
    };
    let one = |rule: Value| refused(http(), http_route(json!([rule])));
    let cases = [
        one(rule(
            json!({"backendRefs": [{"name": "other", "port": 80}]}),
        )),
        one(rule(
            json!({"matches": [{"headers": [{"name": "x-canary", "value": "never"}]}]}),
        )),
        one(rule(json!({"sessionPersistence": {"sessionName": "side"}}))),
        one(rule(json!({"matches": vec![json!({}); 40]}))),
        one(rule(
            json!({"backendRefs": (0..16).map(|weight| json!({"name": "api", "port": 80, "weight": weight})).collect::<Vec<_>>()}),
        )),
        refused(http(), http_route(json!(vec![rule(json!({})); 9]))),
        refused(
            json!({"ingressNginx": {"name": "api"}}),
            ingress(
                json!({}),
                json!({"rules": [{"http": {"paths": [{"path": "/", "backend": {"service": {"name": "other"}}}]}}]}),
            ),
        ),
        refused(
            json!({"ingressNginx": {"name": "api"}}),
            ingress(
                json!({"nginx.ingress.kubernetes.io/canary": "true"}),
                json!({"defaultBackend": {"service": {"name": "api"}}}),
            ),
        ),
        refused(
            json!({"ingressNginx": {"name": "api"}, "match": {"cookie": {"name": "canary", "value": "me"}}}),
            ingress(
                json!({}),
                json!({"defaultBackend": {"service": {"name": "api"}}}),
            ),
        ),
        refused(
            json!({"alb": {"name": "api"}}),
            alb(json!({"type": "fixed-response"})),
        ),
        refused(
            json!({"alb": {"name": "api"}, "match": testers()}),
            alb(forward(json!([{"serviceName": "api"}]))),
        ),
        refused(
            json!({"alb": {"name": "api"}}),
            alb(json!({"type": "forward", "forwardConfig": {
                "targetGroups": [{"serviceName": "api"}], "targetGroupStickinessConfig": {"enabled": true},
            }})),
        ),
        refused(
            json!({"istio": {"name": "api"}}),
            virtual_service(json!([{"route": [{"destination": {"host": "other"}}]}])),
        ),
        refused(
            json!({"istio": {"name": "api"}, "match": testers()}),
            virtual_service(
                json!([{"match": [{"headers": {"x-canary": {"exact": "never"}}}], "route": [{"destination": {"host": "api"}}]}]),
            ),
        ),
        refused(
            json!({"traefik": {"name": "api"}}),
            traefik_service(json!([{"name": "other", "port": 80}])),
        ),
        refused(
            json!({"traefik": {"name": "api"}}),
            object(
                "traefik.io/v1alpha1",
                "TraefikService",
                json!({"weighted": {"sticky": {"cookie": {"name": "side"}}, "services": [{"name": "api", "port": 80}]}}),
            ),
        ),
        refused(
            json!({"traefik": {"name": "api"}, "match": testers()}),
            traefik_service(json!([{"name": "api", "port": 80}])),
        ),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

/// A route at its second generation, with what gateways say of it.
fn reported(parents: Value) -> Result<(), String> {
    let mut route = http_route(json!([]));
    route["metadata"]["generation"] = json!(2);
    route["status"] = json!({"parents": parents});
    accepted(&Object::from_value(route).unwrap())
}

fn says(gateway: &str, type_: &str, status: &str, generation: u32) -> Value {
    json!({"parentRef": {"name": gateway}, "conditions": [
        {"type": type_, "status": status, "reason": "Because", "message": "of this", "observedGeneration": generation},
    ]})
}

#[test]
fn a_gateway_has_accepted_what_it_says_of_this_generation() {
    assert_eq!(
        reported(json!([says("web", "Accepted", "True", 2)])),
        Ok(())
    );
    assert!(reported(json!([])).is_err(), "nobody has looked");
    let two = |parents: Value| {
        let mut route = http_route(json!([]));
        route["spec"]["parentRefs"] =
            json!([{"name": "web"}, {"name": "inner", "sectionName": "tls"}]);
        route["metadata"]["generation"] = json!(2);
        route["status"] = json!({"parents": parents});
        accepted(&Object::from_value(route).unwrap())
    };
    let web = says("web", "Accepted", "True", 2);
    assert_eq!(two(json!([web])), Ok(()), "the other names nothing");
    assert_eq!(
        two(json!([])),
        Err("no gateway has looked at the route".to_owned())
    );
    let mut inner = says("inner", "Accepted", "True", 2);
    inner["parentRef"]["sectionName"] = json!("tls");
    assert_eq!(two(json!([web, inner])), Ok(()));
    let cases = [
        (
            says("web", "Accepted", "True", 1),
            "the gateway web has not looked at this generation",
        ),
        (
            says("web", "Accepted", "False", 2),
            "the gateway web says Accepted=False, Because: of this",
        ),
        (
            says("web", "ResolvedRefs", "False", 2),
            "ResolvedRefs=False",
        ),
        (
            says("web", "ResolvedRefs", "Unknown", 2),
            "ResolvedRefs=Unknown",
        ),
        (
            says("web", "PartiallyInvalid", "True", 2),
            "PartiallyInvalid=True",
        ),
    ];
    for (said, expected) in cases {
        let message = reported(json!([says("web", "Accepted", "True", 2), said])).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    let left = json!([
        says("web", "Accepted", "True", 2),
        says("old", "Accepted", "False", 1)
    ]);
    assert_eq!(reported(left), Ok(()), "the route names it no longer");
}
