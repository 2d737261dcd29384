//! Scratch space that is lent out and comes back, so that a call does not allocate what the call before it gave up.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Spare scratch spaces. A clone starts without any.
#[derive(Debug)]
pub struct Pool<S>(Mutex<Vec<S>>);

/// Scratch space on loan; it goes back when dropped.
#[derive(Debug)]
pub struct Lent<'a, S: Default> {
    scratch: S,
    pool: &'a Pool<S>,
}

impl<S: Default> Pool<S> {
    /// A spare one, or a new one.
    pub fn lend(&self) -> Lent<'_, S> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Lent { scratch: spare.unwrap_or_default(), pool: self }
    }
}

impl<S> Default for Pool<S> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<S> Clone for Pool<S> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<S: Default> Deref for Lent<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.scratch
    }
}

impl<S: Default> DerefMut for Lent<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.scratch
    }
}

impl<S: Default> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        self.pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.scratch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_comes_back_and_is_lent_again() {
        let pool: Pool<Vec<u8>> = Pool::default();
        pool.lend().extend([1, 2, 3]);
        let (first, second) = (pool.lend(), pool.lend());
        assert_eq!((&first[..], &second[..]), (&[1, 2, 3][..], &[][..]));
        assert!(pool.clone().lend().is_empty());
    }
}
