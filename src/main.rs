//! The program: see [`forewarn::cli`].

fn main() {}
