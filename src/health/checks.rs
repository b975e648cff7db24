//! Health checks written in CEL: compiled once per spec, evaluated on one object. Must put no value of the object into a
//! message: it may be secret.

use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, MapExpr, StructExpr};
use cel::parser::{Expression, PrattParser};
use cel::{Context, Env, ExecutionError, Value};
use serde_json::Value as Json;

use super::read::cut;
use super::{Health, Reason};
use crate::api::HealthCheck;
use crate::object::Object;

/// How many steps nested comprehensions (`all`, `exists`, `map`…) over the longest list of the object, or of the
/// expression itself, may take: some tenths of a second.
const STEPS: u128 = 100_000;
/// How deep the parts of an expression may lie in each other: parsing and evaluating recurse.
const DEPTH: u16 = 32;
/// How many parts an expression may have.
const NODES: usize = 2_000;
/// How many bytes an expression may have: what the definition of the kind says, too.
const LENGTH: usize = 4_096;

/// An expression that is not CEL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "health check {index} ({kind}): `{field}` is not a CEL expression: {message}: {expression}"
)]
pub struct CheckError {
    /// Its place in `spec.health.checks`, from 0.
    pub index: usize,
    pub kind: String,
    /// `current` or `failed`.
    pub field: &'static str,
    pub expression: String,
    pub message: String,
}

#[derive(Clone)]
struct Check {
    group: String,
    /// `None`: every version.
    version: Option<String>,
    kind: String,
    current: Arc<Compiled>,
    failed: Option<Arc<Compiled>>,
}

pub(super) struct Compiled {
    pub(super) expression: Expression,
    source: String,
    /// How deep its comprehensions are nested.
    nesting: u32,
    /// The length of its longest list.
    longest: usize,
}

/// The checks of one environment.
#[derive(Clone)]
pub struct Checks {
    env: Arc<Env>,
    checks: Vec<Check>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            env: Arc::new(env()),
            checks: Vec::new(),
        }
    }
}

impl Checks {
    /// All expressions that do not compile, not the first.
    pub fn compile(checks: &[HealthCheck]) -> Result<Self, Vec<CheckError>> {
        let mut compiled = Self::default();
        let mut errors = Vec::new();
        for (index, check) in checks.iter().enumerate() {
            let mut compile = |field: &'static str, source: &str| {
                compile(source)
                    .map_err(|message| {
                        errors.push(CheckError {
                            index,
                            kind: check.kind.clone(),
                            field,
                            expression: source.to_owned(),
                            message,
                        });
                    })
                    .ok()
                    .map(Arc::new)
            };
            let current = compile("current", &check.current);
            let failed = check
                .failed
                .as_deref()
                .map(|source| compile("failed", source));
            let (group, version) = group_and_version(&check.api_version);
            if let (Some(current), Some(failed)) =
                (current, failed.map_or(Some(None), |it| it.map(Some)))
            {
                compiled.checks.push(Check {
                    group,
                    version,
                    kind: check.kind.clone(),
                    current,
                    failed,
                });
            }
        }
        if errors.is_empty() {
            Ok(compiled)
        } else {
            Err(errors)
        }
    }

    /// Whether a check is about this kind.
    pub fn concern(&self, group: &str, kind: &str) -> bool {
        self.checks
            .iter()
            .any(|check| check.group == group && check.kind == kind)
    }

    /// What the checks of the object's kind say; `None` where there is none. All of them have to hold.
    pub(super) fn assess(&self, object: &Object) -> Option<Health> {
        let mut checks = self
            .checks
            .iter()
            .filter(|check| {
                check.group == object.group()
                    && check.kind == object.kind()
                    && check
                        .version
                        .as_deref()
                        .is_none_or(|version| version == object.version())
            })
            .peekable();
        checks.peek()?;
        let value = Json::Object(object.0.clone());
        let longest = longest(&value);
        let mut context = Context::with_env(Arc::clone(&self.env));
        if context.add_variable("self", value).is_err() {
            return Some(unclear("self", "the object cannot be read by CEL"));
        }
        let mut waits = None;
        for check in checks {
            let failed = check
                .failed
                .as_deref()
                .map(|failed| failed.holds(&context, longest));
            match failed {
                Some(Ok(true)) => {
                    return Some(Health::Failed {
                        reason: Reason::CheckFailed,
                        message: format!("`{}` is true", check.failed.as_deref()?.source),
                    });
                }
                Some(Err(health)) => {
                    waits.get_or_insert(health);
                }
                Some(Ok(false)) | None => {}
            }
            match check.current.holds(&context, longest) {
                Ok(true) => {}
                Ok(false) => {
                    waits.get_or_insert(Health::InProgress {
                        reason: Reason::CheckNotMet,
                        message: format!("`{}` is not true", check.current.source),
                    });
                }
                Err(health) => {
                    waits.get_or_insert(health);
                }
            }
        }
        Some(waits.unwrap_or(Health::Current))
    }
}

impl Compiled {
    /// What cannot be evaluated is not true and not false: it is unclear, and says why.
    fn holds(&self, context: &Context, longest: usize) -> Result<bool, Health> {
        self.evaluate(context, longest)
            .map_err(|why| unclear(&self.source, &why))
    }

