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
}
