//! The checks of a configuration, field by field, in the order in which they stand in it.

use std::fmt::Display;

use super::{Config, ConfigError, Enforcement, Mode, SessionSource, Strategy, TenantConfig};
use crate::MAX_MODELS;
use crate::money::NanoUsd;

fn range(ok: bool, field: &str, found: &dyn Display, expected: &'static str) -> Result<(), ConfigError> {
    let error = || ConfigError::Field { field: field.to_owned(), found: format!("`{found}`"), expected };
    if ok { Ok(()) } else { Err(error()) }
}

fn present(ok: bool, field: &str, expected: &'static str) -> Result<(), ConfigError> {
    let error = || ConfigError::Field { field: field.to_owned(), found: "nothing".to_owned(), expected };
    if ok { Ok(()) } else { Err(error()) }
}

fn is_usd_above_zero(text: &str) -> bool {
    NanoUsd::parse_usd(text).is_ok_and(|amount| amount > NanoUsd::ZERO)
}

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    range(config.version == 1, "version", &config.version, "1")?;
    let salt_bytes = config.salt.len();
    range(salt_bytes >= 8, "salt", &format!("{salt_bytes} bytes"), "at least 8 bytes of secret text")?;
    range(config.peek_bytes >= 1024, "peek_bytes", &config.peek_bytes, "at least 1024")?;
    present(!config.paths.is_empty(), "paths", "at least one request path")?;
    check_session(config)?;
    check_budget(config)?;
    check_ledger(config)?;
    check_estimate(config)?;
    check_models(config)?;
    check_strategy(config)
}

