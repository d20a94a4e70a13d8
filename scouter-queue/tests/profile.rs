//! Profiles as files: what is taken, what is refused and how, and that nothing changes on the way.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use proptest::prelude::*;
use scouter_queue::{Baseline, Content, Entity, ErrorKind, FeatureSpec, FeatureType, Kind, MetricSpec, Profile, Task};
use scouter_span::Ratio;
use serde_json::{Value, json};

fn entity() -> Value {
    json!({"space": "shop", "name": "price", "version": "1.0.0", "uid": "u-1", "alias": "price"})
}

fn spc() -> Value {
    json!({
        "schema_version": 1, "kind": "spc", "entity": entity(), "sample_ratio": 0.5, "description": "of prices",
        "features": [
            {"name": "age", "type": "int", "limits": {"center": 40, "lower": 20.5, "upper": 60}},
            {"name": "city", "type": "text", "required": false, "description": "where"},
        ],
    })
}

fn psi() -> Value {
    json!({
        "schema_version": 1, "kind": "psi", "entity": entity(),
        "features": [
            {"name": "score", "type": "float", "bins": [0.1, 0.5]},
            {"name": "city", "type": "text", "categories": ["Köln", "Bonn"]},
            {"name": "new", "type": "bool"},
        ],
    })
}

fn custom() -> Value {
    let metrics = json!([{"name": "latency", "baseline": 0.25}, {"name": "cost", "description": "in euros"}]);
    json!({"schema_version": 1, "kind": "custom", "entity": entity(), "metrics": metrics})
}

fn agent() -> Value {
    let tasks = json!([{"id": "polite", "prompt": "Is it?", "depends_on": ["x", {"y": null}]}, {"id": "short"}]);
    json!({"schema_version": 1, "kind": "agent", "entity": entity(), "tasks": tasks})
}

fn read(file: &Value) -> Profile {
    Profile::from_json(&file.to_string()).unwrap()
}

/// The file with the value at this JSON pointer put in, or taken out.
fn with(file: &Value, pointer: &str, value: Option<Value>) -> Value {
    let mut file = file.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match file.pointer_mut(parent).unwrap() {
        Value::Object(members) => match value {
            Some(value) => drop(members.insert(key.to_owned(), value)),
            None => drop(members.remove(key).unwrap()),
        },
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.unwrap(),
        other => panic!("{other}"),
    }
    file
}

#[test]
fn all_kinds_are_read_and_written_equal() {
    for (file, kind) in [(spc(), Kind::Spc), (psi(), Kind::Psi), (custom(), Kind::Custom), (agent(), Kind::Agent)] {
        let profile = read(&file);
        assert_eq!(profile.kind(), kind);
        assert_eq!(Profile::from_json(&profile.to_json()).unwrap(), profile);
        // What nobody wrote is not written: but for the ratio, the text says what the file said.
        let mut written: Value = serde_json::from_str(&profile.to_json()).unwrap();
        let mut file = file.clone();
        for object in [&mut written, &mut file] {
            object.as_object_mut().unwrap().remove("sample_ratio");
        }
        assert_eq!(normal(written), normal(file));
    }
    let profile = read(&spc());
    assert_eq!(profile.sample_ratio(), Ratio::new(0.5).unwrap());
    assert_eq!(profile.description(), Some("of prices"));
    let Content::Spc(features) = profile.content() else { panic!("{profile:?}") };
    assert_eq!(features[0].baseline, Some(Baseline::Limits { center: 40.0, lower: 20.5, upper: 60.0 }));
    assert_eq!((features[0].required, features[1].required), (true, false));
    let Content::Agent(tasks) = read(&agent()).content().clone() else { panic!("no tasks") };
    assert_eq!((tasks[0].id(), &tasks[0].object()["prompt"]), ("polite", &json!("Is it?")));
}

/// Whole numbers and floats of one value are one.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, normal(value))).collect(),
        other => other,
    }
}

