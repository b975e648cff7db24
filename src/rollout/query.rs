//! What a Prometheus check asks: its own PromQL, or a usual query on the metrics of a router. Must not ask it.

use std::time::Duration;

use super::names::Side;
use crate::api::{Builtin, PrometheusCheck, Router, TrafficSpec};

/// PromQL, with `{{…}}` still in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queries {
    /// What is held against the range.
    pub value: String,
    /// What counts the requests of the window, and how many there must be.
    pub requests: Option<(String, u32)>,
}

/// So many requests a usual query needs.
const REQUESTS: u32 = 10;

/// How far it looks back, where it does not say so itself.
const WINDOW: Duration = Duration::from_mins(1);

/// How far back a check looks.
pub fn window(check: &PrometheusCheck) -> Duration {
    check.window.map_or(WINDOW, |window| window.0)
}

/// What the check asks of a side under this route.
///
/// # Errors
/// Nobody says whose metrics there are.
pub fn queries(
    check: &PrometheusCheck,
    traffic: Option<&TrafficSpec>,
    side: Side,
) -> Result<Queries, String> {
    let Some(builtin) = check.builtin else {
        return Ok(Queries {
            value: check.query.clone().unwrap_or_default(),
            requests: check.requests.clone().zip(check.min_requests),
        });
    };
    let router = check.router.or_else(|| named(traffic?)).ok_or(
        "builtin: spec.traffic does not say whose metrics these are; name one in router (Traefik, IngressNginx, Istio), or give a query",
    )?;
    if traffic.is_none() && router != Router::Istio {
        return Err(format!(
            "builtin: {router:?} counts by Service, and without spec.traffic both sides have the same one; give a query"
        ));
    }
    let metrics = Metrics::of(router, side);
    Ok(Queries {
        value: match builtin {
            Builtin::SuccessRate => metrics.success_rate(),
            Builtin::Latency => metrics.latency(check.percentile.unwrap_or(95.0)),
        },
        requests: Some((metrics.requests(), check.min_requests.unwrap_or(REQUESTS))),
    })
}

/// The router that a route names.
fn named(traffic: &TrafficSpec) -> Option<Router> {
    if traffic.ingress_nginx.is_some() {
        Some(Router::IngressNginx)
    } else if traffic.istio.is_some() {
        Some(Router::Istio)
    } else {
        traffic.traefik.as_ref().map(|_| Router::Traefik)
    }
}

/// How a router counts.
struct Metrics {
    total: &'static str,
    seconds: &'static str,
    /// What the unit of `seconds` comes to in seconds.
    unit: &'static str,
    code: &'static str,
    /// The matchers of one side, each of them for another naming of the same labels: where Prometheus gives labels of its own
    /// to what it scrapes, those of the metrics are called `exported_…`.
    matchers: Vec<String>,
}

