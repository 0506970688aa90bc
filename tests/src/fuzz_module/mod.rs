//! Random traffic for the compiled filter (`fuzz-module`).
//!
//! [`mutate`] breaks texts, [`traffic`] makes requests and answers of them, [`world`] sends them through the module and
//! checks what must hold whatever came. The texts are the seeds of the fuzz targets in `filter/fuzz/seeds`.

pub mod mutate;
pub mod traffic;
pub mod world;
