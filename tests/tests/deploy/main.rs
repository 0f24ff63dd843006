//! What is in `deploy`, looked at without Kubernetes: manifests are rendered and validated, the chart
//! is compared with them object by object, and the Debian package is made.
//!
//! The chart is rendered by Go's own template engine (`chart/chart.go`), the overlays by kubectl,
//! schemas are those of PyPI's `kubernetes-validate`. How pods behave, those of the image among them, is
//! tested with the rig: `tests/chaos/tests/pods`.

mod container;
mod objects;
mod package;
mod policy;
mod same;
mod schemas;
mod settings;
