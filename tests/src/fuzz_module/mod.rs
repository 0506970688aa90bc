//! Random traffic for the compiled filter (`fuzz-module`).
//!
//! [`mutate`] breaks texts, [`traffic`] makes requests and answers of them, [`run`] sends them through the module and
//! checks what must always hold. The texts are the seeds of the fuzz targets in `filter/fuzz/seeds`.

pub mod mutate;
pub mod run;
pub mod traffic;
