//! From a profile to the text of a file.

use serde_json::{Map, Value, json};

use super::{Baseline, Content, FeatureSpec, MetricSpec, Profile};

/// Members that have their default value are left out, so that files stay as short as a person would write them.
pub(super) fn profile(profile: &Profile) -> String {
    let Profile { entity, description, sample_ratio, content } = profile;
    let mut file = Map::new();
    file.insert("schema_version".to_owned(), Profile::SCHEMA_VERSION.into());
    file.insert("kind".to_owned(), profile.kind().name().into());
    file.insert(
        "entity".to_owned(),
        json!({
            "space": entity.space, "name": entity.name, "version": entity.version,
            "uid": entity.uid, "alias": entity.alias,
        }),
    );
    insert(&mut file, "description", description.as_deref());
    // The number as it was given: 1 and 1.0 mean the same and are compared as the same.
    file.insert("sample_ratio".to_owned(), sample_ratio.get().into());
    let (key, list) = match content {
        Content::Spc(features) | Content::Psi(features) => ("features", features.iter().map(feature).collect()),
        Content::Custom(metrics) => ("metrics", metrics.iter().map(metric).collect()),
        Content::Agent(tasks) => ("tasks", tasks.iter().map(|task| Value::Object(task.object.clone())).collect()),
    };
    file.insert(key.to_owned(), Value::Array(list));
    let file = Value::Object(file);
    let indented = format!("{file:#}");
    if indented.len() <= Profile::MAX_BYTES { indented } else { file.to_string() }
}

fn feature(spec: &FeatureSpec) -> Value {
    let mut object = Map::new();
    object.insert("name".to_owned(), spec.name.as_str().into());
    object.insert("type".to_owned(), spec.r#type.name().into());
    if !spec.required {
        object.insert("required".to_owned(), false.into());
    }
    insert(&mut object, "description", spec.description.as_deref());
    match &spec.baseline {
        None => {}
        Some(Baseline::Limits { center, lower, upper }) => {
            object.insert("limits".to_owned(), json!({"center": center, "lower": lower, "upper": upper}));
        }
        Some(Baseline::Bins(edges)) => {
            object.insert("bins".to_owned(), json!(edges));
        }
        Some(Baseline::Categories(names)) => {
            object.insert("categories".to_owned(), json!(names));
        }
    }
    Value::Object(object)
}

fn metric(spec: &MetricSpec) -> Value {
    let mut object = Map::new();
    object.insert("name".to_owned(), spec.name.as_str().into());
    insert(&mut object, "description", spec.description.as_deref());
    if let Some(baseline) = spec.baseline {
        object.insert("baseline".to_owned(), json!(baseline));
    }
    Value::Object(object)
}

fn insert(object: &mut Map<String, Value>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        object.insert(key.to_owned(), text.into());
    }
}
