//! Tests of the program as a whole, against nodes that are made up.

mod fake;
mod finding;
mod life;
mod program;
mod recorded;
mod requests;
