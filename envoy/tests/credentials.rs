//! The example files for credentials in a real Envoy: who may call, and with which key the gateway calls. Without an Envoy
//! (`make envoy` fetches one) each test prints that it was skipped, and passes.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use seqroute_envoy::launcher::{Envoy, EnvoyBinary, EnvoySpec, ListenerSpec};
use seqroute_envoy::mock_llm::{MockLlm, ReceivedRequest};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const AUTHENTICATION: &str = include_str!("../authentication.example.yaml");
const API_KEYS: &str = include_str!("../api-keys.example.yaml");
const PROVIDER: &str = include_str!("../provider-cluster.example.yaml");
/// Where the examples have their secrets.
const KEYS: &str = "/etc/seqroute/keys";
const TENANT: &str = "x-seqroute-tenant";
const RED_KEY: &str = "CHANGE-ME-key-of-the-red-team";
/// Signs the tokens of these tests; the examples' issuer signs with a key pair.
const TOKEN_KEY: &[u8] = b"a key of the tests, 32 bytes long";

/// One Envoy with the shipped configuration and one of the examples, in front of a model server.
struct Gateway {
    server: MockLlm,
    envoy: Envoy,
    // Dropped last: Envoy reads from it and writes into it.
    directory: tempfile::TempDir,
}

impl Gateway {
    /// `prepare` writes the secrets into the directory that it gets, and adds the example to the specification.
    async fn start(prepare: impl FnOnce(&mut EnvoySpec, &MockLlm, &Path)) -> Option<Gateway> {
        let binary = EnvoyBinary::locate().inspect_err(|error| eprintln!("skipped: {error:#}")).ok()?;
        let directory = tempfile::tempdir().unwrap();
        let keys = directory.path().join("keys");
        std::fs::create_dir(&keys).unwrap();
        let server = MockLlm::start("small", "127.0.0.1:0".parse().unwrap()).unwrap();
        let mut spec = EnvoySpec::new(binary, directory.path().join("run"));
        spec.upstreams = vec![("small".to_owned(), server.addr())];
        spec.listeners = vec![ListenerSpec::plain("llm")];
        prepare(&mut spec, &server, &keys);
        let envoy = Envoy::start(spec).await.unwrap();
        Some(Gateway { server, envoy, directory })
    }

    /// The status of a call with these headers, and what the model server got of it.
    async fn call(&self, headers: &[(&str, &str)]) -> (StatusCode, Option<ReceivedRequest>) {
        self.server.clear_received();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/v1/chat/completions?key=client&beta=true", self.envoy.url("llm").unwrap());
        let mut request = client.post(url).body(json!({"model": "m"}).to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        answer.bytes().await.unwrap();
        (status, self.server.received().pop())
    }

    /// Replaces a file of secrets as an operator does.
    fn replace(&self, name: &str, text: &str) {
        let keys = self.directory.path().join("keys");
        std::fs::write(keys.join("new"), text).unwrap();
        std::fs::rename(keys.join("new"), keys.join(name)).unwrap();
    }
}

/// The filters of `authentication.example.yaml` under this name, with their secrets in `keys`.
fn filters(name: &str, keys: &Path) -> Vec<Value> {
    let text = AUTHENTICATION.replace(KEYS, keys.to_str().unwrap());
    let example: Value = serde_saphyr::from_str(&text).unwrap();
    example[name].as_array().unwrap().clone()
}

/// All values of a header, as the model server got them.
fn values<'a>(request: &'a ReceivedRequest, name: &str) -> Vec<&'a str> {
    let values = request.headers.iter().filter(|(found, _)| found == name);
    values.map(|(_, value)| std::str::from_utf8(value).unwrap()).collect()
}

async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_api_key_names_the_tenant_and_nothing_else_does() {
    let gateway = Gateway::start(|spec, _, keys| {
        std::fs::write(keys.join("api-keys.yaml"), API_KEYS).unwrap();
        spec.listeners[0].before = filters("api_keys", keys);
    });
    let Some(gateway) = gateway.await else { return };

    let refused =
        [vec![], vec![("authorization", "Bearer guessed")], vec![(TENANT, "red"), ("x-team", "red")]];
    for headers in refused {
        let (status, received) = gateway.call(&headers).await;
        assert!(status == 401 && received.is_none(), "{headers:?}: {status}");
    }
    let bearer = format!("Bearer {RED_KEY}");
    let places = [
        ("authorization", &*bearer),
        ("x-api-key", RED_KEY),
        ("api-key", RED_KEY),
        ("x-goog-api-key", RED_KEY),
    ];
    for place in places {
        let (status, received) = gateway.call(&[place, (TENANT, "blue"), (TENANT, "green")]).await;
        assert_eq!(status, 200, "{place:?}");
        let received = received.unwrap();
        assert_eq!(values(&received, TENANT), ["red"], "{place:?}");
        assert_eq!(received.header(place.0), None, "the key opens the gateway, and stays there");
    }

    gateway.replace("api-keys.yaml", &API_KEYS.replace(RED_KEY, "another-key"));
    until("the new key is not known", async || gateway.call(&[("x-api-key", "another-key")]).await.0 == 200)
        .await;
    assert_eq!(gateway.call(&[("x-api-key", RED_KEY)]).await.0, 401);
    let dump = gateway.envoy.admin_get("/config_dump").await.unwrap();
    assert!(dump.contains("[redacted]") && !dump.contains("another-key"));
    gateway.envoy.stop().await;
}

