//! A minimal HTTP/2 server: it ignores the request, and responds to every stream with prepared frames.
//!
//! It follows RFC 9113. Header fields are literals without indexing (RFC 7541, 6.2.2), so it needs no HPACK state.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const METADATA: u8 = 0x4d;
const END_METADATA: u8 = 4;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PREFACE_LEN: usize = 24;

/// One frame of a response.
#[derive(Clone, Copy, Debug)]
pub enum Frame {
    /// Header fields; the first of a response have `:status`.
    Fields(&'static [(&'static str, &'static str)]),
    /// Header fields that end the response.
    LastFields(&'static [(&'static str, &'static str)]),
    /// One gRPC message.
    Message(&'static str),
    /// A piece of a body.
    Data(&'static str),
    /// METADATA, an extension of HTTP/2 that Envoy supports.
    Metadata(&'static [(&'static str, &'static str)]),
}

/// Starts a server that sends this response on each new stream.
pub fn start(answer: &'static [Frame]) -> SocketAddr {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in server.incoming().flatten() {
            std::thread::spawn(move || serve(connection, answer));
        }
    });
    address
}

fn serve(mut connection: TcpStream, answer: &[Frame]) -> std::io::Result<()> {
    connection.read_exact(&mut [0; PREFACE_LEN])?;
    send(&mut connection, SETTINGS, 0, 0, &[])?;
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head)?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        connection.read_exact(&mut payload)?;
        match kind {
            SETTINGS if flags & ACK == 0 => send(&mut connection, SETTINGS, ACK, 0, &[])?,
            HEADERS => {
                for frame in answer {
                    answer_with(&mut connection, u32::from_be_bytes(id), frame)?;
                }
            }
            _ => {}
        }
    }
}

fn answer_with(connection: &mut TcpStream, stream: u32, frame: &Frame) -> std::io::Result<()> {
    match frame {
        Frame::Fields(fields) => send(connection, HEADERS, END_HEADERS, stream, &literals(fields)),
        Frame::LastFields(fields) => {
            send(connection, HEADERS, END_HEADERS | END_STREAM, stream, &literals(fields))
        }
        Frame::Message(text) => {
            let mut message = vec![0];
            message.extend((text.len() as u32).to_be_bytes());
            message.extend(text.as_bytes());
            send(connection, DATA, 0, stream, &message)
        }
        Frame::Data(text) => send(connection, DATA, 0, stream, text.as_bytes()),
        Frame::Metadata(fields) => send(connection, METADATA, END_METADATA, stream, &literals(fields)),
    }
}

fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // A length up to 126 fits into one byte.
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

fn send(connection: &mut TcpStream, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    connection.write_all(&frame)
}
