//! References to environment variables in scalars (configuration, "Environment variable substitution").

use crate::environment::Environment;

/// The text with `${NAME}`, `${env:NAME}` and `${NAME:-default}` filled in, and `$$` as `$`. What is filled in is not looked
/// at again.
///
/// # Errors
/// A reference that is none.
pub(super) fn substitute(text: &str, environment: &Environment) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    // An escape ends what a reference may reach over.
    for (at, part) in text.split("$$").enumerate() {
        if at > 0 {
            out.push('$');
        }
        fill(part, environment, &mut out)?;
    }
    Ok(out)
}

fn fill(mut text: &str, environment: &Environment, out: &mut String) -> Result<(), String> {
    while let Some(start) = text.find("${") {
        out.push_str(&text[..start]);
        let rest = &text[start + 2..];
        // Without an end, or over several lines, it is no reference but text.
        let Some(end) = rest.find('}').filter(|end| !rest[..*end].contains('\n')) else {
            out.push_str("${");
            text = rest;
            continue;
        };
        out.push_str(value(&rest[..end], environment)?);
        text = &rest[end + 1..];
    }
    out.push_str(text);
    Ok(())
}

fn value<'a>(reference: &'a str, environment: &'a Environment) -> Result<&'a str, String> {
    let inner = reference.strip_prefix("env:").unwrap_or(reference);
    let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if !is_name {
        let forms = "write ${NAME}, ${env:NAME} or ${NAME:-default}, and $$ for a dollar sign";
        return Err(format!("${{{reference}}} is no reference to a variable: {forms}"));
    }
    Ok(environment.verbatim(name).filter(|value| !value.is_empty()).unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the specification.
    #[test]
    fn references_are_filled_in_as_the_specification_says() {
        let environment: Environment = [
            ("STRING_VALUE", "value"),
            ("BOOL_VALUE", "true"),
            ("FLOAT_VALUE", "1.1"),
            ("INVALID_MAP_VALUE", "value\nkey:value"),
            ("DO_NOT_REPLACE_ME", "Never use this value"),
            ("REPLACE_ME", "${DO_NOT_REPLACE_ME}"),
            ("VALUE_WITH_ESCAPE", "value$$"),
            ("EMPTY", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
        for (text, expected) in [
            ("${STRING_VALUE}", "value"),
            ("${env:STRING_VALUE}", "value"),
            ("foo ${STRING_VALUE} ${FLOAT_VALUE}", "foo value 1.1"),
            ("${INVALID_MAP_VALUE}", "value\nkey:value"),
            ("${UNDEFINED_KEY}", ""),
            ("${UNDEFINED_KEY:-fallback}", "fallback"),
            ("${EMPTY:-fallback}", "fallback"),
            ("${env:UNDEFINED_KEY:-a b:-c}", "a b:-c"),
            ("${REPLACE_ME}", "${DO_NOT_REPLACE_ME}"),
            ("${UNDEFINED_KEY:-${STRING_VALUE}}", "${STRING_VALUE}"),
            ("$${STRING_VALUE}", "${STRING_VALUE}"),
            ("$$${STRING_VALUE}", "$value"),
            ("$$$${STRING_VALUE}", "$${STRING_VALUE}"),
            ("$${STRING_VALUE:-fallback}", "${STRING_VALUE:-fallback}"),
            ("$${STRING_VALUE:-${STRING_VALUE}}", "${STRING_VALUE:-value}"),
            ("${UNDEFINED_KEY:-$${UNDEFINED_KEY}}", "${UNDEFINED_KEY:-${UNDEFINED_KEY}}"),
            ("${VALUE_WITH_ESCAPE}", "value$$"),
            ("a $$ b", "a $ b"),
            ("a $ b", "a $ b"),
            ("${STRING_VALUE", "${STRING_VALUE"),
            ("$", "$"),
        ] {
            assert_eq!(substitute(text, &environment).as_deref(), Ok(expected), "{text}");
        }
        for text in ["${STRING_VALUE:?error}", "${1API_KEY}", "${API_$KEY}", "${}", "${sys:HOME}", "a ${b c} d"] {
            let error = substitute(text, &environment).unwrap_err();
            assert!(error.contains("is no reference to a variable"), "{text}: {error}");
        }
    }
}
