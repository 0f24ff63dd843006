//! W12 and W13: a mixture of the others, while an operator works on the nodes.

use std::thread;

use anyhow::Result;

use crate::field::Field;
use crate::workload::churn::Churn;
use crate::workload::order::Order as InOrder;
use crate::workload::topology::Topology;
use crate::workload::{Order, Workload};

/// W12
pub(super) const ROLLING: Mixed = Mixed { name: "W12", orders: &[Order::RollingRestart] };

/// W13
pub(super) const MEMBERS: Mixed =
    Mixed { name: "W13", orders: &[Order::Grow, Order::Rebalance, Order::Replace, Order::Shrink] };

/// What works together.
const PARTS: [&dyn Workload; 3] = [&InOrder, &Churn, &Topology];

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mixed {
    name: &'static str,
    orders: &'static [Order],
}

impl Workload for Mixed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn queues(&self) -> &'static [&'static str] {
        &["w2-one", "w2-many", "w3-few", "w3-some", "w6-stays"]
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        PARTS.iter().try_for_each(|part| part.prepare(field))
    }

    fn run(&self, field: &Field) -> Result<()> {
        thread::scope(|scope| {
            let parts: Vec<_> =
                PARTS.iter().map(|part| scope.spawn(move || part.run(field))).collect();
            parts.into_iter().try_for_each(|part| match part.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    fn drain(&self, field: &Field) -> Result<()> {
        PARTS.iter().try_for_each(|part| part.drain(field))
    }

    fn orders(&self) -> &'static [Order] {
        self.orders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_has_the_queues_of_its_parts() {
        let queues: Vec<_> = PARTS.iter().flat_map(|part| part.queues()).collect();

        assert_eq!(ROLLING.queues().iter().collect::<Vec<_>>(), queues);
    }
}
