//! Scripts, generated histories against a model, known faults, and sizes.

mod accounting;
mod answers;
mod consumers;
mod damage;
mod faults;
mod fronts;
mod histories;
mod kit;
mod model;
mod queues;
mod rules;
mod sessions;
mod settling;
mod sizes;
