//! The scopes that tracers have registered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use scouter_span::Scope;
use scouter_span::scope::ScopeId;

use crate::fork::Gate;

/// Every scope once, numbered in the order of registration. A forked child goes on with its parent's.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    /// Only locked inside the gate, so that no child finds it locked.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    scopes: Vec<Arc<Scope>>,
    ids: HashMap<Arc<Scope>, ScopeId>,
}

impl Scopes {
    /// The scope's number; an equal scope has the same.
    pub(crate) fn register(&self, scope: &Arc<Scope>) -> ScopeId {
        self.with(|table| {
            if let Some(id) = table.ids.get(scope) {
                return *id;
            }
            let id = ScopeId(u32::try_from(table.scopes.len()).unwrap_or(u32::MAX));
            table.scopes.push(Arc::clone(scope));
            table.ids.insert(Arc::clone(scope), id);
            id
        })
    }

    /// The scopes from this number on.
    pub(crate) fn from(&self, number: usize) -> Vec<Arc<Scope>> {
        self.with(|table| table.scopes.get(number..).unwrap_or_default().to_vec())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Table) -> T) -> T {
        let _gate = Gate::enter();
        work(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scopes_have_one_number() {
        let scope = |name| Arc::new(Scope::new(name, "", "", &[]));
        let scopes = Scopes::default();
        let ids = ["a", "b", "a"].map(|name| scopes.register(&scope(name)).0);
        assert_eq!(ids, [0, 1, 0]);
        assert_eq!(scopes.from(1), [scope("b")]);
        assert!(scopes.from(2).is_empty() && scopes.from(9).is_empty());
    }
}
