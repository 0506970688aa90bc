//! A mock model server on the command line, for trying out `envoy.yaml` by hand. See
//! `seqroute_envoy::mock_llm` for the request headers that direct it.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use clap::Parser;
use seqroute_envoy::mock_llm::MockLlm;

/// Serve one mock model: OpenAI chat completions with honest token usage, and faults on demand.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Name of the model; answers carry it in the header x-mock-model.
    #[arg(long)]
    model: String,
    /// Port to listen on; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let server = MockLlm::start(options.model, SocketAddr::new(options.host, options.port))?;
    println!("model {} at http://{}/v1/chat/completions", server.model(), server.addr());
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")?;
    println!("{:?}", server.totals());
    Ok(())
}
