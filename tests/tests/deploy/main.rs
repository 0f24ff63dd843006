//! What is in `deploy`, looked at without Kubernetes: manifests are rendered and validated, the chart
//! is compared with them object by object, and the program runs in what the image gives it.
//!
//! The chart is rendered by Go's own template engine (`chart/chart.go`), the overlays by kubectl,
//! schemas are those of PyPI's `kubernetes-validate`.

mod image;
mod objects;
mod package;
mod policy;
mod same;
mod schemas;
mod settings;
