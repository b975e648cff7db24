//! What is wrong with a build, where it is, and which kustomizations led there.

use std::fmt;

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
            let inner = error.field.take();
            let path = inner.map_or_else(|| field.to_owned(), |inner| format!("{field}.{inner}"));
            error.field(path)
        })
    }

    #[must_use]
    pub fn at(self, place: Place) -> Self {
        self.each(|error| error.at(place))
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

/// Collects the problems of independent steps.
#[derive(Debug, Default)]
pub struct Problems(Vec<BuildError>);

impl Problems {
    /// The value, or nothing and the errors are kept.
    pub fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(errors) => {
                self.0.extend(errors.0);
                None
            }
        }
    }

    pub fn add(&mut self, error: BuildError) {
        self.0.push(error);
    }

    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(BuildErrors(self.0))
        }
    }
}