#[test]
fn what_is_made_in_code_is_what_a_file_says() {
    let entity = Entity { uid: "u-1".to_owned(), alias: "price".to_owned(), ..Entity::new("shop", "price", "1.0.0") };
    let age = FeatureSpec {
        baseline: Some(Baseline::Limits { center: 40.0, lower: 20.5, upper: 60.0 }),
        ..FeatureSpec::new("age", FeatureType::Int)
    };
    let city = FeatureSpec {
        required: false,
        description: Some("where".to_owned()),
        ..FeatureSpec::new("city", FeatureType::Text)
    };
    let made = Profile::new(entity.clone(), Content::Spc(vec![age, city])).unwrap();
    let made = made.with_sample_ratio(Ratio::new(0.5).unwrap()).with_description("of prices").unwrap();
    assert_eq!(made, read(&spc()));
    let cost = MetricSpec { description: Some("in euros".to_owned()), ..MetricSpec::new("cost") };
    let latency = MetricSpec { baseline: Some(0.25), ..MetricSpec::new("latency") };
    assert_eq!(Profile::new(entity.clone(), Content::Custom(vec![latency, cost])).unwrap(), read(&custom()));
    let polite = agent()["tasks"][0].as_object().unwrap().clone();
    let tasks = vec![Task::new("polite", polite), Task::new("short", serde_json::Map::new())];
    assert_eq!(Profile::new(entity.clone(), Content::Agent(tasks)).unwrap(), read(&agent()));

    // What no file may say, code may not make.
    let error = Profile::new(entity.clone(), Content::Custom(Vec::new())).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Profile, "$.metrics"));
    let unending = MetricSpec { baseline: Some(f64::INFINITY), ..MetricSpec::new("cost") };
    assert_eq!(
        Profile::new(entity.clone(), Content::Custom(vec![unending])).unwrap_err().path(),
        "$.metrics[0].baseline"
    );
    let nameless = Entity { space: String::new(), ..entity };
    let metrics = || Content::Custom(vec![MetricSpec::new("cost")]);
    assert_eq!(Profile::new(nameless, metrics()).unwrap_err().path(), "$.entity.space");
    let (one, other) = (Entity::new("s", "n", "1"), Entity::new("s", "n", "1"));
    assert_eq!((one.alias.as_str(), one.uid.len()), ("n", 32));
    assert_ne!(one.uid, other.uid);
    assert!(Profile::new(one, metrics()).unwrap().with_description("x".repeat(5000)).is_err());
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_the_way_out() {
    let long = "x".repeat(257);
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let (spc, psi, custom, agent) = (&spc(), &psi(), &custom(), &agent());
    let rows: Vec<(&Value, &str, Option<Value>, &str, &str)> = vec![
        (spc, "/schema_version", Some(json!(2)), "$.schema_version", "expected 1, got 2; read it with a newer Scouter"),
        (spc, "/schema_version", None, "$", "\"schema_version\" is missing, add it"),
        (spc, "/kind", Some(json!("pis")), "$.kind", "expected spc, psi, custom or agent, got \"pis\""),
        (spc, "/kind", Some(json!(1)), "$.kind", "expected text, got 1"),
        (spc, "/sample_ratio", Some(json!(1.5)), "$.sample_ratio", "expected a number from 0 to 1, got 1.5"),
        (spc, "/sample_ratio", Some(json!("all")), "$.sample_ratio", "got \"all\""),
        (spc, "/sampel_ratio", Some(json!(1)), "$", "\"sampel_ratio\" is not known, did you mean \"sample_ratio\"?"),
        (spc, "/metrics", Some(json!([])), "$", "\"metrics\" is not known, remove it; known here: schema_version"),
        (spc, "/entity", None, "$", "\"entity\" is missing"),
        (spc, "/entity/uid", None, "$.entity", "\"uid\" is missing"),
        (spc, "/entity/uid", Some(json!("")), "$.entity.uid", "got an empty one"),
        (spc, "/entity/uid", Some(json!(long)), "$.entity.uid", "at most 256 bytes, got 257"),
        (spc, "/entity/uid", Some(json!("a\nb")), "$.entity.uid", "without control characters"),
        (spc, "/entity", Some(json!([])), "$.entity", "expected an object, got a list"),
        (spc, "/description", Some(json!(7)), "$.description", "expected text, got 7"),
        (spc, "/features", Some(json!([])), "$.features", "expected at least one, got an empty list"),
        (spc, "/features", Some(json!({})), "$.features", "expected a list, got an object"),
        (spc, "/features/0", Some(json!("age")), "$.features[0]", "expected an object, got \"age\""),
        (spc, "/features/0/type", Some(json!("integer")), "$.features[0].type", "int, float, text or bool"),
        (spc, "/features/0/name", Some(json!("city")), "$.features[1]", "\"city\" is there twice, remove one"),
        (spc, "/features/0/required", Some(json!(0)), "$.features[0].required", "expected true or false, got 0"),
        (spc, "/features/0/bins", Some(json!([1])), "$.features[0]", "\"bins\" is not known"),
        (spc, "/features/0/limits/upper", Some(json!(30)), "$.features[0].limits", "lower ≤ center ≤ upper"),
        (spc, "/features/0/limits/upper", None, "$.features[0].limits", "\"upper\" is missing"),
        (spc, "/features/0/type", Some(json!("text")), "$.features[0].limits", "only features of type int or float"),
        (psi, "/features/0/bins", Some(json!([1, 1])), "$.features[0].bins[1]", "expected more than 1, got 1"),
        (psi, "/features/0/bins", Some(json!(["x"])), "$.features[0].bins[0]", "expected a number, got \"x\""),
        (psi, "/features/1/type", Some(json!("int")), "$.features[1].categories", "only features of type text"),
        (psi, "/features/1/bins", Some(json!([1])), "$.features[1]", "expected bins or categories, got both"),
        (psi, "/features/1/categories/1", Some(json!("Köln")), "$.features[1].categories[1]", "twice"),
        (custom, "/metrics/0/baseline", Some(json!("x")), "$.metrics[0].baseline", "expected a number"),
        (custom, "/metrics/0", Some(json!("latency")), "$.metrics[0]", "expected an object"),
        (agent, "/tasks/0/id", None, "$.tasks[0]", "\"id\" is missing"),
        (agent, "/tasks/1/id", Some(json!("polite")), "$.tasks[1]", "twice"),
        (agent, "/tasks/1/x", Some(deep), "$.tasks[1]", "nested more than 32 deep, flatten it"),
    ];
    for (file, pointer, value, path, words) in rows {
        let error = Profile::from_json(&with(file, pointer, value).to_string()).unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::Profile, path), "{error}");
        assert!(error.to_string().contains(words), "{pointer}: {error}");
        assert!(error.to_string().starts_with(&format!("profile: {path}: ")), "{error}");
    }
}

