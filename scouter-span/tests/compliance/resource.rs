//! Resource.

use opentelemetry::trace::{Span as _, Tracer as _};
use scouter_span::view::ValueView;
use scouter_span::{Resource, ResourceDetector, Value};

use crate::support::{Fixture, decode};

const URL: &str = "https://opentelemetry.io/schemas/1.30.0";

fn read(resource: &Resource) -> Vec<(String, String)> {
    let mut all: Vec<_> =
        resource.view().attributes().iter().map(|one| (one.key.to_owned(), format!("{:?}", one.value))).collect();
    all.sort();
    all
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn m067_resources_are_made_of_attributes() {
    let resource = Resource::new(&[("a", 1.into()), ("list", Value::Array(&[Value::Str("x")])), ("a", 2.into())], URL);
    assert_eq!(read(&resource), pairs(&[("a", "I64(2)"), ("list", "Array([Str(\"x\")])")]));
    assert_eq!(resource.schema_url(), URL);
}

#[test]
fn m068_resources_may_be_empty() {
    let empty = Resource::empty();
    assert!(empty.view().attributes().is_empty() && empty.schema_url().is_empty() && empty.encoded().is_empty());
}

#[test]
fn m069_resources_merge() {
    let old = Resource::new(&[("a", "old".into()), ("b", Value::Array(&[Value::I64(1)])), ("c", 1.into())], "");
    let updating = Resource::new(&[("a", "".into()), ("d", true.into())], URL);
    let merged = old.merge(&updating).unwrap();
    // The updating value counts, even an empty one.
    let expected = [("a", "Str(\"\")"), ("b", "Array([I64(1)])"), ("c", "I64(1)"), ("d", "Bool(true)")];
    assert_eq!(read(&merged), pairs(&expected));
    // Schema URLs: the one that is there, or the same one twice.
    assert_eq!(merged.schema_url(), URL);
    assert_eq!(updating.merge(&old).unwrap().schema_url(), URL);
    assert_eq!(merged.merge(&updating).unwrap().schema_url(), URL);
    assert_eq!(old.merge(&Resource::empty()), Ok(old.clone()));
    assert_eq!(Resource::empty().merge(&updating), Ok(updating.clone()));
    let other = Resource::new(&[("a", "other".into())], "https://b.example/2");
    let conflict = merged.merge(&other).unwrap_err();
    assert_eq!((conflict.old.as_str(), conflict.updating.as_str()), (URL, "https://b.example/2"));
    assert_eq!((read(&conflict.merged).len(), conflict.merged.schema_url()), (4, ""));
    assert!(conflict.to_string().contains("https://b.example/2"));
}

#[test]
fn m070_resources_are_read_back() {
    let resource = Resource::new(&[("service.name", "shop".into())], "");
    assert_eq!(resource.view().attributes().get("service.name"), Some(ValueView::Str("shop")));
    assert_eq!(resource.view().attributes().get("other"), None);
    assert_eq!(Fixture::new().provider.resource(), &Resource::empty());
}

#[test]
fn m071_a_service_without_a_name_is_unknown() {
    let defaults = Resource::of_sdk("rust");
    let expected = [
        ("service.name", "Str(\"unknown_service:rust\")"),
        ("telemetry.sdk.language", "Str(\"rust\")"),
        ("telemetry.sdk.name", "Str(\"scouter\")"),
    ];
    let seen = read(&defaults);
    assert_eq!(seen[..3], pairs(&expected));
    assert_eq!((seen[3].0.as_str(), seen.len()), ("telemetry.sdk.version", 4));
    let named = defaults.merge(&Resource::new(&[("service.name", "shop".into())], "")).unwrap();
    assert_eq!(named.view().attributes().get("service.name"), Some(ValueView::Str("shop")));
}

/// Finds one attribute.
#[derive(Debug)]
struct Finds(&'static str, &'static str, &'static str);

impl ResourceDetector for Finds {
    fn detect(&self) -> Resource {
        assert_ne!(self.0, "", "a detector of the tests fails");
        Resource::new(&[(self.0, Value::Str(self.1))], self.2)
    }
}

#[test]
fn m072_detectors_find_what_a_resource_is_made_of() {
    let found =
        Resource::detect(&[&Finds("a", "1", ""), &Finds("", "", ""), &Finds("b", "2", ""), &Finds("a", "3", "")]);
    assert_eq!(read(&found.unwrap()), pairs(&[("a", "Str(\"3\")"), ("b", "Str(\"2\")")]));
    assert_eq!(Resource::detect(&[]), Ok(Resource::empty()));
}

#[test]
fn m073_detectors_say_which_schema_their_names_are_from() {
    let found = Resource::detect(&[&Finds("a", "1", ""), &Finds("b", "2", URL), &Finds("c", "3", URL)]).unwrap();
    assert_eq!((read(&found).len(), found.schema_url()), (3, URL));
    let conflict = Resource::detect(&[&Finds("a", "1", URL), &Finds("b", "2", "https://b.example/2")]);
    assert!(conflict.is_err_and(|conflict| conflict.merged.schema_url().is_empty()));
}

#[test]
fn spans_are_exported_with_their_resource() {
    let fixture = Fixture::of(Resource::new(&[("service.name", "shop".into())], URL));
    let tracer = scouter_span::otel::Tracer::new(fixture.tracer.clone());
    tracer.start("x").end();
    let request = decode(&fixture.request());
    let exported = &request.resource_spans[0];
    assert_eq!((exported.schema_url.as_str(), exported.resource.as_ref().unwrap().attributes.len()), (URL, 1));
}
