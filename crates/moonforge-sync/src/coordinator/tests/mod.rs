//! The background engine on a simulated Firestore. The tests take the place of its task: they let it have its turns and move
//! the clock between them, so that nothing depends on real time.

mod bill;
mod rig;
mod rig_gate;
mod task;
mod troubles;
mod turns;
