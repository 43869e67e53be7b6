//! The program: see [`forewarn::cli`].

fn main() -> std::process::ExitCode {
    forewarn::cli::main()
}
