//! A CEL condition on any JSON, with the limits and the words of the checks of custom kinds. Must put no text of the JSON into
//! a message: it may be secret.

use std::sync::Arc;

use cel::Context;
use cel::common::ast::Expr;
use cel::parser::Expression;
use serde_json::Value as Json;

use super::checks::{Compiled, compile, env, longest, parts};

/// `self` is the JSON.
#[derive(Clone)]
pub struct Condition(Arc<Compiled>);

impl Condition {
    /// # Errors
    /// It is not CEL: why.
    pub fn compile(source: &str) -> Result<Self, String> {
        Ok(Self(Arc::new(compile(source)?)))
    }

    /// # Errors
    /// It can be evaluated to neither on this JSON: why.
    pub fn holds(&self, value: &Json) -> Result<bool, String> {
        let mut context = Context::with_env(Arc::new(env()));
        context
            .add_variable("self", value.clone())
            .map_err(|_| "the answer cannot be read by CEL".to_owned())?;
        self.0.evaluate(&context, longest(value))
    }

    /// The numbers and booleans of the JSON that the condition names, as `errors = 7`: in the order of the condition, each once.
    pub fn readings(&self, value: &Json) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.0.expression, value, &mut found);
        found
    }
}

fn collect(expression: &Expression, value: &Json, found: &mut Vec<String>) {
    if let Some(path) = path(expression) {
        let pointed = path
            .iter()
            .try_fold(value, |value, name| value.get(name.as_str()));
        if let Some(reading @ (Json::Number(_) | Json::Bool(_))) = pointed {
            let reading = format!("{} = {reading}", path.join("."));
            if !found.contains(&reading) {
                found.push(reading);
            }
        }
        return;
    }
    parts(expression, &mut |part| collect(part, value, found));
}

/// The fields of `self` that an expression goes through; `None` where it is anything else.
fn path(expression: &Expression) -> Option<Vec<String>> {
    match &expression.expr {
        Expr::Ident(name) if name == "self" => Some(Vec::new()),
        Expr::Select(select) => {
            let mut path = path(&select.operand)?;
            path.push(select.field.clone());
            Some(path)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_on_answers() {
        let answer = json!({
            "errors": 3, "rate": 0.25, "ok": true, "name": "secret", "deep": {"list": [1, 2]}, "id": 9_007_199_254_740_993_i64,
        });
        let of = |source: &str| Condition::compile(source).unwrap().holds(&answer);
        for source in [
            "self.errors < 4",
            "self.errors + self.deep.list[1] == 5",
            "self.rate <= 0.25 && self.ok",
            "self.deep.list.all(one, one > 0)",
            "!has(self.none)",
            "self.name == 'secret'",
        ] {
            assert_eq!(of(source), Ok(true), "{source}");
        }
        assert_eq!(of("self.errors < 3"), Ok(false));
        for (source, why) in [
            ("self.none < 3", "there is no field none"),
            ("self.errors", "not a boolean"),
            ("other.errors < 3", "other is not known"),
            ("self.name < 3", ""),
        ] {
            let told = of(source).unwrap_err();
            assert!(told.contains(why) && !told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn what_is_not_cel_does_not_compile() {
        for source in ["self.", "self.a <", "", &"(".repeat(100)] {
            assert!(Condition::compile(source).is_err(), "{source}");
        }
    }

    #[test]
    fn the_numbers_that_it_names_are_told_and_no_text() {
        let answer = json!({"errors": 7, "ok": false, "token": "secret", "deep": {"p99": 0.5}});
        let readings = |source: &str| Condition::compile(source).unwrap().readings(&answer);
        assert_eq!(
            readings(
                "self.errors < 3 && self.deep.p99 < 1.0 && self.errors > 0 && self.token == 'a'"
            ),
            ["errors = 7", "deep.p99 = 0.5"]
        );
        assert_eq!(
            readings("self.ok || self.none == 1 || self.deep == 1"),
            ["ok = false"]
        );
    }
}
