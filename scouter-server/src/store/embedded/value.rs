//! When a recorded value equals one that is searched for.

use serde_json::Value;

/// A number, the same whether it was written as an integer or as a double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Integer(i64),
    /// The bits of a double that is no 64-bit integer.
    Double(u64),
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        let whole = value.trunc() == value && (-LIMIT..LIMIT).contains(&value);
        if whole { Self::Integer(value as i64) } else { Self::Double(value.to_bits()) }
    }
}

impl From<&serde_json::Number> for Number {
    fn from(value: &serde_json::Number) -> Self {
        match value.as_i64() {
            Some(value) => Self::Integer(value),
            None => Self::from(value.as_f64().unwrap_or_default()),
        }
    }
}

/// Whether two values are the same, numbers compared by what they are worth.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => Number::from(one) == Number::from(other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_compare_by_worth_and_nothing_else_does() {
        for (one, other, expected) in [
            (json!(1), json!(1.0), true),
            (json!([1, {"a": 2.0}]), json!([1.0, {"a": 2}]), true),
            (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992.0), false),
            (json!(1), json!("1"), false),
            (json!([1]), json!([1, 1]), false),
            (json!({"a": 1}), json!({"b": 1}), false),
            (json!(null), json!(false), false),
        ] {
            assert_eq!(same(&one, &other), expected, "{one} {other}");
        }
    }
}
