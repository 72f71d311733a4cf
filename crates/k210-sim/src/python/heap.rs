// SPDX-License-Identifier: MIT OR Apache-2.0
//! The heap that scripts have: as large as the board's, and no script can outgrow it.
//!
//! What a script makes is charged as the board would be, in its bytes, to the thread that it runs
//! on. An operation that makes much asks first ([`reserve`]) and raises `MemoryError`; many small
//! values are noticed at the next statement ([`check`]). What is given up is credited at once;
//! values that hold each other in a circle when the run ends that made them ([`Generation`]).

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::rc::{Rc, Weak};

use super::value::Value;
use super::{Raise, Result};

/// What MaixPy's interpreter has, in bytes (`gc heap` in its boot log).
pub(crate) const SIZE: usize = 512 << 10;

/// What small values may take beyond it until the next statement.
const SLACK: usize = SIZE / 4;

/// What a value takes beside its contents: about one of the garbage collector's blocks.
const OBJECT: usize = 32;

/// A reference (`mp_obj_t`).
const SLOT: usize = 8;

thread_local! {
    /// What the values of this thread take.
    static USED: Cell<usize> = const { Cell::new(0) };
    /// What can be part of a circle, by the runs that made it.
    static GENERATIONS: RefCell<Vec<Vec<Weak<dyn Clear>>>> = const { RefCell::new(Vec::new()) };
    /// Values that wait to be dropped, while one is.
    static DYING: RefCell<Option<Vec<Value>>> = const { RefCell::new(None) };
}

/// Bytes in use.
pub(crate) fn used() -> usize {
    USED.get()
}

fn no_memory(bytes: usize) -> Raise {
    Raise::new(
        "MemoryError",
        format!("memory allocation failed, allocating {bytes} bytes"),
    )
}

/// Whether there is room for as many bytes, raised if not.
pub(crate) fn reserve(bytes: usize) -> Result<()> {
    match used().checked_add(bytes) {
        Some(all) if all <= SIZE => Ok(()),
        _ => Err(no_memory(bytes)),
    }
}

/// Whether there is room for as many references.
pub(crate) fn reserve_slots(count: usize) -> Result<()> {
    reserve(count.saturating_mul(SLOT))
}

/// Whether small values have gone beyond the heap.
pub(crate) fn check() -> Result<()> {
    match used() > SIZE + SLACK {
        true => Err(no_memory(OBJECT)),
        false => Ok(()),
    }
}

/// A share of the heap, given back when it is dropped.
#[derive(Default)]
pub(crate) struct Charge(Cell<usize>);

impl Charge {
    /// For contents of that size.
    pub(crate) fn new(contents: usize) -> Self {
        let charge = Charge::default();
        charge.set(contents);
        charge
    }

    fn set(&self, contents: usize) {
        let bytes = contents + OBJECT;
        let before = self.0.replace(bytes);
        USED.set((USED.get() + bytes).saturating_sub(before));
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        // At the end of the thread nobody counts any more.
        let _ = USED.try_with(|used| used.set(used.get().saturating_sub(self.0.get())));
    }
}

/// Drops values without a call inside a call for what they hold: nesting costs no stack.
pub(crate) fn bury(values: impl IntoIterator<Item = Value>) {
    let nested = DYING.try_with(|dying| {
        let mut dying = dying.borrow_mut();
        let nested = dying.is_some();
        dying.get_or_insert_default().extend(values);
        nested
    });
    if nested.unwrap_or(true) {
        return;
    }
    let next = || DYING.with_borrow_mut(|dying| dying.as_mut().and_then(Vec::pop));
    while let Some(value) = next() {
        drop(value);
    }
    DYING.set(None);
}

/// Contents that do not change: text, bytes, the items of a tuple.
pub(crate) trait Frozen {
    /// What they take.
    fn size(&self) -> usize;

    /// Drops them.
    fn bury(self: Box<Self>) {}
}

