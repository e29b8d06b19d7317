//! `bindgen IN.wasm OUTDIR (nodejs|web)`: the JavaScript side of the WebAssembly build.
//!
//! The library behind the `wasm-bindgen` command, called by us: it builds in half a minute on any
//! machine, where installing the command takes minutes.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, folder, target] = arguments.as_slice() else {
        eprintln!("usage: bindgen IN.wasm OUTDIR (nodejs|web)");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(input)
        .typescript(true)
        .remove_name_section(true);
    let prepared = match target.as_str() {
        "nodejs" => bindgen.nodejs(true),
        _ => bindgen.web(true),
    };
    match prepared.and_then(|bindgen| bindgen.generate(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bindgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}
