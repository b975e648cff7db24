//! Names and tags of images.

use super::context::Context;
use super::error::{BuildErrors, Result};
use super::fieldspec::{FieldSpec, apply};
use super::node;
use super::regex::Regex;
use super::resources::Resources;
use super::types::Image;
use crate::yaml::{Kind, NodeId, Tag, Tree};

/// Splits an image into name, tag and digest.
fn split_image(image: &str) -> (&str, &str, &str) {
    let start = image.find('/').filter(|at| *at > 0).unwrap_or(0);
    let find = |c: char| image[start..].find(c).map(|at| at + start);
    match (find(':'), find('@')) {
        (None, None) => (image, "", ""),
        (Some(colon), Some(at)) if colon < at => {
            (&image[..colon], &image[colon + 1..at], &image[at + 1..])
        }
        (_, Some(at)) => (&image[..at], "", &image[at + 1..]),
        (Some(colon), None) => (&image[..colon], &image[colon + 1..], ""),
    }
}

fn new_image(image: &Image, old: &str) -> String {
    let (name, mut tag, mut digest) = split_image(old);
    let name = if image.new_name.is_empty() {
        name
    } else {
        &image.new_name
    };
    let suffixed;
    if !image.new_tag.is_empty() {
        tag = &image.new_tag;
        digest = &image.digest;
    } else if !image.digest.is_empty() {
        tag = "";
        digest = &image.digest;
    } else if !image.tag_suffix.is_empty() {
        suffixed = format!("{tag}{}", image.tag_suffix);
        tag = &suffixed;
        digest = "";
    }
    let mut new = name.to_owned();
    if !tag.is_empty() {
        new.push(':');
        new.push_str(tag);
    }
    if !digest.is_empty() {
        new.push('@');
        new.push_str(digest);
    }
    new
}

/// Changes the names and tags of images.
#[inline(never)]
pub fn set_images(
    context: &mut Context<'_>,
    resources: &mut Resources,
    image: &Image,
    specs: &[FieldSpec],
) -> Result<()> {
    let pattern = format!(
        "^{}(:[a-zA-Z0-9_.{{}}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{{}}-]*)?$",
        image.name
    );
    let regex = match Regex::new(&pattern) {
        Ok(regex) => regex,
        Err(error) => {
            let name = &image.name;
            context.warnings.push(format!(
                "the image name `{name}` {error}; it matches nothing"
            ));
            return Ok(());
        }
    };
    let set = |tree: &mut Tree, id: NodeId| -> Result<()> {
        node::demand(tree, id, Kind::Scalar)?;
        let old = tree.text(id);
        if !regex.is_match(old) {
            return Ok(());
        }
        let new = new_image(image, old);
        node::set_text(tree, id, &new, Tag::None)
    };
    for at in 0..resources.len() {
        let resource = &resources.list()[at];
        if node::kind(&context.tree, resource.root) == "CustomResourceDefinition" {
            continue;
        }
        let place = |errors: BuildErrors| errors.each(|error| resource.origin.place(error));
        containers(&mut context.tree, resource.root, &set).map_err(place)?;
        context.check_budget()?;
    }
    for at in 0..resources.len() {
        let resource = &resources.list()[at];
        if node::kind(&context.tree, resource.root) == "CustomResourceDefinition" {
            continue;
        }
        for spec in specs {
            apply(
                &mut context.tree,
                resource.root,
                spec,
                None,
                &mut |tree, id| set(tree, id),
            )
            .map_err(|errors| errors.each(|error| resource.origin.place(error)))?;
        }
        context.check_budget()?;
    }
    // Fields of one's own may be names.
    resources.list_mut();
    Ok(())
}

/// Calls `set` for the images of all lists named `containers` or `initContainers`.
fn containers(
    tree: &mut Tree,
    id: NodeId,
    set: &dyn Fn(&mut Tree, NodeId) -> Result<()>,
) -> Result<()> {
    match tree.kind(id) {
        Kind::Map => {
            for (key, value) in tree.pairs(id).collect::<Vec<_>>() {
                containers(tree, value, set)?;
                if matches!(tree.text(key), "containers" | "initContainers")
                    && tree.kind(value) == Kind::Seq
                {
                    for element in tree.elements(value).to_vec() {
                        if let Some(image) = node::field(tree, element, "image", None)? {
                            set(tree, image)?;
                        }
                    }
                }
            }
        }
        Kind::Seq => {
            for element in tree.elements(id).to_vec() {
                containers(tree, element, set)?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images() {
        assert_eq!(split_image("nginx"), ("nginx", "", ""));
        assert_eq!(split_image("nginx:1@sha256:2"), ("nginx", "1", "sha256:2"));
        assert_eq!(split_image("host:5000/nginx"), ("host:5000/nginx", "", ""));
        assert_eq!(
            split_image("host:5000/nginx:1"),
            ("host:5000/nginx", "1", "")
        );
        assert_eq!(split_image("nginx@sha256:2"), ("nginx", "", "sha256:2"));
        let image = Image {
            new_name: "x".to_owned(),
            new_tag: "2".to_owned(),
            ..Image::default()
        };
        assert_eq!(new_image(&image, "a/b:1@sha256:0"), "x:2");
    }
}
