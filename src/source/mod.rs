//! Files that people write, with what is wrong in them.
//!
//! A file is read into a [`Doc`] whose every value knows its place; reading never stops at the first mistake: each one
//! becomes a [`Diagnostic`] in [`Diagnostics`], and all are shown at once with a caret and a hint.

mod diag;
mod doc;
mod suggest;

pub use diag::{Diagnostic, Diagnostics, FileId, Place, Weight};
pub use doc::{Doc, Item, Table, Text};
pub use suggest::{did_you_mean, terse, what_there_is};
