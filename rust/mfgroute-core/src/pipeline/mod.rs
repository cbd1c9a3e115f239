//! The one straight path of a message: decode ► filter ► map ► contract ► route ► record.
//!
//! Everything here is a pure function of the plan, the message and its attributes. What it prepares in a
//! [`Batch`] is admitted by [`crate::engine`], where duplicates are found and records appended.
//!
//! * [`batch`] is what is prepared.
//! * [`message`] takes one message through the stages; [`canonical`] one that is a CloudEvent already.
//! * [`convert`] makes the version of an event that a route asks for.
//! * [`finish`] checks contracts, finds the sinks and makes records; [`flat`] takes messages that need no tree.
//! * [`slab`] takes lines and CSV files apart.
//! * [`again`] asks stored events what the routes of today say.
//! * [`explain`] shows what became of a message; [`examples`] runs those of mapping files.

pub mod again;
pub mod batch;
pub mod canonical;
pub mod convert;
pub mod edit;
pub mod examples;
pub mod explain;
pub mod finish;
mod flat;
pub mod message;
mod routing;
pub mod slab;

pub use batch::Batch;
pub use message::Worker;
