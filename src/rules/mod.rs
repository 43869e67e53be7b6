//! Rule files to a compiled, type-checked program.