#[test]
fn a_text_that_is_no_json_is_named_with_its_line() {
    for (text, words) in [
        ("{", "not JSON: EOF while parsing"),
        ("{\"kind\": \"spc\",\n \"kind\": \"psi\"}", "\"kind\" is there twice, remove one at line 2"),
        ("{\"a\": 1e999}", "number out of range"),
    ] {
        let error = Profile::from_json(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Syntax);
        assert!(error.to_string().contains(words), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
    // Nesting without end is refused, not followed.
    assert_eq!(Profile::from_json(&"[".repeat(500_000)).unwrap_err().kind(), ErrorKind::Syntax);
    let error = Profile::from_json(&" ".repeat(Profile::MAX_BYTES + 1)).unwrap_err();
    assert!(error.to_string().contains("at most 1048576 bytes"), "{error}");
}

#[test]
fn files_are_read_and_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("price.json");
    let profile = read(&spc());
    profile.save(&path).unwrap();
    assert_eq!(Profile::from_path(&path).unwrap(), profile);
    read(&psi()).save(&path).unwrap();
    assert_eq!(Profile::from_path(&path).unwrap().kind(), Kind::Psi);
    // Nothing is left beside it.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let error = Profile::from_path(folder.path().join("none.json")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("none.json cannot be read"), "{error}");
    fs::write(&path, format!("\u{feff}{}", profile.to_json())).unwrap();
    assert_eq!(Profile::from_path(&path).unwrap(), profile);
    // A folder is there, and cannot be read.
    assert_eq!(Profile::from_path(folder.path()).unwrap_err().kind(), ErrorKind::File);
    fs::write(&path, "{\"kind\": 1}").unwrap();
    let error = Profile::from_path(&path).unwrap_err();
    assert!(error.to_string().contains("price.json: profile: $: \"schema_version\" is missing"), "{error}");
    fs::write(&path, [0xff]).unwrap();
    assert_eq!(Profile::from_path(&path).unwrap_err().kind(), ErrorKind::File);
    // Where a folder stands no file can be put, and nothing is left beside it.
    let taken = folder.path().join("taken.json");
    fs::create_dir(&taken).unwrap();
    assert_eq!(profile.save(&taken).unwrap_err().kind(), ErrorKind::File);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    let error = profile.save(folder.path().join("no/where.json")).unwrap_err();
    assert!(error.to_string().contains("where.json cannot be written"), "{error}");
}

/// A profile that is nearly too long is written so that it can be read again.
#[test]
fn what_is_written_is_never_too_long_to_be_read() {
    let task = |number: usize| json!({"id": number.to_string(), "list": vec![1; 60]});
    for count in [4000, 5000, 6000] {
        let tasks: Vec<_> = (0..count).map(task).collect();
        let text = with(&agent(), "/tasks", Some(json!(tasks))).to_string();
        match Profile::from_json(&text) {
            Ok(profile) => {
                let written = profile.to_json();
                assert!(written.len() <= Profile::MAX_BYTES, "{count}: {}", written.len());
                assert_eq!(Profile::from_json(&written).unwrap(), profile);
            }
            Err(error) => assert!(text.len() > Profile::MAX_BYTES, "{count}: {error}"),
        }
    }
    // 1e15 is short, and 1000000000000000.0 is not.
    let edges: Vec<_> = (1..9000).map(|number| format!("{number}e15")).collect();
    let feature = |at| format!(r#"{{"name": "f{at}", "type": "float", "bins": [{}]}}"#, edges.join(","));
    let features: Vec<_> = (0..14).map(feature).collect();
    let text = psi().to_string();
    let from = text.find("\"features\":[").unwrap() + "\"features\":[".len();
    let to = text.rfind("],\"kind\"").unwrap();
    let text = format!("{}{}{}", &text[..from], features.join(","), &text[to..]);
    assert!(text.len() <= Profile::MAX_BYTES, "{}", text.len());
    let error = Profile::from_json(&text).unwrap_err();
    assert!(error.to_string().contains("written out more"), "{error}");
}

/// Every example of the documentation is a profile.
#[test]
fn the_examples_of_the_documentation_are_profiles() {
    let page = include_str!("../../docs/profile.md");
    let examples: Vec<_> = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let kinds: Vec<_> = examples.iter().map(|text| Profile::from_json(text).unwrap().kind()).collect();
    assert_eq!(kinds, Kind::ALL);
}

fn texts() -> impl Strategy<Value = String> {
    "[a-zà-ÿ \"\\\\_.0-9]{1,12}"
}

fn contents() -> impl Strategy<Value = Content> {
    let types = prop::sample::select(FeatureType::ALL.to_vec());
    let spec = (texts(), types, any::<bool>(), prop::option::of(".{0,20}"), any::<[i32; 3]>());
    let specs = prop::collection::btree_map("[a-z]{1,8}", spec, 1..6);
    let specs = (specs, any::<bool>()).prop_map(|(specs, spc)| {
        let spec = |(name, (category, r#type, required, description, mut numbers)): (_, (_, _, _, _, [i32; 3]))| {
            numbers.sort_unstable();
            let [lower, center, upper] = numbers.map(|number| f64::from(number) / 7.0);
            let is_number = matches!(r#type, FeatureType::Int | FeatureType::Float);
            let baseline = match (is_number, spc) {
                (true, true) => Some(Baseline::Limits { center, lower, upper }),
                (true, false) if lower < center && center < upper => Some(Baseline::Bins(vec![lower, center, upper])),
                (false, false) if r#type == FeatureType::Text => Some(Baseline::Categories(vec![category])),
                _ => None,
            };
            FeatureSpec { name, r#type, required, description, baseline }
        };
        let specs = specs.into_iter().map(spec).collect();
        if spc { Content::Spc(specs) } else { Content::Psi(specs) }
    });
    let metrics = prop::collection::btree_map("[a-z]{1,8}", (prop::option::of(".{0,20}"), any::<Option<i64>>()), 1..6);
    let metrics = metrics.prop_map(|metrics| {
        let metric = |(name, (description, baseline)): (_, (_, Option<i64>))| MetricSpec {
            name,
            description,
            baseline: baseline.map(|bits| bits as f64 * 1e-3),
        };
        Content::Custom(metrics.into_iter().map(metric).collect())
    });
    let value =
        prop_oneof![any::<u64>().prop_map(Value::from), any::<i64>().prop_map(Value::from), ".*".prop_map(Value::from)];
    let object = prop::collection::btree_map(".{0,6}", value, 0..5);
    let tasks = prop::collection::btree_map("[a-z]{1,8}", object, 1..6).prop_map(|tasks| {
        Content::Agent(tasks.into_iter().map(|(id, object)| Task::new(id, object.into_iter().collect())).collect())
    });
    prop_oneof![specs, metrics, tasks]
}

proptest! {
    #[test]
    fn every_profile_is_read_as_it_was_written(
        space in texts(), name in texts(), version in texts(), ratio in 0.0..=1.0, content in contents(),
    ) {
        let profile = Profile::new(Entity::new(space, name, version), content).unwrap();
        let profile = profile.with_sample_ratio(Ratio::new(ratio).unwrap());
        prop_assert_eq!(&Profile::from_json(&profile.to_json()).unwrap(), &profile);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".*") {
        prop_assert!(Profile::from_json(&text).is_err());
    }
}

/// A file without an end is not read to its end.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_far_too_large_is_refused_early() {
    let error = Profile::from_path("/dev/zero").unwrap_err();
    assert!(error.to_string().contains("a profile has at most 1048576 bytes, this one has more"), "{error}");
}
