//! What the filter's counters say about money.

/// Reserved nano-USD that have neither been settled, refunded nor expired: 0 once every turn has ended.
///
/// `counter` gives the filter's counters by name, without `seqroute.`; `level` is empty for sessions and `tenant_` for
/// tenants.
pub fn outstanding_nano_usd(level: &str, counter: impl Fn(&str) -> u64) -> i128 {
    let money = |name: &str| i128::from(counter(&format!("{level}{name}_nano_usd")));
    money("granted") - money("settled") - money("refunded") - money("expired")
}
