//! The course of one case: twelve objects are applied, something bad happens, the status and an Event tell, drift is still
//! undone, the agent starts anew, what was done is undone; and in all that time nothing is deleted.

use std::{collections::BTreeMap, fmt::Write as _};

use driftless::api::EnvironmentStatus;
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream,
};

use super::{
    place::{NAME, OBJECTS, Place, telling},
    secrets,
    world::{World, patiently},
};
use crate::support::{
    node::Node,
    status::{condition, is_ready},
};

/// What has to be told.
pub enum Told {
    /// Ready is not True, and what is told names all of these. `{commit}` is the first digits of the bad commit.
    Error(&'static [&'static str]),
    /// The revision is applied; its deletions are held, for a reason with these words.
    Held(&'static str),
    /// One of the two.
    ErrorOrHeld,
    /// There is nothing wrong after all.
    Ready,
}

type Does = Box<dyn for<'a> Fn(&'a Place) -> BoxFuture<'a, Result<(), String>>>;

pub struct Case {
    name: &'static str,
    told: Told,
    does: Does,
    undoes: Does,
    front: bool,
    /// Whether drift can be undone meanwhile.
    keeps: bool,
}

impl Case {
    /// Something is done to the repository.
    pub fn git(name: &'static str, told: Told, does: impl Fn(&Place) + 'static) -> Self {
        Self::any(name, told, move |place| {
            does(place);
            async { Ok(()) }.boxed()
        })
    }

    /// The way to the Git server behaves like this while something else is committed.
    pub fn network(name: &'static str, told: Told, does: impl Fn(&Place) + 'static) -> Self {
        Self {
            front: true,
            ..Self::git(name, told, does)
        }
    }

    pub fn any(
        name: &'static str,
        told: Told,
        does: impl for<'a> Fn(&'a Place) -> BoxFuture<'a, Result<(), String>> + 'static,
    ) -> Self {
        Self {
            name,
            told,
            does: Box::new(does),
            undoes: Box::new(|place| {
                place.heal();
                async { Ok(()) }.boxed()
            }),
            front: false,
            keeps: true,
        }
    }

    /// How it is undone, where that is not a commit.
    pub fn undone(
        self,
        undoes: impl for<'a> Fn(&'a Place) -> BoxFuture<'a, Result<(), String>> + 'static,
    ) -> Self {
        Self {
            undoes: Box::new(undoes),
            ..self
        }
    }

    /// Nothing can be written meanwhile.
    pub fn without_hands(self) -> Self {
        Self {
            keeps: false,
            ..self
        }
    }
}

/// A case under way.
struct Course {
    case: Case,
    place: Place,
    before: BTreeMap<String, String>,
    failed: Option<String>,
}

impl Course {
    async fn begin(world: &World, case: Case) -> Result<Self, String> {
        let at = |error: String| format!("{}: at first: {error}", case.name);
        let place = Place::new(world, case.front).await.map_err(at)?;
        let applied = async {
            place.ready(NAME, &place.good).await?;
            let before = place.objects().await?;
            if before.len() == OBJECTS {
                Ok(before)
            } else {
                Err(format!(
                    "{} objects are applied, not {OBJECTS}: {before:#?}",
                    before.len()
                ))
            }
        };
        match applied.await {
            Ok(before) => Ok(Self {
                case,
                place,
                before,
                failed: None,
            }),
            Err(error) => {
                place.leave().await;
                Err(at(error))
            }
        }
    }

    async fn goes_wrong(&self) -> Result<(), String> {
        (self.case.does)(&self.place).await?;
        // Where the Repository is gone there is nobody to ask.
        let _ = self.place.look().await;
        self.tells().await?;
        if let Told::Error(fragments) = &self.case.told {
            let mut fragments = self.filled(fragments);
            fragments.truncate(1);
            self.place.event(&fragments).await?;
        }
        // What Git no longer has is not kept, and the account that is to write may not be there.
        let held = !self.place.status(NAME).await?.held.is_empty();
        if held || !self.case.keeps {
            Ok(())
        } else {
            self.place.drifts_back().await
        }
    }

    async fn tells(&self) -> Result<(), String> {
        patiently("the status tells", || async {
            let status = self.place.status(NAME).await?;
            if self.is_told(&status) {
                Ok(())
            } else {
                Err(telling(&status))
            }
        })
        .await
    }

    async fn tells_again(&self) -> Result<(), String> {
        self.place.pass(NAME).await?;
        self.tells().await
    }

