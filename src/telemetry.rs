//! Logs: text or JSON lines to standard error, with `repository`, `environment` and `revision` as fields. Must not decide
//! what is worth a line.

use std::io::{IsTerminal, stderr};

use clap::ValueEnum;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, ParseError, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, the fields at its top.
    Json,
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the log filter {filter:?} cannot be read")]
    Filter {
        filter: String,
        #[source]
        source: ParseError,
    },
    #[error("logging was set up before")]
    Twice(#[from] TryInitError),
}

/// Sets up the logs of this process. `filter`: a level, or `module=level` separated by commas.
pub fn init(format: Format, filter: &str) -> Result<(), TelemetryError> {
    subscriber(format, filter, stderr().is_terminal(), stderr)?.try_init()?;
    Ok(())
}

fn subscriber(
    format: Format,
    filter: &str,
    colours: bool,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError> {
    let parsed = EnvFilter::try_new(filter).map_err(|source| TelemetryError::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    // What libraries say below `info` holds requests and answers, and with them the values of Secrets, whatever is asked for. So
    // does what kube says, as a warning, of an answer that it cannot read; who asked tells that it could not be read.
    let discreet = filter_fn(|line| {
        line.target().starts_with("driftless")
            || (*line.level() <= Level::INFO && line.target() != "kube_client::client")
    });
    let builder = fmt().with_env_filter(parsed).with_writer(writer);
    Ok(match format {
        Format::Text => Box::new(
            builder
                .with_ansi(colours)
                .with_target(false)
                .finish()
                .with(discreet),
        ),
        // The spans are those of libraries (one per request): our own fields are on the events.
        Format::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish()
                .with(discreet),
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(format, filter, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(
                environment = "shop/production",
                revision = "3f2c1ab",
                "applied"
            );
            tracing::debug!("not asked for");
            tracing::debug!(target: "kube_client::client", "Unsuccessful: the value of a Secret");
            tracing::warn!(target: "kube_client::client", "the value of a Secret, which is not JSON");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_lines_carry_the_fields_at_their_top() {
        let text = logged(Format::Json, "info");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "applied");
        assert_eq!(line["environment"], "shop/production");
        assert_eq!(line["revision"], "3f2c1ab");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn text_lines_are_plain_without_a_terminal() {
        let text = logged(Format::Text, "info");
        assert!(
            text.ends_with("INFO applied environment=\"shop/production\" revision=\"3f2c1ab\"\n"),
            "{text}"
        );
    }

    #[test]
    fn what_libraries_say_of_requests_is_never_told() {
        for filter in ["trace", "trace,kube_client=trace"] {
            for format in [Format::Text, Format::Json] {
                let text = logged(format, filter);
                assert!(text.contains("not asked for"), "{text}");
                assert!(!text.contains("the value of a Secret"), "{text}");
            }
        }
    }

    #[test]
    fn the_filter_decides_and_a_bad_one_is_named() {
        assert_eq!(logged(Format::Text, "warn"), "");
        let Err(error) = subscriber(Format::Text, "driftless=loud", false, stderr) else {
            panic!("a level that does not exist");
        };
        assert_eq!(
            error.to_string(),
            "the log filter \"driftless=loud\" cannot be read"
        );
    }
}
