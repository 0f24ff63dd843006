//! Scripts, generated histories against a model, known faults, and sizes.

mod accounting;
mod answers;
mod browse;
mod consumers;
mod damage;
mod faults;
mod fronts;
mod histories;
mod kit;
mod model;
mod once;
mod overload;
mod patience;
mod queues;
mod rules;
mod scripts;
mod sessions;
mod settling;
mod sizes;
mod streams;
