//! `$(NAME)` in the fields that may hold it becomes the value of the var.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::config::Config;
use super::context::{Budget, Context};
use super::error::{BuildError, Result, fail};
use super::fieldspec::{apply, split_field_path};
use super::id::ResId;
use super::node;
use super::resources::Resources;
use super::types::Var;
use crate::yaml::{Kind, NodeId, Style, Tag, Tree, float_text};

/// The value of a var.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// A map or a list, which replaces nothing.
    Other,
}

pub type Vars = BTreeMap<String, Var>;

/// Adds the vars of a kustomization, and marks the objects that they take their values from.
pub fn merge_vars(
    context: &mut Context<'_>,
    resources: &mut Resources,
    vars: &mut Vars,
    more: &[Var],
) -> Result<()> {
    for var in more {
        let target = &var.target;
        let matches = |id: &ResId| {
            if target.namespace.is_empty() {
                target.same_name(id)
            } else {
                target.same(id)
            }
        };
        match resources.matching_any_id(context, &target.name, matches)[..] {
            [] => {}
            [at] => resources.change(context, at, |_, resource| {
                resource.vars.push(var.name.clone());
                Ok(())
            })?,
            ref many => {
                return fail(format!(
                    "found {} resId matches for var {} of {target} (unable to disambiguate)",
                    many.len(),
                    var.name
                ));
            }
        }
    }
    add_vars(vars, more.iter().cloned())
}

/// Adds vars; one whose name is there already is an error.
pub fn add_vars(vars: &mut Vars, more: impl IntoIterator<Item = Var>) -> Result<()> {
    for var in more {
        if vars.contains_key(&var.name) {
            return fail(format!("var '{}' already encountered", var.name));
        }
        vars.insert(var.name.clone(), var);
    }
    Ok(())
}

/// Replaces all vars, if there are any.
pub fn resolve_vars(
    context: &mut Context<'_>,
    resources: &mut Resources,
    config: &Config,
    vars: &Vars,
) -> Result<()> {
    if vars.is_empty() {
        return Ok(());
    }
    replace_vars(context, resources, config, vars)
}

#[inline(never)]
fn replace_vars(
    context: &mut Context<'_>,
    resources: &mut Resources,
    config: &Config,
    vars: &Vars,
) -> Result<()> {
    let mut values = HashMap::new();
    for var in vars.values() {
        values.insert(var.name.clone(), value_of(context, resources, var)?);
    }
    let mut used = BTreeSet::new();
    for resource in resources.list_mut() {
        for spec in &config.var_reference {
            let mut replacer = Replacer {
                values: &values,
                used: &mut used,
                budget: context.budget(),
            };
            apply(
                &mut context.tree,
                resource.root,
                spec,
                None,
                &mut |tree, id| replacer.set(tree, id),
            )
            .map_err(|errors| errors.each(|error| resource.origin.place(error)))?;
        }
    }
    let unused: Vec<&str> = vars
        .keys()
        .map(String::as_str)
        .filter(|name| !used.contains(*name))
        .collect();
    if !unused.is_empty() {
        context.warnings.push(format!(
            "well-defined vars that were never replaced: {}",
            unused.join(",")
        ));
    }
    Ok(())
}

fn value_of(context: &mut Context<'_>, resources: &Resources, var: &Var) -> Result<Value> {
    let holder = resources
        .list()
        .iter()
        .find(|resource| resource.vars.contains(&var.name));
    let Some(holder) = holder else {
        return fail(format!(
            "var '{}' of {} cannot be mapped to a field in the set of known resources",
            var.name, var.target
        ));
    };
    let missing = || {
        BuildError::new(format!(
            "the field `{}` of var '{}' was not found in {}",
            var.field_path, var.name, var.target
        ))
    };
    let path = slice_indices(split_field_path(&var.field_path));
    let found = node::lookup(&mut context.tree, holder.root, &path, None).map_err(|_| missing())?;
    let found = found.ok_or_else(missing)?;
    let field = context.tree.node(found);
    if field.kind != Kind::Scalar {
        return Ok(Value::Other);
    }
    let text = &field.text;
    Ok(match field.tag {
        Tag::Int => Value::Int(text.parse().map_err(|_| missing())?),
        Tag::Float => Value::Float(text.parse().map_err(|_| missing())?),
        Tag::Bool => Value::Bool(text.to_lowercase().parse().map_err(|_| missing())?),
        _ => Value::Text(text.to_string()),
    })
}

/// `ports[0]` becomes `ports`, `0`.
fn slice_indices(path: Vec<String>) -> Vec<String> {
    let mut result = Vec::new();
    for part in path {
        let split = part
            .strip_suffix(']')
            .and_then(|rest| rest.rsplit_once('['));
        match split {
            Some((name, index))
                if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) =>
            {
                if !name.is_empty() {
                    result.push(name.to_owned());
                }
                result.push(index.to_owned());
            }
            _ => result.push(part),
        }
    }
    result
}

