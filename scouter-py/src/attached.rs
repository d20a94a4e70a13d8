//! Places that only threads attached to the interpreter reach, so that the interpreter's lock is their lock.
//!
//! A span is looked at about seven times between `with` and its end. With a mutex of its own in it, an empty `with` takes
//! 30 ns of 670 more, all of it for a lock that no thread ever waits for. Builds of Python without a global lock get the
//! mutex.

#[cfg(not(Py_GIL_DISABLED))]
pub(crate) use global::{Attached, Guard};
#[cfg(Py_GIL_DISABLED)]
pub(crate) use own::{Attached, Guard};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// What is made once, by code that may run Python.
///
/// Python code may come back for it while it is being made: a signal handler that traces, a collection, a tracing function,
/// another thread that holds the lock of a module which is imported here. So nobody waits for anybody: whoever finds
/// nothing makes one, and the first that is ready is everybody's.
pub(crate) struct Once<T>(PyOnceLock<T>);

impl<T> Once<T> {
    pub(crate) const fn new() -> Self {
        Self(PyOnceLock::new())
    }

    #[inline]
    pub(crate) fn get_or_try_init(&self, py: Python<'_>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
        match self.0.get(py) {
            Some(made) => Ok(made),
            None => self.fill(py, make),
        }
    }

    #[cold]
    fn fill(&self, py: Python<'_>, make: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
        let made = make()?;
        // Nothing of Python's runs under its lock.
        Ok(self.0.get_or_init(py, || made))
    }
}

#[cfg(not(Py_GIL_DISABLED))]
#[expect(unsafe_code, reason = "the compiler does not know that an attached thread is alone")]
mod global {
    use std::cell::{Cell, UnsafeCell};
    use std::ops::{Deref, DerefMut};

    use pyo3::prelude::*;

    /// Holds a value for whoever is attached.
    pub(crate) struct Attached<T> {
        /// Whether there is a guard: what is done under one must not come back here by way of Python code.
        taken: Cell<bool>,
        value: UnsafeCell<T>,
    }

    /// The value, for a moment in which nothing calls Python and nothing detaches.
    pub(crate) struct Guard<'a, T>(&'a Attached<T>);

    // SAFETY: `taken` and `value` are reached through `lock`, which asks for the proof that this thread is attached, and
    // through exclusive references. Of all threads one at a time is attached, and it stays so while a guard lives.
    unsafe impl<T: Send> Sync for Attached<T> {}

    impl<T> Attached<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self { taken: Cell::new(false), value: UnsafeCell::new(value) }
        }

        #[inline]
        pub(crate) fn lock<'a>(&'a self, _py: Python<'a>) -> Guard<'a, T> {
            assert!(!self.taken.replace(true), "what is done under a guard came back for another");
            Guard(self)
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.value.get_mut()
        }

        /// For the collector of cycles, which runs attached but may not say so. It sees nothing while there is a guard.
        pub(crate) fn traverse<E>(&self, visit: impl FnOnce(&T) -> Result<(), E>) -> Result<(), E> {
            if self.taken.get() {
                return Ok(());
            }
            // SAFETY: there is no guard, and `visit` calls nothing that could make one: the collector forbids it.
            visit(unsafe { &*self.value.get() })
        }
    }

    impl<T> Drop for Guard<'_, T> {
        #[inline]
        fn drop(&mut self) {
            self.0.taken.set(false);
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        #[inline]
        fn deref(&self) -> &T {
            // SAFETY: the only guard there is, by `taken`; other references are exclusive and would end its lifetime.
            unsafe { &*self.0.value.get() }
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        #[inline]
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: as above.
            unsafe { &mut *self.0.value.get() }
        }
    }
}

#[cfg(Py_GIL_DISABLED)]
mod own {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use pyo3::prelude::*;

    /// Holds a value for whoever is attached.
    pub(crate) struct Attached<T>(Mutex<T>);

    /// The value, for a moment in which nothing calls Python.
    pub(crate) type Guard<'a, T> = MutexGuard<'a, T>;

    impl<T> Attached<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn lock<'a>(&'a self, _py: Python<'a>) -> Guard<'a, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
        }

        /// For the collector of cycles, which must not wait: it sees nothing while there is a guard.
        pub(crate) fn traverse<E>(&self, visit: impl FnOnce(&T) -> Result<(), E>) -> Result<(), E> {
            self.0.try_lock().map_or(Ok(()), |value| visit(&value))
        }
    }
}
