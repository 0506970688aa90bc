//! A client for the parts of Envoy's admin interface that tests use.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Compiling a module blocks Envoy's main thread, which also serves these pages.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one Envoy's admin interface.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    client: reqwest::Client,
}

impl Admin {
    /// A client for the interface at `address`; connects on first use.
    pub fn new(address: SocketAddr) -> anyhow::Result<Admin> {
        // A proxy from the environment cannot reach loopback addresses.
        let client = reqwest::Client::builder().no_proxy().timeout(PAGE_TIMEOUT).build()?;
        Ok(Admin { address, client })
    }

    /// Address of the interface.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Body of one page.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("http://{}{path}", self.address);
        let answer = self.client.get(&url).send().await.with_context(|| format!("GET {url}"))?;
        let status = answer.status();
        let body = answer.text().await.with_context(|| format!("GET {url}"))?;
        ensure!(status.is_success(), "GET {url}: status {status}: {}", body.trim());
        Ok(body)
    }

    /// Whether all workers run and all listeners are set up.
    pub async fn is_live(&self) -> bool {
        self.get("/ready").await.is_ok_and(|state| state.trim() == "LIVE")
    }

    /// Counters and gauges whose name matches the regular expression.
    pub async fn stats(&self, filter: &str) -> anyhow::Result<BTreeMap<String, u64>> {
        let page = self.get(&format!("/stats?filter={}", percent_encoded(filter))).await?;
        Ok(page.lines().filter_map(number_line).collect())
    }

    /// Value of one counter or gauge; 0 if there is none of this name.
    pub async fn stat(&self, name: &str) -> anyhow::Result<u64> {
        Ok(self.stats(&exactly(name)).await?.get(name).copied().unwrap_or(0))
    }

    /// Value of one text statistic.
    pub async fn text_stat(&self, name: &str) -> anyhow::Result<Option<String>> {
        let page = self.get(&format!("/stats?filter={}", percent_encoded(&exactly(name)))).await?;
        Ok(page.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            (found == name).then(|| value.trim_matches('"').to_owned())
        }))
    }

    /// Name and address of each listener.
    pub async fn listeners(&self) -> anyhow::Result<BTreeMap<String, SocketAddr>> {
        let page: Value = serde_json::from_str(&self.get("/listeners?format=json").await?)?;
        let statuses = page["listener_statuses"].as_array().context("/listeners: no listener_statuses")?;
        statuses
            .iter()
            .map(|status| listener(status).with_context(|| format!("/listeners: {status}")))
            .collect()
    }
}

fn listener(status: &Value) -> Option<(String, SocketAddr)> {
    let socket = &status["local_address"]["socket_address"];
    let address = socket["address"].as_str()?.parse().ok()?;
    let port = u16::try_from(socket["port_value"].as_u64()?).ok()?;
    Some((status["name"].as_str()?.to_owned(), SocketAddr::new(address, port)))
}

/// `name: number`; histograms and texts have something else after the colon.
fn number_line(line: &str) -> Option<(String, u64)> {
    let (name, value) = line.split_once(": ")?;
    Some((name.to_owned(), value.parse().ok()?))
}

fn exactly(name: &str) -> String {
    let mut expression = String::from("^");
    for character in name.chars() {
        if !character.is_alphanumeric() && character != '_' {
            expression.push('\\');
        }
        expression.push(character);
    }
    expression.push('$');
    expression
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_everything_else_is_left_out() {
        assert_eq!(number_line("wasmcustom.turns: 12"), Some(("wasmcustom.turns".to_owned(), 12)));
        assert_eq!(number_line("x.version_text: \"42\""), None);
        assert_eq!(number_line("x.update_duration: No recorded values"), None);
        assert_eq!(number_line("x.us: P0(1,1) P25(2,2)"), None);
    }

    #[test]
    fn a_name_is_matched_literally() {
        assert_eq!(exactly("a.b_c"), r"^a\.b_c$");
        assert_eq!(percent_encoded(r"^a\.b|c$"), "%5Ea%5C.b%7Cc%24");
    }
}