struct Replacer<'v> {
    values: &'v HashMap<String, Value>,
    used: &'v mut BTreeSet<String>,
    budget: Budget,
}

impl Replacer<'_> {
    fn set(&mut self, tree: &mut Tree, id: NodeId) -> Result<()> {
        if tree.node(id).is_null() {
            return Ok(());
        }
        match tree.kind(id) {
            Kind::Scalar => {
                if tree.node(id).is_string() {
                    self.update(tree, id)?;
                }
                Ok(())
            }
            Kind::Map => {
                for (key, value) in tree.pairs(id).collect::<Vec<_>>() {
                    if !tree.node(key).is_string() {
                        return fail(format!("the key `{}` is not a string", tree.text(key)));
                    }
                    if tree.node(value).is_string() {
                        self.update(tree, value)?;
                    }
                }
                Ok(())
            }
            Kind::Seq => {
                for element in tree.elements(id).to_vec() {
                    if !tree.node(element).is_string() {
                        let error = BuildError::new("a list of strings is expected")
                            .at(tree.node(element).place);
                        return Err(error.into());
                    }
                    self.update(tree, element)?;
                }
                Ok(())
            }
            Kind::Empty => fail("a value is expected"),
        }
    }

    fn update(&mut self, tree: &mut Tree, id: NodeId) -> Result<()> {
        let new = self.replace(tree.text(id), tree.text_size())?;
        let node = tree.node_mut(id);
        node.style = Style::Plain;
        node.tagged = false;
        let (text, tag) = match new {
            Value::Int(value) => (value.to_string(), Tag::Int),
            Value::Float(value) => (decimal(value), Tag::Float),
            Value::Bool(value) => (value.to_string(), Tag::Bool),
            Value::Text(text) => (text, Tag::Str),
            Value::Other => return Ok(()),
        };
        tree.node_mut(id).tag = tag;
        tree.set_made_text(id, text);
        Ok(())
    }

    /// The value of `$(name)`; as text if it has none.
    fn mapped(&mut self, name: &str) -> Value {
        match self.values.get(name) {
            Some(value) if *value != Value::Other => {
                self.used.insert(name.to_owned());
                value.clone()
            }
            _ => Value::Text(format!("$({name})")),
        }
    }

    /// The text with its vars replaced, where so many bytes were made before.
    fn replace(&mut self, input: &str, made: usize) -> Result<Value> {
        let mut result = String::new();
        let mut rest = input;
        while let Some(at) = rest.find('$') {
            self.budget.check_text(made + result.len())?;
            if at + 1 >= rest.len() {
                break;
            }
            result.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(more) = after.strip_prefix('$') {
                result.push('$');
                rest = more;
            } else if let Some((name, more)) = after
                .strip_prefix('(')
                .and_then(|after| after.split_once(')'))
            {
                let value = self.mapped(name);
                if more.is_empty() && at == 0 && result.is_empty() && rest.len() == input.len() {
                    return Ok(value);
                }
                match value {
                    Value::Text(text) => result.push_str(&text),
                    Value::Int(value) => result.push_str(&value.to_string()),
                    Value::Float(value) => result.push_str(&float_text(value)),
                    Value::Bool(value) => result.push_str(&value.to_string()),
                    Value::Other => {}
                }
                rest = more;
            } else {
                let next = after.chars().next().map_or(0, char::len_utf8);
                result.push('$');
                result.push_str(&after[..next]);
                rest = &after[next..];
            }
        }
        result.push_str(rest);
        Ok(Value::Text(result))
    }
}

/// A float without exponent.
fn decimal(value: f64) -> String {
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kustomize::BuildOptions;
    use crate::tree::MemoryFiles;

    #[test]
    fn replaces() {
        let values = HashMap::from([
            ("A".to_owned(), Value::Text("x".to_owned())),
            ("N".to_owned(), Value::Int(5)),
        ]);
        let mut used = BTreeSet::new();
        let mut replacer = Replacer {
            values: &values,
            used: &mut used,
            budget: Context::new(&MemoryFiles::default(), &BuildOptions::default(), None).budget(),
        };
        for (input, expected) in [
            ("$(A)", "x"),
            ("a $(A) b $(N)", "a x b 5"),
            ("$$(A)", "$(A)"),
            ("$(B)-$(A)", "$(B)-x"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
        ] {
            assert_eq!(
                replacer.replace(input, 0),
                Ok(Value::Text(expected.to_owned())),
                "{input}"
            );
        }
        assert_eq!(replacer.replace("$(N)", 0), Ok(Value::Int(5)));
        assert_eq!(
            slice_indices(vec!["a[0]".to_owned(), "b".to_owned()]),
            ["a", "0", "b"]
        );
    }
}
