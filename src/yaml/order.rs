//! The order in which go-yaml writes keys, and a sort that bears it.

use std::cmp::Ordering;

use serde_json::Value;

/// go-yaml's order of keys: letters behind everything else, numbers by their value.
fn key_order(a: &str, b: &str) -> Ordering {
    let a_runes: Vec<char> = a.chars().collect();
    let b_runes: Vec<char> = b.chars().collect();
    let Some(at) = a_runes.iter().zip(&b_runes).position(|(a, b)| a != b) else {
        return a_runes.len().cmp(&b_runes.len());
    };
    let (x, y) = (a_runes[at], b_runes[at]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut start = 0_i64;
    if x == '0' || y == '0' {
        let before = a_runes[..at]
            .iter()
            .rev()
            .take_while(|c| c.is_ascii_digit());
        if before.into_iter().any(|c| *c != '0') {
            start = 1;
        }
    }
    let run = |runes: &[char]| {
        let digits: Vec<i64> = runes[at..]
            .iter()
            .map_while(|c| c.to_digit(10).map(i64::from))
            .collect();
        let value = digits.iter().fold(start, |value, digit| {
            value.wrapping_mul(10).wrapping_add(*digit)
        });
        (value, digits.len())
    };
    run(&a_runes).cmp(&run(&b_runes)).then(x.cmp(&y))
}

/// A stable sort that keeps `a` before `b` unless `a` is behind `b`; it bears comparisons that contradict each other.
pub fn merge_sort<T>(mut list: Vec<T>, is_behind: &dyn Fn(&T, &T) -> bool) -> Vec<T> {
    if list.len() < 2 {
        return list;
    }
    let right = merge_sort(list.split_off(list.len() / 2), is_behind);
    let left = merge_sort(list, is_behind);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if is_behind(a, b) {
            right.next()
        } else {
            left.next()
        };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

fn is_ascii_key(key: &str) -> bool {
    key.bytes().all(|b| b.is_ascii_alphabetic())
}

pub(super) fn sorted(map: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    if entries.iter().all(|(key, _)| is_ascii_key(key)) {
        entries.sort_unstable_by(|a, b| a.0.cmp(b.0));
    } else {
        // Not a total order for every set of keys, so not for the standard library's sort.
        entries = merge_sort(entries, &|a, b| key_order(a.0, b.0) == Ordering::Greater);
    }
    entries
}
