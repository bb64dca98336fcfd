//! The command `layercage-differ`.

fn main() -> std::process::ExitCode {
    layercage_differ::main()
}
