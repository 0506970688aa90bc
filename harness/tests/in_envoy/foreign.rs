//! Foreign functions whose arguments vary: signatures, and expressions over properties.
//!
//! One plugin calls whatever function a request's `x-function` names with the request's body, and logs status and
//! result. Many requests go through it, here and in Envoy.

use seqroute_harness::{HeaderMap, Plugin, Vm};

use crate::common;
use crate::envoy::{Envoy, exchange};
use crate::keys;
use crate::probe::{CONFIGURATION, Probe};

const CALLER: Probe = Probe {
    name: "caller",
    imports: "",
    functions: r#"
  (func $digit_of (param $n i32) (result i32)
    (i32.add (local.get $n) (select (i32.const 87) (i32.const 48) (i32.gt_u (local.get $n) (i32.const 9)))))
  ;; Logs bytes in hexadecimal.
  (func $show_hex (param $at i32) (param $len i32)
    (local $to i32) (local $end i32) (local $byte i32)
    (local.set $to (i32.const 210000))
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $byte (i32.load8_u (local.get $at)))
      (i32.store8 (local.get $to) (call $digit_of (i32.shr_u (local.get $byte) (i32.const 4))))
      (i32.store8 (i32.add (local.get $to) (i32.const 1))
        (call $digit_of (i32.and (local.get $byte) (i32.const 15))))
      (local.set $to (i32.add (local.get $to) (i32.const 2)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    (call $info (i32.const 210000) (i32.sub (local.get $to) (i32.const 210000))))
  ;; Calls a function, and logs its status and its result.
  (func $call (param $name i32) (param $name_len i32) (param $at i32) (param $len i32)
    (local $status i32)
    (i32.store (i32.const 200) (i32.const 7))
    (i32.store (i32.const 204) (i32.const 0))
    (local.set $status (call $foreign (local.get $name) (local.get $name_len) (local.get $at) (local.get $len)
      (i32.const 200) (i32.const 204)))
    (call $number (local.get $status))
    (call $show_hex (i32.load (i32.const 200)) (i32.load (i32.const 204))))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    ;; A property that is text; others are bytes.
    (call $die (call $foreign @"declare_property" @"\0a\04said\18\01" (i32.const 0) (i32.const 0)))
    i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $die (call $set_property @"mine" @"text"))
    (call $die (call $set_property @"said" @"text"))
    (call $die (call $foreign @"set_envoy_filter_state" @"\0a\0cenvoy.string\12\04text" (i32.const 0) (i32.const 0)))
    i32.const 1)
  (func (export "proxy_on_request_body") (param i32) (param $size i32) (param $end i32) (result i32)
    (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
    (call $die (call $get_buffer (i32.const 0) (i32.const 0) (local.get $size) (i32.const 100) (i32.const 104)))
    (call $die (call $get (i32.const 0) @"x-function"))
    (call $call (global.get $value) (global.get $value_len) (i32.load (i32.const 100)) (i32.load (i32.const 104)))
    ;; The token of an expression is used, given back, and used again.
    (if (i32.load (i32.const 204)) (then (if (i32.eqz (call $get (i32.const 0) @"x-evaluate")) (then
      (call $evaluate (i32.load (i32.load (i32.const 200))))))))
    i32.const 0)
  (func $evaluate (param $token i32)
    (i32.store (i32.const 208) (local.get $token))
    (call $call @"expr_evaluate" (i32.const 208) (i32.const 4))
    (call $call @"expr_delete" (i32.const 208) (i32.const 4))
    (call $call @"expr_evaluate" (i32.const 208) (i32.const 4))
    (call $call @"expr_delete" (i32.const 208) (i32.const 4)))
  (func (export "proxy_on_log") (param i32) (call $info @"end"))"#,
    request: ("POST", "/", &[]),
    body: "",
};

