//! Values in shared data, which every plugin with the same `vm_id` can write: read back the same, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqroute_core::ledger::callers::CallerBucket;
use seqroute_core::ledger::sessions::bucket::SessionBucket;
use seqroute_core::ledger::table::Stored;
use seqroute_core::ledger::tenants::bucket::TenantBucket;
use seqroute_fuzz::Input;

fn check<V: Stored + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(value) = V::from_bytes(bytes) {
        let again =
            V::from_bytes(&value.to_bytes()).expect("what was read is written so that it can be read");
        assert_eq!(again, value);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    match input.choice % 3 {
        0 => check::<SessionBucket>(input.text),
        1 => check::<TenantBucket>(input.text),
        _ => check::<CallerBucket>(input.text),
    }
});
