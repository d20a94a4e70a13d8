//! Who may send and ask.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::config::Token;

/// Whether a request carries one of the tokens. Without tokens everyone may.
pub(crate) fn is_allowed(tokens: &[Token], headers: &HeaderMap) -> bool {
    if tokens.is_empty() {
        return true;
    }
    let Some(value) = headers.get(AUTHORIZATION) else { return false };
    let Some((scheme, given)) = value.as_bytes().split_at_checked("bearer ".len()) else { return false };
    // Every token is compared, so that the time does not tell which one was near.
    let known = tokens.iter().fold(false, |known, token| known | token.is(given));
    scheme.eq_ignore_ascii_case(b"bearer ") & known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearers_of_a_token_are_let_in() {
        let tokens = [Token::new("one").unwrap(), Token::new("two").unwrap()];
        let allowed = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_static(value))]);
            is_allowed(&tokens, &headers)
        };
        assert!(allowed("Bearer one"));
        assert!(allowed("bearer two"));
        for value in
            ["", "Bearer", "Bearer ", "Bearer three", "Basic one", "Digest one", "Bearer_one", "one", "Bearer  one"]
        {
            assert!(!allowed(value), "{value}");
        }
        assert!(!is_allowed(&tokens, &HeaderMap::new()));
        assert!(is_allowed(&[], &HeaderMap::new()));
    }
}
