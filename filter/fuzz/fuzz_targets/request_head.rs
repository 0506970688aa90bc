//! Request headers, one per line as `name: value`: a budget, a λ and a difficulty are in range or refused, and the
//! session does not depend on anything but its sources.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use seqroute_core::config::Config;
use seqroute_core::counters::Counts;
use seqroute_core::money::NanoUsd;
use seqroute_core::reply::local_reply::LocalReply;
use seqroute_core::request::head::{HeadVerdict, RequestHead};
use seqroute_fuzz::open_minded_config;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    Config::from_json(open_minded_config().to_string().as_bytes()).expect("a configuration")
});

fuzz_target!(|data: &[u8]| {
    let mut headers = vec![(b":method".to_vec(), b"POST".to_vec())];
    for line in data.split(|byte| *byte == b'\n') {
        let colon = line.iter().skip(1).position(|byte| *byte == b':').map_or(line.len(), |at| at + 1);
        let value = line.get(colon + 1..).unwrap_or_default();
        headers.push((line[..colon].to_vec(), value.trim_ascii_start().to_vec()));
    }
    let mut counts = Counts::default();
    match RequestHead::read(&CONFIG, &headers, None, &mut counts) {
        HeadVerdict::Llm(head) => {
            assert!(head.budget > NanoUsd::ZERO && head.budget <= CONFIG.max_budget());
            assert!(head.lambda >= 0.0 && head.lambda.is_finite());
            assert!(head.difficulty.is_none_or(|difficulty| (0.0..=1.0).contains(&difficulty)));
            assert_eq!(head.identity.session(&CONFIG, None), head.identity.session(&CONFIG, None));
            assert!(head.identity.tenant().is_some());
        }
        HeadVerdict::Refuse(refusal) => {
            let reply = LocalReply::to_head(refusal, &CONFIG);
            assert!((400..600).contains(&reply.status));
        }
        HeadVerdict::Bypass | HeadVerdict::Free(_) => {}
    }
});
