//! What is wrong with a build, where it is, and which kustomizations led there.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::tree::FileError;
use crate::yaml::{Place, ValueError, YamlErrors};

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildError {
    /// The file that has to change, as far as that is known.
    pub file: Option<String>,
    /// From 1; 0 where only the file is known.
    pub line: u32,
    pub column: u32,
    /// The field of the kustomization, such as `patches[1].path`.
    pub field: Option<String>,
    pub message: String,
    /// The kustomization files from the one that was asked for to the one with the error.
    pub chain: Vec<String>,
}

impl BuildError {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn in_file(mut self, file: &str) -> Self {
        self.file.get_or_insert_with(|| file.to_owned());
        self
    }

    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        if self.line == 0 {
            self.line = place.line;
            self.column = place.column;
        }
        self
    }

    /// Names the field of the kustomization; not where another file is to blame.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        if self.file.is_none() {
            self.field.get_or_insert_with(|| field.into());
        }
        self
    }
}

impl BuildError {
    /// Whether it is the same thing that has to change, whichever way led there.
    fn same(&self, other: &Self) -> bool {
        let Self {
            file,
            line,
            column,
            field,
            message,
            chain: _,
        } = self;
        (file, line, column, field, message)
            == (
                &other.file,
                &other.line,
                &other.column,
                &other.field,
                &other.message,
            )
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (
            &self.file,
            self.line,
            self.column,
            &self.field,
            &self.message,
        )
            .hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}")?;
            match (self.line, self.column) {
                (0, _) => {}
                (line, 0) => write!(f, ":{line}")?,
                (line, column) => write!(f, ":{line}:{column}")?,
            }
            f.write_str(": ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        let chain: Vec<&str> = self.chain.iter().map(String::as_str).collect();
        if chain.len() > 1 {
            write!(f, " (through {})", chain.join(" → "))?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct BuildErrors(pub Vec<BuildError>);

pub type Result<T> = std::result::Result<T, BuildErrors>;

impl BuildErrors {
    /// Does `f` to every error.
    #[must_use]
    pub fn each(self, f: impl FnMut(BuildError) -> BuildError) -> Self {
        Self(self.0.into_iter().map(f).collect())
    }

    #[must_use]
    pub fn in_file(self, file: &str) -> Self {
        self.each(|error| error.in_file(file))
    }

    #[must_use]
    pub fn field(self, field: &str) -> Self {
        self.each(|error| error.field(field))
    }

    /// Puts a field in front of the one that the errors name.
    #[must_use]
    pub fn below_field(self, field: &str) -> Self {
        self.each(|mut error| {
            if error.file.is_some() {
                return error;
            }
            let inner = error.field.take();
            error.field(match inner {
                Some(inner) if inner.starts_with('[') => format!("{field}{inner}"),
                Some(inner) => format!("{field}.{inner}"),
                None => field.to_owned(),
            })
        })
    }

    #[must_use]
    pub fn at(self, place: Place) -> Self {
        self.each(|error| error.at(place))
    }

    /// Says that the errors are in a text inside of this field: their places count from its first line, and are no places
    /// in a file.
    #[must_use]
    pub fn inline(self, field: &str) -> Self {
        self.each(|mut error| {
            if error.file.is_none() && error.line > 0 {
                error.message = format!("line {} of the text: {}", error.line, error.message);
                (error.line, error.column) = (0, 0);
            }
            error
        })
        .below_field(field)
    }

    /// Puts words in front of every message.
    #[must_use]
    pub fn context(self, words: &str) -> Self {
        self.each(|error| BuildError {
            message: format!("{words}: {}", error.message),
            ..error
        })
    }

    /// Says that the errors came up under this kustomization file.
    #[must_use]
    pub fn under(self, kustomization: &str) -> Self {
        self.each(|mut error| {
            error.chain.insert(0, kustomization.to_owned());
            error.in_file(kustomization)
        })
    }
}

impl From<BuildError> for BuildErrors {
    fn from(error: BuildError) -> Self {
        Self(vec![error])
    }
}

impl From<FileError> for BuildErrors {
    fn from(error: FileError) -> Self {
        BuildError::new(error.to_string()).into()
    }
}

impl From<ValueError> for BuildErrors {
    fn from(error: ValueError) -> Self {
        BuildError::new(error.message).at(error.place).into()
    }
}

impl From<YamlErrors> for BuildErrors {
    fn from(errors: YamlErrors) -> Self {
        Self(
            errors
                .0
                .into_iter()
                .map(|problem| {
                    let error = BuildError::new(problem.message).at(problem.place);
                    if problem.file.is_empty() {
                        error
                    } else {
                        error.in_file(&problem.file)
                    }
                })
                .collect(),
        )
    }
}

/// An error with a message, for `?`.
pub fn fail<T>(message: impl Into<String>) -> Result<T> {
    Err(BuildError::new(message).into())
}

/// Collects the problems of independent steps. What is reached by several ways is said once.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<BuildError>,
    /// Where in `list` the problems with a fingerprint are.
    seen: HashMap<u64, Vec<usize>>,
}

impl Problems {
    /// The value, or nothing and the errors are kept.
    pub fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(errors) => {
                for error in errors.0 {
                    self.add(error);
                }
                None
            }
        }
    }

    pub fn add(&mut self, error: BuildError) {
        let there = self.seen.entry(error.fingerprint()).or_default();
        if !there.iter().any(|at| self.list[*at].same(&error)) {
            there.push(self.list.len());
            self.list.push(error);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn finish(self) -> Result<()> {
        if self.list.is_empty() {
            Ok(())
        } else {
            Err(BuildErrors(self.list))
        }
    }
}
