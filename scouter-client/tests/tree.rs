//! The spans of a trace as a tree: every span once, parents before children, nothing lost.

#![expect(clippy::unwrap_used, reason = "a helper of a test stops the test as the test itself would")]

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use scouter_client::{Span, Trace, tree};
use scouter_span::view::{Resource, Scope, SpanView};
use scouter_span::wire::{field, fixed64, len_delimited};

fn span(id: u64, parent: Option<u64>, start: u64) -> Span {
    let mut bytes = Vec::new();
    len_delimited(&mut bytes, field::span::TRACE_ID, &[7; 16]);
    len_delimited(&mut bytes, field::span::SPAN_ID, &id.to_be_bytes());
    if let Some(parent) = parent {
        len_delimited(&mut bytes, field::span::PARENT_SPAN_ID, &parent.to_be_bytes());
    }
    len_delimited(&mut bytes, field::span::NAME, format!("s{id}").as_bytes());
    fixed64(&mut bytes, field::span::START_TIME, start);
    fixed64(&mut bytes, field::span::END_TIME, start + 10);
    Span::read(SpanView::new(&bytes), Resource::new(&[]), Scope::new(&[]), "").unwrap()
}

/// One line a span, indented by depth, orphans marked.
fn print(spans: &[Span]) -> String {
    let line = |span: &Span| {
        format!("{}{}{}\n", "  ".repeat(span.depth as usize), span.name, if span.orphan { " (orphan)" } else { "" })
    };
    spans.iter().map(line).collect()
}

fn arranged(mut spans: Vec<Span>) -> Vec<Span> {
    tree::arrange(&mut spans);
    spans
}

#[test]
fn children_follow_their_parent_in_start_order() {
    let spans =
        vec![span(5, Some(2), 9), span(4, Some(1), 8), span(2, Some(1), 3), span(3, Some(2), 4), span(1, None, 1)];
    let spans = arranged(spans);
    assert_eq!(print(&spans), "s1\n  s2\n    s3\n    s5\n  s4\n");
    let names = |ids: &[scouter_span::SpanId]| ids.iter().map(|id| id.to_int()).collect::<Vec<_>>();
    assert_eq!(names(&spans[3].path), [1, 2, 5]);
    assert_eq!(names(&spans[0].children), [2, 4]);
}

#[test]
fn orphans_stand_at_the_top_with_all_below_them() {
    let spans = arranged(vec![span(1, None, 5), span(2, Some(99), 3), span(3, Some(2), 4), span(4, Some(1), 6)]);
    assert_eq!(print(&spans), "s2 (orphan)\n  s3\ns1\n  s4\n");
}

#[test]
fn circles_survive() {
    let spans = arranged(vec![span(1, None, 5), span(2, Some(3), 2), span(3, Some(2), 1), span(4, Some(4), 9)]);
    assert_eq!(print(&spans), "s3 (orphan)\n  s2\ns1\ns4 (orphan)\n");
    assert!(spans[1].children.is_empty());
}

#[test]
fn a_chain_may_be_very_deep() {
    let spans = arranged((1..=20_000).map(|id| span(id, (id > 1).then(|| id - 1), id)).collect());
    let last = spans.last().unwrap();
    assert_eq!((last.depth, last.path.len()), (19_999, tree::PATH_LIMIT));
    assert_eq!(last.path.last(), Some(&last.span_id));
}

#[test]
fn a_trace_is_summed_up() {
    let trace = Trace::new(vec![span(2, Some(1), 3), span(1, None, 4), span(9, Some(8), 100)]).unwrap();
    let summary = &trace.summary;
    assert_eq!((summary.root_name.as_str(), summary.start_time, summary.end_time), ("s1", 3, 110));
    assert_eq!((summary.duration_ns, summary.span_count, summary.error_count), (107, 3, 0));
    let json = serde_json::to_string(&trace).unwrap();
    assert_eq!(serde_json::from_str::<Trace>(&json).unwrap(), trace);
    assert_eq!(Trace::new(Vec::new()), None);
}

proptest! {
    #[test]
    fn every_span_once_and_parents_first(
        shape in prop::collection::vec((1u64..30, prop::option::of(1u64..40), 0u64..20), 0..60),
    ) {
        let given: Vec<Span> = shape.iter().map(|&(id, parent, start)| span(id, parent, start)).collect();
        let spans = arranged(given.clone());
        let key = |span: &Span| (span.span_id, span.parent_span_id, span.start_time);
        let mut before: Vec<_> = given.iter().map(key).collect();
        let mut after: Vec<_> = spans.iter().map(key).collect();
        before.sort();
        after.sort();
        prop_assert_eq!(before, after);

        let present: HashSet<_> = spans.iter().map(|span| span.span_id).collect();
        let mut above: Vec<&Span> = Vec::new();
        let mut siblings: HashMap<_, u64> = HashMap::new();
        for span in &spans {
            above.truncate(span.depth as usize);
            prop_assert_eq!(above.len(), span.depth as usize);
            match above.last() {
                Some(parent) => {
                    prop_assert_eq!(span.parent_span_id, Some(parent.span_id));
                    prop_assert!(!span.orphan && parent.children.contains(&span.span_id));
                }
                None => prop_assert_eq!(span.orphan, span.parent_span_id.is_some()),
            }
            if span.parent_span_id.is_some_and(|parent| !present.contains(&parent)) {
                prop_assert!(span.orphan);
            }
            let place: Vec<_> = above.iter().map(|span| (span.span_id, span.start_time)).collect();
            let last = siblings.insert(place, span.start_time);
            prop_assert!(last.is_none_or(|last| last <= span.start_time), "siblings in start order");
            above.push(span);
            let ids: Vec<_> = above.iter().map(|span| span.span_id).collect();
            prop_assert_eq!(&span.path, &ids);
        }
    }
}
