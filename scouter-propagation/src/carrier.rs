//! What headers are read from and written to.

use std::collections::HashMap;
use std::hash::BuildHasher;

/// Something that headers can be read from, such as a request. Names match in any case (W3C Trace Context level 2,
/// section "Header Name").
pub trait Extractor {
    /// The values of all headers with this name, in the order in which they came.
    fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str>;

    /// The names of all headers, as spelled, repeated ones as often as they are there.
    fn keys(&self) -> impl Iterator<Item = &str>;
}

/// Something that headers can be written to, such as a request.
pub trait Injector {
    /// Sets a header. What the carrier had under this name, in any case, is gone.
    fn set(&mut self, name: &str, value: &str);
}

impl<K: AsRef<str>, V: AsRef<str>> Extractor for [(K, V)] {
    fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(|(key, _)| key.as_ref().eq_ignore_ascii_case(name)).map(|(_, value)| value.as_ref())
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(key, _)| key.as_ref())
    }
}

impl<K: AsRef<str>, V: AsRef<str>> Extractor for Vec<(K, V)> {
    fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.as_slice().get_all(name)
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        Extractor::keys(self.as_slice())
    }
}

/// A map cannot hold a name twice, but it can hold two spellings of it; their order is then the map's.
impl<K: AsRef<str>, V: AsRef<str>, S: BuildHasher> Extractor for HashMap<K, V, S> {
    fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(|(key, _)| key.as_ref().eq_ignore_ascii_case(name)).map(|(_, value)| value.as_ref())
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        HashMap::keys(self).map(AsRef::as_ref)
    }
}

impl Injector for Vec<(String, String)> {
    fn set(&mut self, name: &str, value: &str) {
        self.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.push((name.to_owned(), value.to_owned()));
    }
}

impl<S: BuildHasher> Injector for HashMap<String, String, S> {
    fn set(&mut self, name: &str, value: &str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
        self.insert(name.to_owned(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_in_any_spelling_and_in_order() {
        let headers = [("Baggage", "a=1"), ("x", "2"), ("BAGGAGE", "b=3")];
        assert_eq!(headers.get_all("baggage").collect::<Vec<_>>(), ["a=1", "b=3"]);
        assert_eq!(headers.to_vec().get_all("X").collect::<Vec<_>>(), ["2"]);
        assert_eq!(Extractor::keys(&headers.to_vec()).collect::<Vec<_>>(), ["Baggage", "x", "BAGGAGE"]);
        let map = HashMap::from(headers);
        assert_eq!(map.get_all("baggage").count(), 2);
        assert_eq!(map.get_all("bag").count(), 0);
        assert_eq!(Extractor::keys(&map).count(), 3);
    }

    #[test]
    fn setting_replaces_every_spelling() {
        let mut list = vec![("Baggage".to_owned(), "a=1".to_owned()), ("BAGGAGE".to_owned(), "b=2".to_owned())];
        list.set("baggage", "c=3");
        assert_eq!(list, [("baggage".to_owned(), "c=3".to_owned())]);
        let mut map = HashMap::from([("Baggage".to_owned(), "a=1".to_owned()), ("x".to_owned(), "2".to_owned())]);
        map.set("baggage", "c=3");
        assert_eq!(map.len(), 2);
        assert_eq!(map["baggage"], "c=3");
    }
}
