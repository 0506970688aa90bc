//! A client that writes HTTP/1.1 by hand: any framing, any spelling, and it can leave at any moment.

mod request;
mod response;

pub use request::{Framing, Request};
pub use response::Reply;

use response::Extent;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// No exchange takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// When the client leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leave {
    /// Not before the answer's end.
    #[default]
    Never,
    /// So many milliseconds after the request.
    AfterMs(u64),
    /// At the first bytes of the answer's body.
    AtFirstWords,
}

/// A connection to a gateway from an address of its own on loopback.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When the gateway does not accept.
    pub async fn open(gateway: SocketAddr, from: IpAddr) -> io::Result<Connection> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let stream = tokio::time::timeout(PATIENCE, socket.connect(gateway)).await??;
        stream.set_nodelay(true)?;
        // Whatever ends the connection, no port waits for the last packet.
        stream.set_zero_linger()?;
        Ok(Connection { stream, buffer: Vec::new() })
    }

    /// Sends a request and reads its answer, as far as the client stays.
    ///
    /// # Errors
    /// When the connection ends without a status.
    pub async fn exchange(&mut self, request: &Request, leave: Leave) -> io::Result<Reply> {
        let patience = match leave {
            Leave::AfterMs(ms) => Duration::from_millis(ms),
            _ => PATIENCE,
        };
        let extent = match leave {
            _ if request.method == "HEAD" => Extent::Head,
            Leave::AtFirstWords => Extent::FirstWords,
            _ => Extent::Whole,
        };
        let bytes = request.bytes();
        let (mut reader, mut writer) = self.stream.split();
        let both = async {
            // A gateway may answer before it has read the whole request, so the answer alone ends the exchange.
            let write = async {
                let _ = writer.write_all(&bytes).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                reply = response::read(&mut reader, &mut self.buffer, extent) => reply,
                () = write => Err(io::ErrorKind::BrokenPipe.into()),
            }
        };
        match tokio::time::timeout(patience, both).await {
            Ok(reply) => reply,
            Err(_) if leave == Leave::Never => Err(io::ErrorKind::TimedOut.into()),
            Err(_) => Ok(Reply { left: true, ..Reply::default() }),
        }
    }
}
