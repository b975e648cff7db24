//! How often a field was repaired, and when that is enough. Must not repair anything.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::object::Id;

/// So many repairs of one field within [`WITHIN`] make it contested.
const REPAIRS: usize = 3;
const WITHIN: SignedDuration = SignedDuration::from_mins(1);
/// So long a contested field is left.
const REST: SignedDuration = SignedDuration::from_mins(5);

/// The repairs of one environment's fields.
#[derive(Clone, Debug, Default)]
pub struct Damper(BTreeMap<(Id, String), Vec<Timestamp>>);

impl Damper {
    /// A field was repaired.
    pub fn record(&mut self, id: &Id, field: &str, now: Timestamp) {
        self.0.retain(|_, repairs| {
            repairs
                .last()
                .is_some_and(|last| now.duration_since(*last) < REST)
        });
        let repairs = self.0.entry((id.clone(), field.to_owned())).or_default();
        repairs.push(now);
        let excess = repairs.len().saturating_sub(REPAIRS);
        repairs.drain(..excess);
    }

    /// Until when the field is left, if it was repaired too often.
    pub fn contested(&self, id: &Id, field: &str, now: Timestamp) -> Option<Timestamp> {
        let repairs = self.0.get(&(id.clone(), field.to_owned()))?;
        let (first, last) = (repairs.first()?, repairs.last()?);
        let often = repairs.len() >= REPAIRS && last.duration_since(*first) < WITHIN;
        let until = last.checked_add(REST).ok()?;
        (often && now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn config_map() -> Id {
        Id {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: None,
            name: "map".to_owned(),
        }
    }

    #[test]
    fn three_repairs_within_a_minute_rest_the_field_for_five() {
        let id = config_map();
        let mut damper = Damper::default();
        for second in [0, 20] {
            damper.record(&id, "data.key", at(second));
            assert_eq!(damper.contested(&id, "data.key", at(second)), None);
        }
        damper.record(&id, "data.key", at(40));
        assert_eq!(damper.contested(&id, "data.key", at(41)), Some(at(340)));
        assert_eq!(damper.contested(&id, "data.other", at(41)), None);
        assert_eq!(damper.contested(&id, "data.key", at(340)), None);
    }

    #[test]
    fn repairs_that_are_spread_out_contest_nothing() {
        let id = config_map();
        let mut damper = Damper::default();
        for second in [0, 40, 80, 120, 160] {
            damper.record(&id, "data.key", at(second));
            assert_eq!(damper.contested(&id, "data.key", at(second)), None);
        }
    }
}