/// A call of a foreign function in a request.
struct Request {
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Request {
    fn new(function: &str, arguments: impl Into<Vec<u8>>) -> Self {
        Request { headers: vec![("x-function", function.to_owned())], body: arguments.into() }
    }

    fn expression(text: &str) -> Self {
        let mut request = Request::new("expr_create", text);
        request.headers.push(("x-evaluate", "1".to_owned()));
        request.headers.push(("x-a", "7".to_owned()));
        request
    }

    /// What the plugin logs in Envoy, whose plugin has logged `seen` lines so far.
    fn there(&self, envoy: &Envoy, seen: &mut usize) -> Vec<String> {
        let mut bytes = String::from("POST /a/b?c=d HTTP/1.1\r\nhost: llm\r\nconnection: close\r\n");
        for (name, value) in &self.headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes = format!("{bytes}content-length: {}\r\n\r\n", self.body.len()).into_bytes();
        bytes.extend(&self.body);
        exchange(envoy.address(CALLER.name), bytes).unwrap();
        envoy.wait_for("the end of the plugin's log", |envoy| {
            let lines = envoy.lines(CALLER.name).split_off(*seen);
            let end = lines.iter().position(|line| line == "end")?;
            *seen += end + 1;
            Some(lines[..end].to_vec())
        })
    }

    /// What it logs in the harness.
    fn here(&self, vm: &Vm, plugin: &Plugin) -> Vec<String> {
        let mut map = HeaderMap::from(&[
            (":authority", "llm"),
            (":path", "/a/b?c=d"),
            (":method", "POST"),
            (":scheme", "http"),
        ]);
        for (name, value) in &self.headers {
            map.add(name, value);
        }
        vm.clear_logs();
        let mut stream = plugin.stream();
        stream.request_headers(map, false).unwrap();
        stream.request_body(&self.body, true).unwrap();
        stream.finish().unwrap();
        let mut lines = common::lines(vm);
        assert_eq!(lines.pop().as_deref(), Some("end"), "{lines:?}");
        lines
    }
}

/// Expressions with values of every kind, of every property that is the same here and there, and with every kind of
/// mistake.
const EXPRESSIONS: &str = include_str!("expressions.txt");

#[test]
fn expressions_have_the_same_values_here_and_in_envoy() {
    let envoy = Envoy::start(&[CALLER.listener()], &[]);
    let (_host, vm) = CALLER.start();
    let plugin = vm.plugin("", CONFIGURATION).unwrap();
    let (mut seen, mut differences) = (0, Vec::new());
    for expression in EXPRESSIONS.lines() {
        let request = Request::expression(expression);
        let (here, there) = (request.here(&vm, &plugin), request.there(&envoy, &mut seen));
        if here != there {
            differences.push(format!("{expression}\n  here     {here:?}\n  in Envoy {there:?}"));
        }
    }
    assert!(seen > 0 && differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn arguments_of_expressions_are_checked_the_same_here_and_in_envoy() {
    let envoy = Envoy::start(&[CALLER.listener()], &[]);
    let (_host, vm) = CALLER.start();
    let plugin = vm.plugin("", CONFIGURATION).unwrap();
    let mut seen = 0;
    for function in ["expr_create", "expr_evaluate", "expr_delete"] {
        for arguments in [&b"abc"[..], b"\x09\0\0\0", b"\xff\xfe", b"12345"] {
            let request = Request::new(function, arguments);
            assert_eq!(
                request.here(&vm, &plugin),
                request.there(&envoy, &mut seen),
                "{function} {arguments:?}"
            );
        }
    }
}

/// One field of a protobuf message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let (low, high) = (bytes.len() as u8 | 0x80, (bytes.len() >> 7) as u8);
    [&[number << 3 | 2, low, high], bytes].concat()
}

/// What a result says of its signature, as the plugin logs it: field 2 of `SignResult` that begins with a truth.
fn signature(result: &str) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = (0..result.len() / 2)
        .map(|index| u8::from_str_radix(&result[2 * index..2 * index + 2], 16).unwrap())
        .collect();
    let rest = bytes.strip_prefix(&[0x08, 0x01, 0x12])?;
    Some(rest[1 + usize::from(rest[0] > 127)..].to_vec())
}

const HASHES: [&str; 7] = ["sha1", "sha224", "sha256", "sha384", "sha512", "SHA256", "md5"];
const TEXT: &[u8] = b"some text";

#[test]
fn signatures_are_made_and_checked_the_same_here_and_in_envoy() {
    let envoy = Envoy::start(&[CALLER.listener()], &[]);
    let (_host, vm) = CALLER.start();
    let plugin = vm.plugin("", CONFIGURATION).unwrap();
    let mut seen = 0;
    let mut both = |what: &str, function: &str, arguments: Vec<u8>| {
        let request = Request::new(function, arguments);
        let (here, there) = (request.here(&vm, &plugin), request.there(&envoy, &mut seen));
        (what.to_owned(), here, there)
    };
    let mut differences = Vec::new();
    for (name, private, public) in keys::PAIRS {
        for hash in HASHES {
            let sign = [field(1, hash.as_bytes()), field(3, TEXT)].concat();
            let check =
                |signature: &[u8]| [field(1, hash.as_bytes()), field(3, signature), field(4, TEXT)].concat();
            let what = format!("{name} {hash}");
            let made = both(&what, "sign", [sign.clone(), field(2, &keys::der(private))].concat());
            let by_pem = both(&what, "sign", [sign, field(4, private.as_bytes())].concat());
            let good = signature(&made.1[1]);
            let theirs = signature(&made.2[1]);
            let mut outcomes = vec![];
            // ECDSA takes a random number, so its signatures are compared by checking them.
            if name == "rsa" || good.is_none() || theirs.is_none() {
                outcomes.extend([made, by_pem]);
            }
            for signature in [good, theirs, Some(b"none".to_vec()), Some(Vec::new())].into_iter().flatten() {
                let mut spoilt = signature.clone();
                spoilt.pop();
                spoilt.push(7);
                for signature in [signature, spoilt] {
                    let arguments = [check(&signature), field(2, &keys::der(public))].concat();
                    outcomes.push(both(&what, "verify_signature", arguments));
                    let arguments = [check(&signature), field(5, public.as_bytes())].concat();
                    outcomes.push(both(&what, "verify_signature", arguments));
                }
            }
            for (what, here, there) in outcomes {
                if here != there {
                    differences.push(format!("{what}\n  here     {here:?}\n  in Envoy {there:?}"));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn keys_and_arguments_are_checked_the_same_here_and_in_envoy() {
    let envoy = Envoy::start(&[CALLER.listener()], &[]);
    let (_host, vm) = CALLER.start();
    let plugin = vm.plugin("", CONFIGURATION).unwrap();
    let ((_, private, public), mut seen) = (keys::PAIRS[0], 0);
    let (private_der, public_der) = (keys::der(private), keys::der(public));
    let hash = field(1, b"sha256");
    let (mut cases, mut differences) = (Vec::new(), Vec::new());
    for (function, number, pem_number, key, der, other) in [
        ("sign", 2, 4, private, private_der.as_slice(), public_der.as_slice()),
        ("verify_signature", 2, 5, public, public_der.as_slice(), private_der.as_slice()),
    ] {
        let with_rest = [der, b"rest"].concat();
        let pem_with_text = format!("text before\n{key}text after\n");
        cases.extend([
            (function, b"\xff".to_vec()),
            (function, hash.clone()),
            (function, [hash.clone(), field(number, b"no key")].concat()),
            (function, [hash.clone(), field(number, &der[..40])].concat()),
            (function, [hash.clone(), field(number, other)].concat()),
            (function, [hash.clone(), field(number, &with_rest)].concat()),
            (function, [hash.clone(), field(pem_number, b"no key")].concat()),
            (function, [hash.clone(), field(pem_number, pem_with_text.as_bytes())].concat()),
            (function, [hash.clone(), field(number, der), field(pem_number, key.as_bytes())].concat()),
            (function, field(number, der)),
        ]);
    }
    for (_, text) in keys::OTHERS {
        cases.push(("sign", [hash.clone(), field(4, text.as_bytes())].concat()));
        cases.push(("sign", [hash.clone(), field(2, &keys::der(text))].concat()));
        cases.push(("verify_signature", [hash.clone(), field(5, text.as_bytes())].concat()));
    }
    for (function, arguments) in cases {
        let request = Request::new(function, arguments.clone());
        let (here, there) = (request.here(&vm, &plugin), request.there(&envoy, &mut seen));
        // Signatures of ECDSA differ, and their length may.
        let kept = |lines: &[String]| (lines[0].clone(), lines[1].get(..6).unwrap_or_default().to_owned());
        if kept(&here) != kept(&there) {
            differences.push(format!(
                "{function} {}\n  here     {here:?}\n  in Envoy {there:?}",
                arguments.escape_ascii()
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
