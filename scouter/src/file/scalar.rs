//! What plain scalars mean (YAML 1.2, "Core Schema").

use super::yaml::Value;

/// The value that a scalar without quotes and tag has.
pub(super) fn resolve(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        number => match integer(number) {
            Some(number) => Value::Int(number),
            None => float(number).map_or_else(|| Value::Text(text.clone()), Value::Float),
        },
    }
}

fn integer(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| i64::from_str_radix(digits, 16).ok())?;
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| i64::from_str_radix(digits, 8).ok())?;
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

fn float(text: &str) -> Option<f64> {
    let (sign, rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { -1.0 } else { 1.0 }, rest),
        None => (1.0, text),
    };
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if rest.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    // Rust reads a few words too; digits decide.
    let digits = rest.bytes().any(|byte| byte.is_ascii_digit());
    let only = rest.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let begins = rest.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    (digits && only && begins).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_resolved_as_the_core_schema_says() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("true", Value::Bool(true)),
            ("FALSE", Value::Bool(false)),
            ("0", Value::Int(0)),
            ("-12", Value::Int(-12)),
            ("+7", Value::Int(7)),
            ("0xdeadbeef", Value::Int(3_735_928_559)),
            ("0o17", Value::Int(15)),
            ("1.5", Value::Float(1.5)),
            ("-.5e1", Value::Float(-5.0)),
            ("12e3", Value::Float(12_000.0)),
            ("1.", Value::Float(1.0)),
            (".inf", Value::Float(f64::INFINITY)),
            ("99999999999999999999", Value::Float(1e20)),
        ] {
            assert_eq!(resolve(text.to_owned()), value, "{text}");
        }
        for text in
            ["yes", "nan", "inf", "infinity", "1.0-rc.2", "0x", "0xg", "0o8", "1 2", "-", ".", "e5", "v1", "--1"]
        {
            assert_eq!(resolve(text.to_owned()), Value::Text(text.to_owned()));
        }
    }
}
