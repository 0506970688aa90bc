//! Plugin configurations: refused with one line, or served. What is served is written and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::config::Config;
use seqroute_core::ledger::size::max_bytes;

fuzz_target!(|data: &[u8]| {
    match Config::from_json(data) {
        Ok(config) => {
            let _ = (config.default_budget(), config.max_budget(), max_bytes(&config), config.warnings());
            let written = serde_json::to_vec(&config).expect("a configuration is JSON");
            let again = Config::from_json(&written).expect("what was accepted is accepted again");
            assert_eq!(serde_json::to_vec(&again).expect("a configuration is JSON"), written);
        }
        Err(error) => assert!(!error.to_string().trim().is_empty() && !error.to_string().contains('\n')),
    }
});
