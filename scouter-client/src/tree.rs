//! The spans of a trace as a tree.

use std::collections::HashMap;

use scouter_span::SpanId;

use crate::Span;

/// The most ids in [`Span::path`].
pub const PATH_LIMIT: usize = 256;

/// Orders the spans of one trace as a tree: a parent, then its children, each with all below it, siblings in start order;
/// and sets `depth`, `path`, `children` and `orphan` of each.
///
/// Every span stays, exactly once. One whose parent is not there is an orphan and stands at the top, as does the earliest
/// span of a circle of parents. Among spans that carry the same id, children belong to the first.
pub fn arrange(spans: &mut Vec<Span>) {
    spans.sort_by_key(|span| (span.start_time, span.span_id));
    let mut by_id: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
    for (at, span) in spans.iter().enumerate() {
        by_id.entry(span.span_id).or_insert(at);
    }
    let mut tree = Tree { below: vec![Vec::new(); spans.len()], places: vec![None; spans.len()], order: Vec::new() };
    let mut tops = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        match span.parent_span_id.and_then(|parent| by_id.get(&parent)) {
            Some(&parent) => tree.below[parent].push(at),
            None => tops.push(at),
        }
    }
    tops.into_iter().for_each(|top| tree.walk(top));
    // What no top leads to hangs on a circle. Its earliest span becomes a top, too.
    let mut circles = false;
    for at in 0..spans.len() {
        if tree.places[at].is_none() {
            circles = true;
            tree.walk(at);
        }
    }
    tree.write(spans);
    if circles {
        order_tops(spans);
    }
}

/// Where a span stands: its parent in the tree, and its depth.
#[derive(Clone, Copy)]
struct Place {
    parent: Option<usize>,
    depth: u32,
}

struct Tree {
    below: Vec<Vec<usize>>,
    places: Vec<Option<Place>>,
    order: Vec<usize>,
}

impl Tree {
    /// Visits a span and everything below it that was not visited yet, without recursion: traces can be very deep.
    fn walk(&mut self, top: usize) {
        let mut waiting = vec![(top, Place { parent: None, depth: 0 })];
        while let Some((at, place)) = waiting.pop() {
            if self.places[at].is_some() {
                continue;
            }
            self.places[at] = Some(place);
            self.order.push(at);
            let below = Place { parent: Some(at), depth: place.depth + 1 };
            waiting.extend(self.below[at].iter().rev().map(|&child| (child, below)));
        }
    }

    /// Tells every span its place and brings them into the visited order.
    fn write(self, spans: &mut Vec<Span>) {
        let mut paths = vec![Vec::new(); spans.len()];
        let mut line: Vec<usize> = Vec::new();
        for &at in &self.order {
            let Some(place) = self.places[at] else { continue };
            line.truncate(place.depth as usize);
            line.push(at);
            let from = line.len().saturating_sub(PATH_LIMIT);
            paths[at] = line[from..].iter().map(|&at| spans[at].span_id).collect();
        }
        for (at, place) in self.places.iter().enumerate() {
            let Some(place) = place else { continue };
            let children = self.below[at].iter().filter(|&&child| self.is_child(child, at));
            let children = children.map(|&child| spans[child].span_id).collect();
            let span = &mut spans[at];
            span.children = children;
            span.depth = place.depth;
            span.orphan = place.parent.is_none() && span.parent_span_id.is_some();
            span.path = std::mem::take(&mut paths[at]);
        }
        let mut taken: Vec<Option<Span>> = std::mem::take(spans).into_iter().map(Some).collect();
        spans.extend(self.order.iter().filter_map(|&at| taken[at].take()));
    }

    fn is_child(&self, child: usize, parent: usize) -> bool {
        self.places[child].is_some_and(|place| place.parent == Some(parent))
    }
}

/// Puts whole trees into start order after circles were appended to the others.
fn order_tops(spans: &mut Vec<Span>) {
    let mut trees: Vec<Vec<Span>> = Vec::new();
    for span in std::mem::take(spans) {
        match trees.last_mut() {
            Some(tree) if span.depth > 0 => tree.push(span),
            _ => trees.push(vec![span]),
        }
    }
    trees.sort_by_key(|tree| tree.first().map(|top| (top.start_time, top.span_id)));
    spans.extend(trees.into_iter().flatten());
}
