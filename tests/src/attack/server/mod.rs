//! Model servers that keep their own bill.

mod answer;
mod events;
pub mod flavour;
mod http;
mod members;
mod order;
mod paths;
mod reading;
mod tokens;

pub use order::PriceList;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::bill::Bill;
use super::marker::Fault;
use answer::Answer;
use http::{Incoming, Received};
use order::{Order, Verdict, judge};

/// A stalled answer is given up by the server after this.
const STALL: Duration = Duration::from_millis(700);
/// What was sent before a reset gets this long to arrive.
const RESET: Duration = Duration::from_millis(20);
/// What a client may have sent along for itself or for another provider. Its value contains this.
pub const PRIVATE: &str = "private-of-the-client";

/// The model server behind one cluster. It is of the flavour that a turn's marker names.
pub struct ModelServer {
    model: String,
    prices: PriceList,
    bill: Arc<Bill>,
}

impl ModelServer {
    /// Starts a server on the current runtime; it ends with the runtime.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(model: &str, prices: PriceList, bill: Arc<Bill>) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = Arc::new(ModelServer { model: model.to_owned(), prices, bill });
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let server = Arc::clone(&server);
                        tokio::spawn(async move { server.serve(stream).await });
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Ok(address)
    }

    async fn serve(&self, stream: TcpStream) {
        let mut incoming = Incoming::new(stream);
        while let Ok(Some(request)) = incoming.request().await {
            self.look_for_leaks(&request);
            let sent = match judge(&self.model, &self.prices, &request) {
                Verdict::Free(status, body) => {
                    let head = format!(
                        "HTTP/1.1 {status} Free\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                        body.len()
                    );
                    incoming.send((head + &body).as_bytes()).await.map(|()| true)
                }
                Verdict::Paid(order) => self.answer(&mut incoming, &order).await,
            };
            match sent {
                Ok(true) => {}
                Ok(false) => return incoming.reset(),
                Err(_) => return,
            }
        }
    }

    /// Bills and sends an answer. `false`: the connection is to be reset.
    async fn answer(&self, incoming: &mut Incoming, order: &Order) -> io::Result<bool> {
        let _running = self.bill.begin(&order.marker.account, &order.path, order.cost);
        let answer = Answer::new(order);
        let is_stream = answer.pieces.len() > 1;
        let length: usize = answer.pieces.iter().map(|piece| piece.bytes.len()).sum();
        let framing = if is_stream {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {length}")
        };
        let kind = answer.content_type.map(|kind| format!("content-type: {kind}\r\n")).unwrap_or_default();
        let mut head = Some(format!("HTTP/1.1 {} Paid\r\n{kind}{framing}\r\n\r\n", answer.status));
        let middle = answer.pieces.len() / 2;
        for (number, piece) in answer.pieces.iter().enumerate() {
            if piece.pause_ms > 0 {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(piece.pause_ms)) => {}
                    () = incoming.closed() => return Err(io::ErrorKind::ConnectionReset.into()),
                }
            }
            let mut bytes = head.take().map(String::into_bytes).unwrap_or_default();
            if is_stream {
                bytes.extend(format!("{:x}\r\n", piece.bytes.len()).as_bytes());
            }
            if number == middle && matches!(order.marker.fault, Fault::Reset | Fault::Stall) {
                bytes.extend(&piece.bytes[..piece.bytes.len() / 2]);
                incoming.send(&bytes).await?;
                let patience = if order.marker.fault == Fault::Stall { STALL } else { RESET };
                let _ = tokio::time::timeout(patience, incoming.closed()).await;
                return Ok(false);
            }
            bytes.extend(&piece.bytes);
            if is_stream {
                bytes.extend(b"\r\n");
            }
            incoming.send(&bytes).await?;
        }
        if is_stream {
            incoming.send(b"0\r\n\r\n").await?;
        }
        Ok(true)
    }

    fn look_for_leaks(&self, request: &Received) {
        let private = |bytes: &[u8]| memchr::memmem::find(bytes, PRIVATE.as_bytes()).is_some();
        if request.headers.iter().any(|(_, value)| private(value)) || private(request.target.as_bytes()) {
            let marker = request.marker().filter(|marker| marker.flavour.is_provider());
            if let Some(marker) = marker {
                self.bill.leak(&marker.account);
            }
        }
    }
}
