//! Images whose tag comes from the chosen revision: what the rules of an environment say, and putting it into objects.
//! Pure.

use serde_json::Value;

use crate::api::ImageRule;
use crate::git::Choice;
use crate::object::Object;

/// An image and the name and tag that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedImage {
    /// The name as the manifests have it.
    pub name: String,
    /// Another name for it.
    pub new_name: Option<String>,
    pub tag: String,
}

/// Why a rule gives an image no tag.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ImageError {
    #[error(
        "image {name}: {template:?} needs {value}, but {} was chosen",
        if reference.is_empty() { "a commit" } else { reference.as_str() }
    )]
    NoValue {
        name: String,
        template: String,
        value: &'static str,
        reference: String,
    },
    #[error(
        "image {name}: {template:?} has {placeholder}; there are {{tag}}, {{branch}} and {{commit}}"
    )]
    Placeholder {
        name: String,
        template: String,
        placeholder: String,
    },
    #[error("image {name}: {tag:?} is not a tag of an image")]
    NotATag { name: String, tag: String },
    #[error("image {name}: a name without a tag and a digest is wanted")]
    Name { name: String },
    #[error("image {name}: two rules are about it")]
    Twice { name: String },
}

/// What the rules say for a choice: `{tag}`, `{branch}` (slashes become dashes) and `{commit}` replaced.
pub fn resolve(rules: &[ImageRule], choice: &Choice) -> Result<Vec<ResolvedImage>, ImageError> {
    let mut images: Vec<ResolvedImage> = Vec::with_capacity(rules.len());
    for rule in rules {
        let ImageRule {
            name,
            new_name,
            tag: template,
        } = rule;
        for name in [Some(name), new_name.as_ref()].into_iter().flatten() {
            if name.is_empty() || split(name).0 != name {
                return Err(ImageError::Name { name: name.clone() });
            }
        }
        if images.iter().any(|image| image.name == *name) {
            return Err(ImageError::Twice { name: name.clone() });
        }
        let tag = fill(name, template, choice)?;
        if !is_tag(&tag) {
            return Err(ImageError::NotATag {
                name: name.clone(),
                tag,
            });
        }
        images.push(ResolvedImage {
            name: name.clone(),
            new_name: new_name.clone(),
            tag,
        });
    }
    Ok(images)
}

fn fill(name: &str, template: &str, choice: &Choice) -> Result<String, ImageError> {
    let missing = |value| ImageError::NoValue {
        name: name.to_owned(),
        template: template.to_owned(),
        value,
        reference: choice.reference.clone(),
    };
    let unknown = |placeholder: &str| ImageError::Placeholder {
        name: name.to_owned(),
        template: template.to_owned(),
        placeholder: placeholder.to_owned(),
    };
    let mut tag = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        tag.push_str(before);
        let (placeholder, after) = after.split_once('}').ok_or_else(|| unknown("{"))?;
        match placeholder {
            "tag" => tag.push_str(choice.tag().ok_or_else(|| missing("a tag"))?),
            "branch" => {
                let branch = choice.branch().ok_or_else(|| missing("a branch"))?;
                tag.push_str(&branch.replace('/', "-"));
            }
            "commit" => tag.push_str(&choice.commit),
            other => return Err(unknown(&format!("{{{other}}}"))),
        }
        rest = after;
    }
    tag.push_str(rest);
    Ok(tag)
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// The name of an image, and the tag and digest after it as they stand.
fn split(image: &str) -> (&str, &str) {
    let at = image.find('@').unwrap_or(image.len());
    let after_slash = image[..at].rfind('/').map_or(0, |slash| slash + 1);
    let end = image[after_slash..at]
        .find(':')
        .map_or(at, |colon| after_slash + colon);
    image.split_at(end)
}

/// Replaces the images of containers wherever they stand, as kustomize's `images` does: the `image` of every element of
/// a list `containers`, `initContainers` or `ephemeralContainers`, at any depth, but not in definitions of kinds.
/// Returns how many were replaced.
pub fn substitute(objects: &mut [Object], images: &[ResolvedImage]) -> usize {
    if images.is_empty() {
        return 0;
    }
    objects
        .iter_mut()
        .filter(|object| object.kind() != "CustomResourceDefinition")
        .map(|object| {
            object
                .0
                .iter_mut()
                .map(|(key, value)| visit(key, value, images))
                .sum::<usize>()
        })
        .sum()
}

fn visit(key: &str, value: &mut Value, images: &[ResolvedImage]) -> usize {
    let containers = matches!(key, "containers" | "initContainers" | "ephemeralContainers");
    match value {
        Value::Object(map) => map
            .iter_mut()
            .map(|(key, value)| visit(key, value, images))
            .sum(),
        Value::Array(list) => list
            .iter_mut()
            .map(|element| {
                let own = if containers {
                    replace(element, images)
                } else {
                    0
                };
                own + visit("", element, images)
            })
            .sum(),
        _ => 0,
    }
}

