//! Rule files to a compiled, type-checked program.

pub mod expr;
