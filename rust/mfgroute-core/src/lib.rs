//! The engine of mfgroute: contracts, mappings, routes, events, dedup and delivery state.
//!
//! # Layout, in the order a message meets it
//!
//! * [`decode`] turns bytes into a [`tree`]: JSON, XML, CSV, with limits.
//! * [`path`] addresses values of a tree.
//! * [`schema`] checks a tree against a JSON Schema.
//! * [`map`] makes canonical `data` of a message, with [`value`], [`units`], [`time`], [`text`].
//! * [`flat`] does decode, schema, map and contract in one pass where it can.
//! * [`expr`] evaluates CEL over a tree.
//! * [`contract`], [`route`] and [`plan`] are the configuration, compiled; [`yaml`] reads it, [`problem`] says what is wrong.
//! * [`identity`] makes event ids; [`dedup`] remembers them; [`record`] is an event as the log stores it.
//! * [`pipeline`] is the one straight path of a message; [`engine`] holds streams, lanes and dead letters.
//! * [`router`] is a plan and an engine together.
//! * [`reject`] lists why we refuse; [`stats`] counts; [`machine`] is what this build is.

pub mod contract;
pub mod decode;
pub mod dedup;
pub mod engine;
pub mod expr;
pub mod flat;
pub mod identity;
pub mod machine;
pub mod map;
pub mod path;
pub mod pipeline;
pub mod plan;
pub mod problem;
pub mod record;
pub mod reject;
pub mod route;
pub mod router;
pub mod schema;
pub mod stats;
pub mod text;
pub mod time;
pub mod tree;
pub mod units;
pub mod value;
pub mod yaml;