impl Frozen for str {
    fn size(&self) -> usize {
        self.len()
    }
}

impl Frozen for [u8] {
    fn size(&self) -> usize {
        self.len()
    }
}

impl Frozen for [Value] {
    fn size(&self) -> usize {
        self.len() * SLOT
    }

    fn bury(self: Box<Self>) {
        bury(self.into_vec());
    }
}

/// Shared contents that do not change.
pub(crate) struct Held<T: ?Sized + Frozen>(Rc<Inner<T>>)
where
    Box<T>: Default;

struct Inner<T: ?Sized + Frozen>
where
    Box<T>: Default,
{
    contents: Box<T>,
    _charge: Charge,
}

impl<T: ?Sized + Frozen> Drop for Inner<T>
where
    Box<T>: Default,
{
    fn drop(&mut self) {
        T::bury(std::mem::take(&mut self.contents));
    }
}

impl<T: ?Sized + Frozen> Held<T>
where
    Box<T>: Default,
{
    /// Whether both are the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: ?Sized + Frozen> Clone for Held<T>
where
    Box<T>: Default,
{
    fn clone(&self) -> Self {
        Held(self.0.clone())
    }
}

impl<T: ?Sized + Frozen> Deref for Held<T>
where
    Box<T>: Default,
{
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.contents
    }
}

impl<T: ?Sized + Frozen> Held<T>
where
    Box<T>: Default,
{
    fn new(contents: Box<T>) -> Self {
        Held(Rc::new(Inner {
            _charge: Charge::new(contents.size()),
            contents,
        }))
    }
}

impl From<&str> for Held<str> {
    fn from(text: &str) -> Self {
        Held::new(text.into())
    }
}

impl From<String> for Held<str> {
    fn from(text: String) -> Self {
        Held::new(text.into())
    }
}

impl From<&[u8]> for Held<[u8]> {
    fn from(data: &[u8]) -> Self {
        Held::new(data.into())
    }
}

impl From<Vec<u8>> for Held<[u8]> {
    fn from(data: Vec<u8>) -> Self {
        Held::new(data.into())
    }
}

impl From<Vec<Value>> for Held<[Value]> {
    fn from(items: Vec<Value>) -> Self {
        Held::new(items.into())
    }
}

impl std::fmt::Display for Held<str> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl std::fmt::Debug for Held<str> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl std::fmt::Debug for Held<[u8]> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl std::borrow::Borrow<str> for Held<str> {
    fn borrow(&self) -> &str {
        self
    }
}

/// Contents that change: the items of a list, the pairs of a dict, names.
pub(crate) trait Contents {
    /// What they take.
    fn size(&self) -> usize;

    /// Takes all of them away.
    fn take(&mut self) -> Vec<Value>;
}

impl Contents for Vec<Value> {
    fn size(&self) -> usize {
        self.len() * SLOT
    }

    fn take(&mut self) -> Vec<Value> {
        std::mem::take(self)
    }
}

impl Contents for Vec<u8> {
    fn size(&self) -> usize {
        self.len()
    }

    fn take(&mut self) -> Vec<Value> {
        Vec::new()
    }
}

impl Contents for Vec<(Value, Value)> {
    fn size(&self) -> usize {
        self.len() * 2 * SLOT
    }

    fn take(&mut self) -> Vec<Value> {
        let pairs = std::mem::take(self);
        pairs
            .into_iter()
            .flat_map(|(key, value)| [key, value])
            .collect()
    }
}

impl Contents for HashMap<Rc<str>, Value> {
    fn size(&self) -> usize {
        self.len() * 2 * SLOT
    }

    fn take(&mut self) -> Vec<Value> {
        self.drain().map(|(_, value)| value).collect()
    }
}

/// Shared contents that change.
pub(crate) struct Store<T: Contents> {
    contents: RefCell<T>,
    charge: Charge,
}

