//! Borrowing views.
