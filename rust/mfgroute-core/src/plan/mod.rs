//! Plans: the configuration, compiled. Immutable, checked whole, swapped whole.
//!
//! * [`read`] reads YAML values with problems at their places.
//! * [`builder`] is what the compilation of one project shares.
//! * [`contract`], [`mapping`], [`fields`], [`value`], [`forms`] compile the files; [`csv`] finds what a CSV
//!   declaration contradicts.
//! * [`rules`] compiles the rules of a contract; [`condition`] what rules and routes ask of `data`.
//! * [`node`] reads the main file, [`routes`] its routes.
//! * [`conversions`] finds the ways from one version of a contract to another, [`versions`] what version a route
//!   delivers.
//! * [`lifecycle`] reads how long a contract is to be used.
//! * [`keywords`] finds misspelt words of a schema, [`limits`] values that contradict each other.
//! * [`attributes`] knows the names that `meta` may have.
//! * [`fixed`] compares what is written in a mapping or table with the contract.
//! * [`required`] finds members of a contract that no field makes, [`overlap`] mappings that want the same
//!   messages.
//! * [`quantities`] checks the codes of units and the factors of quantities.
//! * [`project`] compiles a folder into a [`Plan`](project::Plan).

pub mod attributes;
pub mod builder;
pub mod condition;
pub mod contract;
pub mod conversions;
pub mod csv;
pub mod fields;
pub mod fixed;
pub mod forms;
pub mod keywords;
pub mod lifecycle;
pub mod limits;
pub mod mapping;
pub mod node;
pub mod overlap;
pub mod project;
pub mod quantities;
pub mod read;
pub mod required;
pub mod routes;
pub mod rules;
pub mod value;
pub mod versions;