    /// On `self`, in which no list or map is longer than `longest`.
    pub(super) fn evaluate(&self, context: &Context, longest: usize) -> Result<bool, String> {
        let longest = longest.max(self.longest);
        if (longest as u128).saturating_pow(self.nesting) > STEPS {
            return Err(format!(
                "its loops are too deep for a list of {longest} elements"
            ));
        }
        match Value::resolve(&self.expression, context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("it gives a {} and not a boolean", other.type_of())),
            Err(error) => Err(describe(&error, &self.source)),
        }
    }
}

fn unclear(source: &str, why: &str) -> Health {
    Health::InProgress {
        reason: Reason::CheckError,
        message: format!("`{source}`: {why}"),
    }
}

/// Names what went wrong without the values that it went wrong with.
fn describe(error: &ExecutionError, source: &str) -> String {
    match error {
        // A key that the expression does not spell out was computed from the object.
        ExecutionError::NoSuchKey(key) if source.contains(key.as_str()) => {
            format!("there is no field {key}")
        }
        ExecutionError::NoSuchKey(_) => "there is no such field".to_owned(),
        ExecutionError::UndeclaredReference(name) => format!("{name} is not known"),
        ExecutionError::NoSuchOverload(error) => error.to_string(),
        ExecutionError::UnexpectedType { got, want } => format!("it is a {got} and not a {want}"),
        ExecutionError::FunctionError { function, .. } => format!("the function {function} failed"),
        ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "it divides by zero".to_owned()
        }
        _ => "it cannot be evaluated on this object".to_owned(),
    }
}

/// What all expressions may use.
pub(super) fn env() -> Env {
    Env::stdlib().with_optional_support(true)
}

/// The Pratt parser counts its recursion; the crate's other one overflows the stack at sixteen brackets.
pub(super) fn compile(source: &str) -> Result<Compiled, String> {
    if source.len() > LENGTH {
        return Err(format!("it has more than {LENGTH} bytes"));
    }
    let expression = PrattParser::new()
        .max_recursion_depth(DEPTH)
        .max_expression_node_count(NODES)
        .enable_optional_syntax(true)
        .parse(source)
        .map_err(|errors| {
            let words = errors.errors.iter().map(|error| error.msg.as_str());
            cut(&words.collect::<Vec<_>>().join("; "))
        })?;
    if depth(&expression) > usize::from(DEPTH) {
        return Err(format!("it has more than {DEPTH} parts within each other"));
    }
    Ok(Compiled {
        nesting: nesting(&expression),
        longest: longest_literal(&expression),
        expression,
        source: source.to_owned(),
    })
}

/// Calls `visit` with the parts of an expression.
pub(super) fn parts<'a>(expression: &'a Expression, visit: &mut dyn FnMut(&'a Expression)) {
    match &expression.expr {
        Expr::Call(call) => call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .for_each(visit),
        Expr::Comprehension(it) => [
            &it.iter_range,
            &it.accu_init,
            &it.loop_cond,
            &it.loop_step,
            &it.result,
        ]
        .into_iter()
        .for_each(visit),
        Expr::List(list) => list.elements.iter().for_each(visit),
        Expr::Map(MapExpr { entries }) | Expr::Struct(StructExpr { entries, .. }) => {
            for entry in entries {
                match &entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        visit(&entry.key);
                        visit(&entry.value);
                    }
                    EntryExpr::StructField(field) => visit(&field.value),
                }
            }
        }
        Expr::Select(select) => visit(&select.operand),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

fn depth(expression: &Expression) -> usize {
    let mut deepest = 0;
    parts(expression, &mut |part| deepest = deepest.max(depth(part)));
    deepest + 1
}

/// How deep comprehensions are nested: what they range over does not count.
fn nesting(expression: &Expression) -> u32 {
    let mut deepest = 0;
    let range = match &expression.expr {
        Expr::Comprehension(it) => Some(&it.iter_range),
        _ => None,
    };
    parts(expression, &mut |part| {
        let is_body = range.is_some_and(|range| !std::ptr::eq(range, part));
        deepest = deepest.max(nesting(part) + u32::from(is_body));
    });
    deepest
}

fn longest_literal(expression: &Expression) -> usize {
    let mut longest = match &expression.expr {
        Expr::List(list) => list.elements.len(),
        Expr::Map(map) => map.entries.len(),
        _ => 0,
    };
    parts(expression, &mut |part| {
        longest = longest.max(longest_literal(part));
    });
    longest
}

/// The length of the longest list or map in it.
pub(super) fn longest(value: &Json) -> usize {
    match value {
        Json::Array(list) => list.iter().map(longest).max().unwrap_or(0).max(list.len()),
        Json::Object(map) => map.values().map(longest).max().unwrap_or(0).max(map.len()),
        _ => 0,
    }
}

/// `group/version`, `group` alone, or a version alone, which is the core group's.
fn group_and_version(api_version: &str) -> (String, Option<String>) {
    match api_version.split_once('/') {
        Some((group, version)) => (group.to_owned(), Some(version.to_owned())),
        None if is_version(api_version) => (String::new(), Some(api_version.to_owned())),
        None => (api_version.to_owned(), None),
    }
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.contains('.'))
}
