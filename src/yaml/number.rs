//! Floats as Go writes them.

/// A float as Go's `%g` writes it, and so as YAML has it.
pub fn float_text(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let (sign, digits, exponent) = shortest(value);
    if value == 0.0 || (-4..6).contains(&exponent) {
        return plain(sign, &digits, exponent);
    }
    scientific(sign, &digits, exponent, true)
}

/// A float as Go's JSON encoder writes it.
pub fn json_float_text(value: f64) -> String {
    let (sign, digits, exponent) = shortest(value);
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        scientific(sign, &digits, exponent, false)
    } else {
        plain(sign, &digits, exponent)
    }
}

/// Sign, the shortest digits that mean this number, and the decimal exponent of the first of them.
fn shortest(value: f64) -> (&'static str, String, i32) {
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let sign = if value.is_sign_negative() { "-" } else { "" };
    (
        sign,
        mantissa.replace('.', ""),
        exponent.parse().unwrap_or(0),
    )
}

fn plain(sign: &str, digits: &str, exponent: i32) -> String {
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if exponent < 0 {
        format!("{sign}0.{}{digits}", zeros(-exponent - 1))
    } else if exponent + 1 >= length {
        format!("{sign}{digits}{}", zeros(exponent + 1 - length))
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(exponent + 1).unwrap_or(0));
        format!("{sign}{whole}.{fraction}")
    }
}

fn scientific(sign: &str, digits: &str, exponent: i32, two_digits: bool) -> String {
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    let direction = if exponent < 0 { '-' } else { '+' };
    let size = exponent.abs();
    if two_digits || size >= 10 {
        format!("{sign}{first}{dot}{rest}e{direction}{size:02}")
    } else {
        format!("{sign}{first}{dot}{rest}e{direction}{size}")
    }
}