impl<T: Contents + 'static> Store<T> {
    /// Puts contents into the heap.
    pub(crate) fn new(contents: T) -> Rc<Self> {
        let store = Rc::new(Store {
            charge: Charge::new(contents.size()),
            contents: RefCell::new(contents),
        });
        remember(&store);
        store
    }

    /// The same for contents that hold no values, and so are part of no circle.
    pub(crate) fn leaf(contents: T) -> Rc<Self> {
        Rc::new(Store {
            charge: Charge::new(contents.size()),
            contents: RefCell::new(contents),
        })
    }

    /// To look at them.
    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        self.contents.borrow()
    }

    /// To change them.
    pub(crate) fn borrow_mut(&self) -> StoreMut<'_, T> {
        StoreMut {
            contents: self.contents.borrow_mut(),
            charge: &self.charge,
        }
    }
}

impl<T: Contents> Drop for Store<T> {
    fn drop(&mut self) {
        bury(self.contents.get_mut().take());
    }
}

/// Contents that are being changed; they are charged anew at the end.
pub(crate) struct StoreMut<'a, T: Contents> {
    contents: RefMut<'a, T>,
    charge: &'a Charge,
}

impl<T: Contents> Deref for StoreMut<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.contents
    }
}

impl<T: Contents> DerefMut for StoreMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.contents
    }
}

impl<T: Contents> Drop for StoreMut<'_, T> {
    fn drop(&mut self) {
        self.charge.set(self.contents.size());
    }
}

/// What can be part of a circle.
trait Clear {
    fn clear(&self);
}

impl<T: Contents> Clear for Store<T> {
    fn clear(&self) {
        if let Ok(mut contents) = self.contents.try_borrow_mut() {
            let values = contents.take();
            drop(contents);
            bury(values);
            self.charge.set(0);
        }
    }
}

/// Puts a store among those of the present run.
fn remember<T: Contents + 'static>(store: &Rc<Store<T>>) {
    let weak: Weak<dyn Clear> = Rc::<Store<T>>::downgrade(store);
    GENERATIONS.with_borrow_mut(|generations| {
        let Some(stores) = generations.last_mut() else {
            return;
        };
        // What is gone makes room before more is asked for.
        if stores.len() == stores.capacity() {
            stores.retain(|store| store.strong_count() > 0);
            if stores.len() * 2 > stores.capacity() {
                stores.reserve(stores.len().max(64));
            }
        }
        stores.push(weak);
    });
}

/// A run: what it has made and nobody outside of it holds is gone when this is dropped, circles
/// included.
pub(crate) struct Generation(());

impl Generation {
    /// Begins a run, inside of the present one if there is one.
    pub(crate) fn begin() -> Self {
        GENERATIONS.with_borrow_mut(|generations| generations.push(Vec::new()));
        Generation(())
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let stores = GENERATIONS.with_borrow_mut(Vec::pop);
        for store in stores.into_iter().flatten() {
            if let Some(store) = store.upgrade() {
                store.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::{list, tuple};
    use super::*;

    #[test]
    fn what_is_dropped_is_credited() {
        let before = used();
        let items = list(vec![Value::Int(1); 100]);
        assert!(used() >= before + 800);
        let Value::List(store) = &items else {
            panic!("a list");
        };
        store.borrow_mut().clear();
        assert!(used() < before + 100);
        drop(items);
        assert_eq!(used(), before);
    }

    #[test]
    fn nesting_costs_no_stack() {
        let before = used();
        let mut value = Value::None;
        for depth in 0..1_000_000 {
            value = match depth % 2 {
                0 => list(vec![value]),
                _ => tuple(vec![value]),
            };
        }
        drop(value);
        assert_eq!(used(), before);
    }

    #[test]
    fn circles_end_with_their_run() {
        let before = used();
        {
            let _generation = Generation::begin();
            for _ in 0..100 {
                let circle = Store::new(Vec::new());
                circle.borrow_mut().push(Value::List(circle.clone()));
            }
            assert!(used() > before);
        }
        assert_eq!(used(), before);
    }
}