impl Metrics {
    fn of(router: Router, side: Side) -> Self {
        match router {
            Router::Traefik => Self {
                total: "traefik_service_requests_total",
                seconds: "traefik_service_request_duration_seconds_bucket",
                unit: "",
                code: "code",
                // `shop-api-80@kubernetescrd`, `…-svc-shop-api-0@kubernetesgateway`
                matchers: ["service", "exported_service"]
                    .map(|label| {
                        format!(
                            r#"{label}=~"(.+-svc-)?{{{{namespace}}}}-{{{{service}}}}(-http)?-[0-9a-z]+@.+""#
                        )
                    })
                    .into(),
            },
            Router::IngressNginx => Self {
                total: "nginx_ingress_controller_requests",
                seconds: "nginx_ingress_controller_request_duration_seconds_bucket",
                unit: "",
                code: "status",
                // Requests to the canary keep the Service of the Ingress that they came by, and say in `canary` where they went.
                matchers: match side {
                    Side::Canary => vec![r#"canary=~"{{namespace}}-{{service}}-.+""#.to_owned()],
                    Side::Stable => ["", "exported_"]
                        .map(|prefix| {
                            format!(
                                r#"{prefix}namespace="{{{{namespace}}}}",{prefix}service="{{{{service}}}}",canary="""#
                            )
                        })
                        .into(),
                },
            },
            Router::Istio => Self {
                total: "istio_requests_total",
                seconds: "istio_request_duration_milliseconds_bucket",
                unit: " / 1000",
                code: "response_code",
                matchers: vec![
                    r#"reporter=~"destination|waypoint",destination_workload_namespace="{{namespace}}",destination_workload="{{deployment}}""#.to_owned(),
                ],
            },
        }
    }

    fn all(&self, function: &str, metric: &str, more: &str) -> String {
        let parts: Vec<String> = self
            .matchers
            .iter()
            .map(|matcher| format!("{function}({metric}{{{matcher}{more}}}[{{{{window}}}}])"))
            .collect();
        parts.join(" or ")
    }

    fn requests(&self) -> String {
        format!("sum({})", self.all("increase", self.total, ""))
    }

    /// No series of good answers beside some of bad ones is a rate of 0, and not an empty result.
    fn success_rate(&self) -> String {
        let good = format!(r#",{}!~"5..""#, self.code);
        format!(
            "(sum({}) or vector(0)) / sum({})",
            self.all("rate", self.total, &good),
            self.all("rate", self.total, "")
        )
    }

    fn latency(&self, percentile: f64) -> String {
        format!(
            "histogram_quantile({}, sum by (le) ({})){}",
            percentile / 100.0,
            self.all("rate", self.seconds, ""),
            self.unit
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::api::RouteReference;
    use crate::rollout::names::Names;

    fn check(builtin: Builtin, router: Option<Router>) -> PrometheusCheck {
        PrometheusCheck {
            builtin: Some(builtin),
            router,
            percentile: Some(99.0),
            ..PrometheusCheck::default()
        }
    }

    fn route() -> TrafficSpec {
        TrafficSpec {
            http_route: Some(RouteReference::default()),
            ..TrafficSpec::default()
        }
    }

    #[test]
    fn the_usual_queries() {
        let names = Names {
            namespace: "shop".to_owned(),
            workload: "api".to_owned(),
            service: "web".to_owned(),
            ..Names::default()
        };
        let mut text = String::new();
        for router in [Router::Traefik, Router::IngressNginx, Router::Istio] {
            for side in [Side::Canary, Side::Stable] {
                writeln!(text, "# {router:?}, {side:?}").unwrap();
                for builtin in [Builtin::SuccessRate, Builtin::Latency] {
                    let asked = queries(&check(builtin, Some(router)), Some(&route()), side);
                    let asked = asked.unwrap();
                    let fill = |text: &str| names.fill(text, side, Duration::from_secs(60));
                    writeln!(text, "{}", fill(&asked.value)).unwrap();
                    if builtin == Builtin::Latency {
                        let (requests, least) = asked.requests.unwrap();
                        writeln!(text, "{} # at least {least}", fill(&requests)).unwrap();
                    }
                }
            }
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_router_is_that_of_the_route_or_is_named() {
        let asked = |router, traffic: Option<&TrafficSpec>| {
            queries(&check(Builtin::SuccessRate, router), traffic, Side::Canary)
        };
        let nginx = TrafficSpec {
            ingress_nginx: Some(RouteReference::default()),
            ..TrafficSpec::default()
        };
        assert!(asked(None, Some(&nginx)).unwrap().value.contains("nginx_"));
        let named = asked(Some(Router::Traefik), Some(&nginx)).unwrap();
        assert!(named.value.contains("traefik_"));
        assert!(asked(None, Some(&route())).unwrap_err().contains("router"));
        assert!(asked(None, None).is_err());
        assert!(
            asked(Some(Router::Traefik), None)
                .unwrap_err()
                .contains("by Service")
        );
        assert!(asked(Some(Router::Istio), None).is_ok());
    }
}