    async fn heals(&self) -> Result<(), String> {
        (self.case.undoes)(&self.place).await?;
        self.place.look().await?;
        self.place.ready(NAME, &self.place.tip()).await?;
        self.place.pass(NAME).await?;
        self.place.drifts_back().await
    }

    fn filled(&self, fragments: &[&str]) -> Vec<String> {
        let tip = self.place.tip();
        let url = format!("/{}.git", self.place.namespace);
        fragments
            .iter()
            .map(|fragment| {
                fragment
                    .replace("{commit}", &tip[..7])
                    .replace("{url}", &url)
            })
            .collect()
    }

    fn is_told(&self, status: &EnvironmentStatus) -> bool {
        let (ready, reason, _) = condition(status, "Ready");
        let error = ready != "True" && !["", "Progressing", "RepositoryPending"].contains(&reason);
        let deletions: Vec<_> = status
            .held
            .iter()
            .filter(|held| held.action == "delete")
            .collect();
        let held = condition(status, "Held").0 == "True" && !deletions.is_empty();
        match &self.case.told {
            Told::Error(fragments) => {
                let text = telling(status);
                error
                    && self
                        .filled(fragments)
                        .iter()
                        .all(|fragment| text.contains(fragment))
            }
            Told::Held(words) => held && deletions.iter().all(|held| held.reason.contains(words)),
            Told::ErrorOrHeld => error || held,
            Told::Ready => is_ready(status, &self.place.tip()),
        }
    }

    /// That everything from before is still there, the same as before.
    async fn lost_nothing(&self, world: &World) -> Result<(), String> {
        let gone: Vec<_> = world.witness.gone_in(&self.place.namespace);
        let lost: Vec<_> = gone
            .iter()
            .filter(|gone| self.before.values().any(|uid| *uid == gone.uid))
            .collect();
        if !lost.is_empty() {
            return Err(format!("deleted: {lost:?}"));
        }
        let now = self.place.objects().await?;
        let other: Vec<_> = self
            .before
            .iter()
            .filter(|(object, uid)| now.get(*object) != Some(uid))
            .collect();
        if other.is_empty() {
            Ok(())
        } else {
            Err(format!("not the same objects any more: {other:?}"))
        }
    }
}

/// Runs all cases beside each other, each in a place of its own.
pub async fn run(node: &'static Node, cases: Vec<Case>) {
    let mut world = World::new(node).await;
    let mut failures = Vec::new();
    let mut courses = Vec::new();
    // All at once they would only wait for each other.
    let begun: Vec<_> = stream::iter(cases)
        .map(|case| Course::begin(&world, case))
        .buffer_unordered(8)
        .collect()
        .await;
    for begun in begun {
        match begun {
            Ok(course) => courses.push(course),
            Err(failure) => failures.push(failure),
        }
    }
    let done = join_all(courses.iter().map(Course::goes_wrong)).await;
    note(&mut courses, "when it went wrong", done);
    world.restart();
    let done = join_all(
        courses
            .iter()
            .filter(|course| course.failed.is_none())
            .map(Course::tells_again),
    )
    .await;
    note(&mut courses, "after a restart", done);
    let done = join_all(
        courses
            .iter()
            .filter(|course| course.failed.is_none())
            .map(Course::heals),
    )
    .await;
    note(&mut courses, "when it was healed", done);
    for course in &mut courses {
        if let Err(lost) = course.lost_nothing(&world).await {
            let before = course.failed.take().unwrap_or_default();
            course.failed = Some(format!("{}: {lost}\n{before}", course.case.name));
        }
    }
    failures.extend(courses.iter().filter_map(|course| course.failed.clone()));
    world.stop();
    failures.extend(secrets::told(&world).await);
    for course in &courses {
        course.place.leave().await;
    }
    let text = failures.iter().fold(String::new(), |mut text, failure| {
        let _ = writeln!(text, "- {failure}");
        text
    });
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n{text}",
        failures.len(),
        courses.len()
    );
}

/// Takes the outcome of the cases that had not failed before.
fn note(courses: &mut [Course], when: &str, outcomes: Vec<Result<(), String>>) {
    let going = courses.iter_mut().filter(|course| course.failed.is_none());
    for (course, outcome) in going.zip(outcomes) {
        if let Err(error) = outcome {
            course.failed = Some(format!("{}: {when}: {error}", course.case.name));
        }
    }
}