fn check_session(config: &Config) -> Result<(), ConfigError> {
    let sources = &config.session.sources;
    range(
        (1..=16).contains(&sources.len()),
        "session.sources",
        &format!("{} sources", sources.len()),
        "1 to 16 sources",
    )?;
    for (k, source) in sources.iter().enumerate() {
        let field = format!("session.sources[{k}]");
        match source {
            SessionSource::Header(name) => check_header(name, &field)?,
            SessionSource::Cookie(name) => range(is_token(name), &field, name, "the name of a cookie")?,
            SessionSource::Body(name) => range(
                config.mode != Mode::Headers,
                &field,
                &name.name(),
                "a header or a cookie: the mode `headers` never sees a body",
            )?,
        }
    }
    let tenant = config.session.tenant_header.as_ref();
    tenant.map_or(Ok(()), |name| check_header(name, "session.tenant_header"))?;
    check_header(&config.budget.header, "budget.header")?;
    check_header(&config.lambda.header, "lambda.header")?;
    check_header(&config.difficulty.header, "difficulty.header")?;
    check_header(&config.debug.header, "debug.header")
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn check_header(name: &str, field: &str) -> Result<(), ConfigError> {
    let lower = is_token(name) && !name.bytes().any(|b| b.is_ascii_uppercase());
    range(lower, field, &name, "the name of a header in lower case")
}

fn check_budget(config: &Config) -> Result<(), ConfigError> {
    let budget = &config.budget;
    let text = &budget.default_usd;
    range(is_usd_above_zero(text), "budget.default_usd", text, "a positive decimal number of USD")?;
    if let Some(max) = &budget.max_usd {
        let covers = NanoUsd::parse_usd(max).ok() >= NanoUsd::parse_usd(text).ok();
        range(covers, "budget.max_usd", max, "a decimal number of USD, at least `budget.default_usd`")?;
    }
    let status = budget.exhausted_status;
    range(matches!(status, 402 | 429), "budget.exhausted_status", &status, "402 or 429")?;
    if let Some(tokens) = budget.shortest_output_tokens {
        let field = "budget.shortest_output_tokens";
        range(tokens >= 1, field, &tokens, "at least 1")?;
        range(
            config.can_cut_answers(),
            field,
            &tokens,
            "`cap_output` and a mode that reads bodies beside it",
        )?;
    }
    let lambda = config.lambda.value;
    range(lambda.is_finite() && lambda >= 0.0, "lambda.value", &lambda, "a finite number, at least 0")?;
    let margin = config.switching.cache_margin;
    range((0.0..=1e6).contains(&margin), "switching.cache_margin", &margin, "0 to 1000000")?;
    for (t, turns) in config.guard.remaining_turns.iter().enumerate() {
        let field = format!("guard.remaining_turns[{t}]");
        range((0.0..=1000.0).contains(turns), &field, turns, "0 to 1000")?;
    }
    let entries = config.guard.remaining_turns.len();
    range(entries <= 256, "guard.remaining_turns", &format!("{entries} entries"), "at most 256")?;
    config.tenants.as_ref().map_or(Ok(()), |tenants| check_tenants(config, tenants))
}

fn check_tenants(config: &Config, tenants: &TenantConfig) -> Result<(), ConfigError> {
    let named = config.session.tenant_header.is_some();
    present(named, "session.tenant_header", "the header that names the tenants of `tenants`")?;
    let text = &tenants.default_usd;
    range(is_usd_above_zero(text), "tenants.default_usd", text, "a positive decimal number of USD")?;
    for (name, text) in &tenants.budgets_usd {
        let field = format!("tenants.budgets_usd.{name}");
        range(is_usd_above_zero(text), &field, text, "a positive decimal number of USD")?;
    }
    let count = tenants.budgets_usd.len();
    range(count <= 10_000, "tenants.budgets_usd", &format!("{count} tenants"), "at most 10000")?;
    if let Some(window_ms) = tenants.window_ms {
        range(window_ms >= 1000, "tenants.window_ms", &window_ms, "at least 1000")?;
    }
    let ttl_ms = tenants.ttl_ms;
    range(ttl_ms >= config.ledger.lease_ms, "tenants.ttl_ms", &ttl_ms, "at least `ledger.lease_ms`")?;
    range((1..=1 << 16).contains(&tenants.buckets), "tenants.buckets", &tenants.buckets, "1 to 65536")?;
    let per_bucket = tenants.tenants_per_bucket;
    range((1..=256).contains(&per_bucket), "tenants.tenants_per_bucket", &per_bucket, "1 to 256")
}

fn check_ledger(config: &Config) -> Result<(), ConfigError> {
    let ledger = &config.ledger;
    range((1..=1 << 20).contains(&ledger.buckets), "ledger.buckets", &ledger.buckets, "1 to 1048576")?;
    let per_bucket = ledger.sessions_per_bucket;
    range((1..=256).contains(&per_bucket), "ledger.sessions_per_bucket", &per_bucket, "1 to 256")?;
    let reservations = ledger.reservations_per_bucket;
    range((1..=4096).contains(&reservations), "ledger.reservations_per_bucket", &reservations, "1 to 4096")?;
    let evicted = ledger.evicted_per_bucket;
    range(evicted <= 1024, "ledger.evicted_per_bucket", &evicted, "0 to 1024")?;
    range(ledger.lease_ms >= 1000, "ledger.lease_ms", &ledger.lease_ms, "at least 1000")?;
    let ttl_ms = ledger.session_ttl_ms;
    range(ttl_ms >= ledger.lease_ms, "ledger.session_ttl_ms", &ttl_ms, "at least `ledger.lease_ms`")?;
    let in_flight = ledger.max_in_flight;
    range((1..=255).contains(&in_flight), "ledger.max_in_flight", &in_flight, "1 to 255")
}

fn check_estimate(config: &Config) -> Result<(), ConfigError> {
    let ratio = config.estimate.bytes_per_token;
    range((1..=16).contains(&ratio), "estimate.bytes_per_token", &ratio, "1 to 16")?;
    let upper = config.estimate.upper_bytes_per_token;
    let expected = "1 to `estimate.bytes_per_token`";
    range((1..=ratio).contains(&upper), "estimate.upper_bytes_per_token", &upper, expected)
}

fn check_models(config: &Config) -> Result<(), ConfigError> {
    let field = |field: String, found: String, expected| Err(ConfigError::Field { field, found, expected });
    let count = config.models.len();
    if !(1..=MAX_MODELS).contains(&count) {
        return field("models".into(), format!("{count} models"), "1 to 8 models");
    }
    for (k, model) in config.models.iter().enumerate() {
        let at = |name: &str| format!("models[{k}].{name}");
        let token =
            |text: &str| !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic());
        if !token(&model.name) {
            return field(at("name"), format!("`{}`", model.name), "1 to 128 printable ASCII characters");
        }
        if !token(&model.cluster) {
            return field(at("cluster"), format!("`{}`", model.cluster), "the name of an Envoy cluster");
        }
        if config.models.iter().filter(|other| other.name == model.name).count() > 1 {
            return field(at("name"), format!("`{}` twice", model.name), "names that differ");
        }
        let prices = model.prices;
        let zero = prices.input_pico_usd_per_token == 0 || prices.output_pico_usd_per_token == 0;
        if zero && !model.free {
            return field(at("prices"), "a price of 0".into(), "prices above 0, or `\"free\": true`");
        }
        if let Some(cached) = prices.cached_input_pico_usd_per_token
            && cached > prices.input_pico_usd_per_token
        {
            let name = at("prices.cached_input_pico_usd_per_token");
            return field(name, format!("`{cached}`"), "at most the input price");
        }
        let expected_output = model.expected_output_tokens;
        if expected_output == 0 || model.upper_output_tokens < expected_output {
            let found = format!("expected {expected_output}, upper {}", model.upper_output_tokens);
            return field(
                at("upper_output_tokens"),
                found,
                "1 <= expected_output_tokens <= upper_output_tokens",
            );
        }
        if model.context_tokens == 0 {
            return field(at("context_tokens"), "`0`".into(), "at least 1");
        }
    }
    Ok(())
}

