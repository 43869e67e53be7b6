//! One binary for all targets, so that it links once: `FUZZ_TARGET` names what is fuzzed, `FUZZ_SEEDS` a directory that
//! the seeds are written to.
#![no_main]

#[path = "../../src/decode/mod.rs"]
pub mod decode;
#[path = "../../src/domain/mod.rs"]
pub mod domain;
#[path = "../../src/model/mod.rs"]
pub mod model;
#[path = "../../src/rules/mod.rs"]
pub mod rules;
#[path = "../../src/source/mod.rs"]
pub mod source;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use targets::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let target = TARGET.get_or_init(|| Target::of(&name));
        if let Ok(dir) = std::env::var("FUZZ_SEEDS") {
            for (i, seed) in target.seeds.iter().enumerate() {
                std::fs::write(format!("{dir}/seed-{i:03}"), seed).expect("the directory of the seeds");
            }
        }
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(data);
        }
    }
);
