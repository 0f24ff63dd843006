//! What requests bring, as any bytes, for those who look for bytes that cannot be borne.

pub use crate::api::probe_bodies as bodies;
pub use crate::api::probe_definitions as definitions;