fn check_strategy(config: &Config) -> Result<(), ConfigError> {
    let policy = config.strategy == Strategy::Policy;
    let given = !policy || config.policy_b64.is_some();
    present(given, "policy_b64", "a policy archive, as the strategy is `policy`")?;
    if let Strategy::Always(name) = &config.strategy {
        let known = config.models.iter().any(|model| model.name == *name);
        range(known, "strategy.always", name, "the name of one of the models")?;
    }
    let canary = config.policy_canary_b64.is_some();
    let stray = canary && !policy;
    range(!stray, "policy_canary_b64", &"a policy archive", "nothing, as the strategy is not `policy`")?;
    let share = config.canary_share;
    range((0.0..=1.0).contains(&share), "canary_share", &share, "0 to 1")?;
    range(canary || share == 0.0, "canary_share", &share, "0, as there is no `policy_canary_b64`")
}

pub(super) fn warnings(config: &Config) -> Vec<String> {
    let headers_only = config.mode == Mode::Headers;
    let locks = config.models.iter().any(|model| model.compat_group.is_some());
    let narrow = config.models.iter().any(|model| !model.accepts.images || !model.accepts.tools);
    let checks = [
        (
            headers_only && config.budget.cap_output == Some(true),
            "`budget.cap_output` has no effect in the mode `headers`",
        ),
        (
            headers_only && locks,
            "`compat_group` has no effect in the mode `headers`: tool loops are not seen",
        ),
        (
            headers_only && narrow,
            "`accepts` has no effect in the mode `headers`: images and tools are not seen",
        ),
        (
            config.policy_canary_b64.is_some() && config.canary_share == 0.0,
            "`policy_canary_b64` is not used, as `canary_share` is 0",
        ),
        (config.enforcement == Enforcement::Shadow, "enforcement is `shadow`: nothing is charged or refused"),
    ];
    checks.iter().filter(|(applies, _)| *applies).map(|(_, text)| (*text).to_owned()).collect()
}
