//! What the machine is given: what was seen of the two sides, of the router and of the revision, and what people say.

use jiff::Timestamp;

/// What was seen since the record was written.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and all combinations happen"
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The digest of the change that Git wants now; `None` where it wants what the stable side runs.
    pub change: Option<String>,
    /// Everything that the record asks for was written.
    pub written: bool,
    /// What of it is refused for good, and why.
    pub refused: Option<String>,
    /// The router has not accepted what was written, in its words.
    pub router_waits: Option<String>,
    pub canary: Side,
    /// Neither the canary nor a pod of it exists.
    pub canary_is_gone: bool,
    pub stable: Side,
    /// Verdicts that fell since the last step, in order.
    pub verdicts: Vec<Verdict>,
    /// The newest word of a person that was not served yet.
    pub command: Option<(String, Command)>,
    /// Every rollout of the revision is proved: traffic may be switched.
    pub may_switch: bool,
    /// Every rollout of the revision is proved, and none keeps its old side any longer; those that this one depends on are
    /// promoted.
    pub may_promote: bool,
    /// The revision was taken: the change is what the stable side is to run from now on.
    pub taken: bool,
    /// Why it goes back, though the change itself is not at fault.
    pub go_back: Option<String>,
    /// Since when somebody looks without a break: older verdicts may no longer hold.
    pub looked_since: Option<Timestamp>,
    /// Why nothing goes on. What is found bad is taken back all the same.
    pub held: Option<String>,
}

/// The pods of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// It is what was written, and every pod of it is ready.
    pub ready: bool,
    /// It will not become so: why.
    pub failure: Option<String>,
    /// The number of its pods.
    pub replicas: u32,
    /// The `pod-template-hash` of its pods, where they all have the same and it is known.
    pub hash: Option<String>,
    /// Pods of two templates are there.
    pub restarting: bool,
    /// It was scaled to 0.
    pub stopped: bool,
}

/// What a check said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub check: String,
    pub outcome: Outcome,
    /// What was measured, or why there is nothing.
    pub value: String,
    /// When it was begun.
    pub at: Timestamp,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    /// Unreachable, empty, stale: no verdict.
    NoData,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Pass => "Pass",
            Outcome::Fail => "Fail",
            Outcome::NoData => "NoData",
        }
    }
}

/// What a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Go on from a pause, or to the next step.
    Promote,
    Abort,
    /// Try a change again that was taken back.
    Retry,
    Pause,
}
