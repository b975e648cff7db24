//! In which order objects are applied.

use crate::object::{Object, WAVE_ANNOTATION};

/// Lower ones are applied, and healthy, before higher ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wave {
    /// The built-in order: what others cannot exist without comes first.
    stage: i32,
    /// `driftless.dev/wave`, within the last stage.
    pub number: i32,
}

impl Wave {
    pub(super) fn namespaces() -> Self {
        Self {
            stage: 0,
            number: 0,
        }
    }
}

/// The wave of an object; an annotation that is no integer is an error.
pub(super) fn wave(object: &Object) -> Result<Wave, String> {
    let number = match object.annotation(WAVE_ANNOTATION) {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| format!("the annotation {WAVE_ANNOTATION} is {text:?}, not an integer"))?,
    };
    let stage = stage(object.group(), object.kind());
    // Definitions and rights have no waves of their own: what needs them comes later anyhow.
    Ok(Wave {
        stage,
        number: if stage == LAST { number } else { 0 },
    })
}

const LAST: i32 = 3;

/// The built-in order of a kind: definitions and namespaces, then classes (some are of kinds that are defined beside
/// them), then rights and accounts, then everything else.
pub fn stage(group: &str, kind: &str) -> i32 {
    match (group, kind) {
        ("apiextensions.k8s.io", "CustomResourceDefinition") | ("", "Namespace") => 0,
        (_, kind) if kind.ends_with("Class") => 1,
        ("", "ServiceAccount" | "ResourceQuota" | "LimitRange")
        | ("rbac.authorization.k8s.io", _) => 2,
        _ => LAST,
    }
}