#[tokio::test]
async fn a_token_names_the_tenant_by_its_claim() {
    let gateway = Gateway::start(|spec, _, keys| {
        let key = json!({"kty": "oct", "alg": "HS256", "k": BASE64_URL_SAFE_NO_PAD.encode(TOKEN_KEY)});
        std::fs::write(keys.join("jwks.json"), json!({"keys": [key]}).to_string()).unwrap();
        spec.listeners[0].before = filters("jwt", keys);
    });
    let Some(gateway) = gateway.await else { return };

    let claims = |change: &dyn Fn(&mut Value)| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let mut claims = json!({
            "iss": "https://identity.example.com", "aud": "llm-gateway", "team": "red", "exp": since.as_secs() + 600,
        });
        change(&mut claims);
        claims
    };
    let good = token(&claims(&|_| ()), TOKEN_KEY);
    let (status, received) = gateway.call(&[("authorization", &good), (TENANT, "blue")]).await;
    assert_eq!(status, 200);
    let received = received.unwrap();
    assert_eq!(values(&received, TENANT), ["red"]);
    assert_eq!(received.header("authorization"), None);

    let remove = |name: &'static str| claims(&|claims| drop(claims.as_object_mut().unwrap().remove(name)));
    let refused = [
        ("no token", String::new(), 401),
        ("forged", token(&claims(&|_| ()), &[0; 32]), 401),
        ("expired", token(&claims(&|claims| claims["exp"] = json!(1)), TOKEN_KEY), 401),
        ("without end", token(&remove("exp"), TOKEN_KEY), 401),
        ("too long", token(&claims(&|claims| claims["exp"] = json!(4_102_444_800_u64)), TOKEN_KEY), 401),
        ("for others", token(&claims(&|claims| claims["aud"] = json!("elsewhere")), TOKEN_KEY), 403),
        ("without a team", token(&remove("team"), TOKEN_KEY), 403),
    ];
    for (what, token, expected) in refused {
        let (status, received) = gateway.call(&[("authorization", &token), (TENANT, "red")]).await;
        assert!(status == expected && received.is_none(), "{what}: {status}");
    }
    gateway.envoy.stop().await;
}

#[tokio::test]
async fn a_provider_gets_the_operators_key_and_none_of_the_clients() {
    let secret = |key: &str| {
        let text = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
        json!({"resources": [{"@type": text, "name": "provider", "generic_secret": {"secret": {"inline_string": key}}}]})
            .to_string()
    };
    let gateway = Gateway::start(|spec, server, keys| {
        std::fs::write(keys.join("provider.yaml"), secret("first-key")).unwrap();
        spec.clusters = vec![provider(server, keys)];
        spec.default_cluster = Some("large".to_owned());
    });
    let Some(gateway) = gateway.await else { return };

    let of_the_client = [
        ("authorization", "Bearer client"),
        ("x-api-key", "client"),
        ("x-goog-api-key", "client"),
        ("x-amz-security-token", "client"),
        ("cookie", "session=1"),
        ("openai-organization", "client"),
        ("x-litellm-tags", "client"),
        ("helicone-auth", "client"),
        ("x-session-id", "raw"),
        ("session_id", "raw"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "elsewhere"),
        ("forwarded", "for=192.0.2.1"),
    ];
    let (status, received) = gateway.call(&of_the_client).await;
    assert_eq!(status, 200);
    let received = received.unwrap();
    assert_eq!(values(&received, "authorization"), ["Bearer first-key"]);
    for (name, _) in &of_the_client[1..] {
        assert_eq!(received.header(name), None, "{name}");
    }
    assert!(!received.headers.iter().any(|(name, _)| name.starts_with("x-envoy-")), "{:?}", received.headers);
    assert_eq!(received.path, "/v1/chat/completions?beta=true");

    gateway.replace("provider.yaml", &secret("second-key"));
    until("the new key is not used", async || {
        let (_, received) = gateway.call(&[]).await;
        received.unwrap().header("authorization") == Some("Bearer second-key")
    })
    .await;
    let dump = gateway.envoy.admin_get("/config_dump?include_eds").await.unwrap();
    assert!(!dump.contains("first-key") && !dump.contains("second-key"));
    gateway.envoy.stop().await;
}

/// The example's cluster with the server's address, and without TLS, which the server does not speak.
fn provider(server: &MockLlm, keys: &Path) -> Value {
    let text = PROVIDER.replace(KEYS, keys.to_str().unwrap());
    let example: Vec<Value> = serde_saphyr::from_str(&text).unwrap();
    let mut cluster = example.into_iter().next().unwrap();
    cluster.as_object_mut().unwrap().remove("transport_socket");
    let address = server.addr();
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] =
        json!({"address": address.ip(), "port_value": address.port()});
    let options = cluster["typed_extension_protocol_options"].as_object_mut().unwrap();
    let options = options.values_mut().next().unwrap().as_object_mut().unwrap();
    // Which protocol the provider speaks is found out by TLS.
    let http = options.remove("auto_config").unwrap();
    options.insert(
        "explicit_http_config".to_owned(),
        json!({"http_protocol_options": http["http_protocol_options"]}),
    );
    cluster
}

/// A JSON web token that is signed by HMAC-SHA-256 (RFC 7515, RFC 2104), as a bearer.
fn token(claims: &Value, key: &[u8]) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "HS256"})), part(claims));
    let padded = |pad: u8| -> Vec<u8> {
        (0..64).map(|index| key.get(index).copied().unwrap_or_default() ^ pad).collect()
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(&signed).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    format!("Bearer {signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(outer))
}
