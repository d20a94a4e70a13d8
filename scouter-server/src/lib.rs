//! The other end: receive, store, query, page