fn replace(container: &mut Value, images: &[ResolvedImage]) -> usize {
    let Some(Value::String(current)) = container.get_mut("image") else {
        return 0;
    };
    let (name, _) = split(current);
    let Some(image) = images.iter().find(|image| image.name == name) else {
        return 0;
    };
    let ResolvedImage {
        name,
        new_name,
        tag,
    } = image;
    *current = format!("{}:{tag}", new_name.as_ref().unwrap_or(name));
    1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn choice(reference: &str) -> Choice {
        Choice {
            rule: 0,
            reference: reference.to_owned(),
            version: None,
            commit: "3f2c".repeat(10),
        }
    }

    fn rule(name: &str, tag: &str) -> ImageRule {
        ImageRule {
            name: name.to_owned(),
            new_name: None,
            tag: tag.to_owned(),
        }
    }

    #[test]
    fn templates() {
        for (reference, template, expected) in [
            ("refs/tags/v1.2", "{tag}", Ok("v1.2")),
            ("refs/tags/v1.2", "{tag}-slim", Ok("v1.2-slim")),
            ("refs/heads/hotfix/a", "{branch}", Ok("hotfix-a")),
            (
                "refs/heads/main",
                "{branch}-{commit}",
                Ok("main-3f2c3f2c3f2c3f2c3f2c3f2c3f2c3f2c3f2c3f2c"),
            ),
            ("refs/heads/main", "latest", Ok("latest")),
            (
                "refs/heads/main",
                "{tag}",
                Err("image api: \"{tag}\" needs a tag, but refs/heads/main was chosen"),
            ),
            (
                "refs/tags/v1",
                "{branch}",
                Err("image api: \"{branch}\" needs a branch, but refs/tags/v1 was chosen"),
            ),
            (
                "",
                "{tag}",
                Err("image api: \"{tag}\" needs a tag, but a commit was chosen"),
            ),
            (
                "refs/tags/v1",
                "{version}",
                Err(
                    "image api: \"{version}\" has {version}; there are {tag}, {branch} and {commit}",
                ),
            ),
            (
                "refs/tags/v1",
                "a{",
                Err("image api: \"a{\" has {; there are {tag}, {branch} and {commit}"),
            ),
            (
                "refs/tags/v1+2",
                "{tag}",
                Err("image api: \"v1+2\" is not a tag of an image"),
            ),
            (
                "refs/tags/a/b",
                "{tag}",
                Err("image api: \"a/b\" is not a tag of an image"),
            ),
            (
                "refs/tags/v1",
                "-{tag}",
                Err("image api: \"-v1\" is not a tag of an image"),
            ),
        ] {
            let resolved = resolve(&[rule("api", template)], &choice(reference));
            let resolved = resolved.map(|images| images[0].tag.clone());
            assert_eq!(
                resolved.map_err(|error| error.to_string()),
                expected.map(str::to_owned).map_err(str::to_owned)
            );
        }
        let error = resolve(&[rule("api:v1", "x")], &choice("")).unwrap_err();
        assert!(matches!(error, ImageError::Name { .. }));
        let error = resolve(&[rule("api", "x"), rule("api", "y")], &choice("")).unwrap_err();
        assert!(matches!(error, ImageError::Twice { .. }));
        assert!(resolve(&[rule("host:5000/api", "x")], &choice("")).is_ok());
    }

    #[test]
    fn images_are_replaced_where_containers_stand() {
        let pod = json!({
            "containers": [
                {"name": "a", "image": "api"},
                {"name": "b", "image": "api:old@sha256:0123"},
                {"name": "c", "image": "apiary:1"},
                {"name": "d", "image": "host:5000/api:1"},
                {"name": "e", "image": "other/api:1"},
                {"name": "f"},
            ],
            "initContainers": [{"image": "api:1"}],
        });
        let object = |value: Value| Object::from_value(value).unwrap();
        let mut objects = vec![
            object(
                json!({"kind": "CronJob", "image": "api", "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}}),
            ),
            object(
                json!({"kind": "CustomResourceDefinition", "spec": {"containers": [{"image": "api"}]}}),
            ),
        ];
        let untouched = objects[1].clone();
        let images = [
            ResolvedImage {
                name: "api".to_owned(),
                new_name: None,
                tag: "v2".to_owned(),
            },
            ResolvedImage {
                name: "host:5000/api".to_owned(),
                new_name: Some("new/api".to_owned()),
                tag: "v3".to_owned(),
            },
        ];
        assert_eq!(substitute(&mut objects, &images), 4);
        let containers = "/spec/jobTemplate/spec/template/spec/containers";
        let found: Vec<&str> = (0..5)
            .map(|at| {
                objects[0]
                    .at(&format!("{containers}/{at}/image"))
                    .unwrap()
                    .as_str()
                    .unwrap()
            })
            .collect();
        assert_eq!(
            found,
            ["api:v2", "api:v2", "apiary:1", "new/api:v3", "other/api:1"]
        );
        assert_eq!(objects[0].at("/image"), Some(&json!("api")));
        assert!(objects[1] == untouched);
    }
}
