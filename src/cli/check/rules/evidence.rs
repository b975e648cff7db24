//! The rules of a check. What its texts say is read where the policy is followed.

use crate::api::{Builtin, CheckSpec, HeaderSpec, PrometheusCheck};

/// The part of the check, such as `.prometheus`, and what is wrong with it.
pub(super) fn rules(check: &CheckSpec) -> Vec<(String, &'static str)> {
    let CheckSpec {
        http,
        prometheus,
        json,
        job,
        ..
    } = check;
    let mut problems = Vec::new();
    let given = [
        http.is_some(),
        prometheus.is_some(),
        json.is_some(),
        job.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        problems.push((
            String::new(),
            "give exactly one of http, prometheus, json and job",
        ));
    }
    if let Some(job) = job
        && job.template.is_some() == job.cron_job.is_some()
    {
        problems.push((".job".to_owned(), "give either template or cronJob"));
    }
    if let Some(check) = prometheus {
        let messages = of_prometheus(check);
        problems.extend(messages.map(|message| (".prometheus".to_owned(), message)));
    }
    let urls = [
        ("prometheus", prometheus.as_ref().map(|check| &check.url)),
        ("json", json.as_ref().map(|check| &check.url)),
    ];
    for (part, url) in urls {
        let parsed = url.and_then(|url| url::Url::parse(url).ok());
        if parsed.is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
            problems.push((
                format!(".{part}.url"),
                "must not contain credentials; put them into a Secret and name it in headers",
            ));
        }
    }
    let mut headers = |part: &str, list: &[HeaderSpec]| {
        for (index, header) in list.iter().enumerate() {
            if header.value.is_some() == header.value_from.is_some() {
                problems.push((
                    format!(".{part}.headers[{index}]"),
                    "give either value or valueFrom",
                ));
            }
        }
    };
    if let Some(check) = http {
        headers("http", &check.headers);
    }
    if let Some(check) = prometheus {
        headers("prometheus", &check.headers);
    }
    if let Some(check) = json {
        headers("json", &check.headers);
    }
    problems
}

fn of_prometheus(check: &PrometheusCheck) -> impl Iterator<Item = &'static str> {
    let PrometheusCheck {
        url: _,
        headers: _,
        query,
        builtin,
        router,
        percentile,
        window: _,
        min_requests,
        requests,
        min,
        max,
        compare,
    } = check;
    let requests_go = match (query, builtin) {
        (Some(_), _) => min_requests.is_some() == requests.is_some(),
        (None, Some(_)) => requests.is_none(),
        (None, None) => true,
    };
    let compares = compare.as_ref().is_none_or(|compare| {
        compare.min_ratio.is_some()
            || compare.max_ratio.is_some()
            || compare.min_difference.is_some()
            || compare.max_difference.is_some()
    });
    [
        (
            query.is_some() != builtin.is_some(),
            "give either query or builtin",
        ),
        (
            min.is_some() || max.is_some() || compare.is_some(),
            "give min, max or compare, or several of them",
        ),
        (
            builtin.is_some() || router.is_none(),
            "router belongs to builtin",
        ),
        (
            *builtin == Some(Builtin::Latency) || percentile.is_none(),
            "percentile belongs to builtin: latency",
        ),
        (
            requests_go,
            "requests belongs to query, and goes with minRequests",
        ),
        (
            compares,
            "give at least one of minRatio, maxRatio, minDifference and maxDifference",
        ),
    ]
    .into_iter()
    .filter(|(holds, _)| !holds)
    .map(|(_, message)| message)
}
