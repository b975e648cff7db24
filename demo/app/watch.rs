//! `demo-app load`: the load generator with a bar for every second, which shows who answers.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::signal::unix::{SignalKind, signal};

use super::load::{Load, Sample, by_version};

/// `ADDRESS HOST PER_SECOND`: a line a second, until SIGTERM or SIGINT; then the sum, as `N requests, M failed`, and each
/// version with its own.
pub async fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [address, host, per_second] = arguments else {
        anyhow::bail!("usage: demo-app load ADDRESS:PORT HOST REQUESTS_PER_SECOND");
    };
    let per_second: u32 = per_second.parse().context("REQUESTS_PER_SECOND")?;
    ensure!(per_second > 0, "REQUESTS_PER_SECOND must be at least 1");
    let mut out = std::io::stdout();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let load = Load::start(address, host, per_second);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.tick().await;
    let mut seen = 0;
    loop {
        tokio::select! {
            _ = second.tick() => {
                let samples = load.so_far(seen);
                seen += samples.len();
                writeln!(out, "{}", line(&samples))?;
            }
            _ = terminated.recv() => break,
            _ = interrupted.recv() => break,
        }
    }
    let samples = load.end().await;
    let fresh = samples.iter().filter(|sample| sample.new_connection);
    writeln!(
        out,
        "{} requests, {} failed; {} on new connections",
        samples.len(),
        failed(&samples),
        fresh.count()
    )?;
    for (version, count) in by_version(&samples) {
        let of_version: Vec<_> = samples
            .iter()
            .filter(|sample| sample.is_of(&version))
            .cloned()
            .collect();
        let name = if version.is_empty() {
            "no answer".to_owned()
        } else {
            format!("version {version}")
        };
        writeln!(
            out,
            "{name}: {count} requests, {} failed",
            failed(&of_version)
        )?;
    }
    Ok(())
}

fn failed(samples: &[Sample]) -> usize {
    samples.iter().filter(|sample| sample.failed()).count()
}

const WIDTH: usize = 50;
const FILLS: [char; 4] = ['█', '▒', '░', '▞'];

/// `██████▒▒  1.0 75 %, 1.1 25 %   failed 0 of 200`
fn line(samples: &[Sample]) -> String {
    let counts = by_version(samples);
    let all = samples.len().max(1);
    let mut bar = String::new();
    let mut words = Vec::new();
    for ((version, count), fill) in counts.iter().zip(FILLS.into_iter().cycle()) {
        let cells = (count * WIDTH + all / 2) / all;
        bar.extend(std::iter::repeat_n(fill, cells));
        let name = if version.is_empty() {
            "nobody"
        } else {
            version
        };
        words.push(format!("{fill} {name} {} %", (count * 100 + all / 2) / all));
    }
    let bar: String = bar.chars().take(WIDTH).collect();
    format!(
        "{bar:<WIDTH$}  {}  failed {} of {}",
        words.join(", "),
        failed(samples),
        samples.len()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_bar_shows_who_answers() {
        let sample = |answer: Result<(&str, bool), &str>| Sample {
            at: Instant::now(),
            new_connection: true,
            answer: answer
                .map(|(version, ok)| (version.to_owned(), ok))
                .map_err(str::to_owned),
        };
        let mut samples = vec![sample(Ok(("1.0", true))); 3];
        samples.push(sample(Ok(("1.1", false))));
        let text = line(&samples);
        assert_eq!(text.chars().filter(|letter| *letter == '█').count(), 39);
        assert!(
            text.ends_with("█ 1.0 75 %, ▒ 1.1 25 %  failed 1 of 4"),
            "{text}"
        );
        samples.push(sample(Err("connect: refused")));
        assert!(
            line(&samples).ends_with("░ 1.1 20 %  failed 2 of 5"),
            "{}",
            line(&samples)
        );
        assert_eq!(line(&[]).trim(), "failed 0 of 0");
    }
}
