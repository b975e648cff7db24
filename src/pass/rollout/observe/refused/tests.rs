use super::*;

fn failure(object: &str, reason: &str) -> ObjectFailure {
    ObjectFailure {
        object: object.to_owned(),
        container: None,
        reason: reason.to_owned(),
        message: "no canaries here".to_owned(),
    }
}

#[test]
fn refused_is_what_another_try_does_not_help() {
    let id = Id {
        group: "apps".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some("shop".to_owned()),
        name: "api-canary".to_owned(),
    };
    let name = "Deployment.apps shop/api-canary";
    for (object, reason, is_refused) in [
        (name, "Denied", true),
        (name, "Forbidden", true),
        (name, "ApplyFailed", false),
        (name, "Terminating", false),
        ("Deployment.apps shop/other", "Denied", false),
    ] {
        let found = refused(&[&id], &[failure(object, reason)]);
        assert_eq!(found.is_some(), is_refused, "{object} {reason}");
    }
    let words = refused(&[&id], &[failure(name, "Denied")]);
    assert_eq!(
        words.as_deref(),
        Some("Deployment.apps shop/api-canary: Denied: no canaries here")
    );
    assert_eq!(refused(&[], &[failure(name, "Denied")]), None);
}
