//! Scripts, generated histories against a model, known faults, and sizes.

mod accounting;
mod consumers;
mod damage;
mod faults;
mod histories;
mod kit;
mod model;
mod queues;
mod rules;
mod sessions;
mod settling;
mod sizes;
