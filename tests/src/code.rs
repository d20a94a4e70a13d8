//! Rust source without its comments and the insides of its literals.

/// Blanks out comments, string and character literals, so that a word that is left is code. Lines stay where they are.
#[must_use]
pub fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = literal(rest, code.chars().next_back()) {
            length
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        code.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[skipped..];
    }
    code
}

/// Tells whether `word` stands alone somewhere in `code`.
#[must_use]
pub fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

/// The length of the block comment that `rest` starts with; they nest.
fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if rest[at..].starts_with("*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of the literal that `rest` starts with, if it starts with one; `before` is the character in front.
fn literal(rest: &str, before: Option<char>) -> Option<usize> {
    let in_a_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !in_a_name || before == Some('b')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(body.find(&end).map_or(rest.len(), |at| 1 + hashes + 1 + at + end.len()));
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        // A lifetime has no closing quote after its first character.
        let mut characters = inside.chars();
        let first = characters.next()?;
        if first == '\\' || characters.next() == Some('\'') {
            return Some(quoted(rest, '\''));
        }
    }
    None
}

/// The length of a literal between two `quote`s, with backslash escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_comments_and_literals_are_not_code() {
        for hidden in [
            "// word",
            "/* a /* word */ word */",
            "\"word\"",
            "\"\\\" word\"",
            "r\"word\"",
            "r#\"\" word\"#",
            "br#\"word\"#",
            "b\"word\"",
            "'\"' // word",
            "swords()",
            "word_two()",
            "\"umlaut ü word\"",
        ] {
            assert!(!has_word(&code_only(hidden), "word"), "{hidden} became {}", code_only(hidden));
        }
    }

    #[test]
    fn words_beside_them_are() {
        for visible in [
            "word { }",
            "a; // c\nword",
            "/* c */ word",
            "\"s\" word",
            "r#\"s\"# word",
            "'\\'' word",
            "'\"' word '\"'",
            "fn f<'a>(x: &'a str) { word }",
            "for \"a\" word",
            "#[word(x)]",
        ] {
            assert!(has_word(&code_only(visible), "word"), "{visible} became {}", code_only(visible));
        }
    }

    #[test]
    fn lines_stay_where_they_are() {
        assert_eq!(code_only("a\n\"b\nc\"\nd").lines().count(), 4);
    }
}
