//! What stands before the spans of a request: the resource, and the scopes that tracers have registered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use scouter_span::scope::ScopeId;
use scouter_span::{Resource, Scope};

use crate::fork::Gate;

/// The resource, and every scope once, numbered in the order of registration. A forked child goes on with its parent's.
#[derive(Debug)]
pub(crate) struct Headers {
    /// Only locked inside the gate, so that no child finds it locked.
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    resource: Resource,
    scopes: Vec<Arc<Scope>>,
    ids: HashMap<Arc<Scope>, ScopeId>,
}

impl Headers {
    /// The number of no scope. What comes from there is lost and counted.
    pub(crate) const UNKNOWN: ScopeId = ScopeId(u32::MAX);

    pub(crate) fn new(resource: Resource) -> Self {
        Self { table: Mutex::new(Table { resource, scopes: Vec::new(), ids: HashMap::new() }) }
    }

    pub(crate) fn resource(&self) -> Resource {
        self.with(|table| table.resource.clone())
    }

    pub(crate) fn set_resource(&self, resource: Resource) {
        self.with(|table| table.resource = resource);
    }

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
    pub(crate) fn scopes_from(&self, number: usize) -> Vec<Arc<Scope>> {
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
        let headers = Headers::new(Resource::new(&[], ""));
        let ids = ["a", "b", "a"].map(|name| headers.register(&scope(name)).0);
        assert_eq!(ids, [0, 1, 0]);
        assert_eq!(headers.scopes_from(1), [scope("b")]);
        assert!(headers.scopes_from(2).is_empty() && headers.scopes_from(9).is_empty());
    }
}
