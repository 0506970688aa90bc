//! The protobuf messages that Envoy takes as arguments.
//!
//! Only the fields the host uses are named; others are skipped, as unknown fields are.

/// `envoy.config.core.v3.GrpcService`: who answers a gRPC call.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GrpcService {
    #[prost(message, optional, tag = "1")]
    pub(crate) envoy_grpc: Option<EnvoyGrpc>,
    #[prost(message, optional, tag = "2")]
    pub(crate) google_grpc: Option<GoogleGrpc>,
}

/// A cluster of Envoy.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    pub(crate) cluster_name: String,
}

/// An address that Envoy's gRPC library resolves.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GoogleGrpc {
    #[prost(string, tag = "1")]
    pub(crate) target_uri: String,
}

/// `SetEnvoyFilterStateArguments` of foreign function `set_envoy_filter_state`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetEnvoyFilterState {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// `DeclarePropertyArguments` of foreign function `declare_property`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeclareProperty {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(bool, tag = "2")]
    pub(crate) readonly: bool,
    /// A `WasmType`.
    #[prost(int32, tag = "3")]
    pub(crate) kind: i32,
}

/// `SignArguments` of foreign function `sign`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Sign {
    #[prost(string, tag = "1")]
    pub(crate) hash_function: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) private_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) text: Vec<u8>,
    #[prost(string, tag = "4")]
    pub(crate) private_key_pem: String,
}

/// `SignResult`, its answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SignResult {
    #[prost(bool, tag = "1")]
    pub(crate) result: bool,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) signature: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(crate) error: String,
}

/// `VerifySignatureArguments` of foreign function `verify_signature`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VerifySignature {
    #[prost(string, tag = "1")]
    pub(crate) hash_function: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) text: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) public_key_pem: String,
}

/// `VerifySignatureResult`, its answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VerifySignatureResult {
    #[prost(bool, tag = "1")]
    pub(crate) result: bool,
    #[prost(string, tag = "2")]
    pub(crate) error: String,
}
